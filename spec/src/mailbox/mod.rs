//! The mailbox machine: messages that are accepted once, kept, and delivered to their recipients in
//! order until each has settled them.
//!
//! A delivery is an exclusive claim of one session on one message: the session's epoch is its fencing
//! token, the session's end its expiry. What each rule is for is said in
//! [`rules::mailboxes`](crate::rules::mailboxes).
//!
//! | file | what it says |
//! |---|---|
//! | [`message`], [`pattern`], [`near`] | what is sent, who wants it, and whom it was perhaps meant for |
//! | [`command`] | what may be asked |
//! | [`answer`] | what comes back: outcomes, rejections, pushes |
//! | [`state`] | what the object knows: the log, agents, inboxes, sessions |
//! | `sessions` | sessions begin, are replaced and end |
//! | `accept` | what is accepted, once, and for whom |
//! | `push` | what is pushed, and in which order |
//! | `settle` | deliveries are settled, given back, presumed settled and put on record |
//! | `collect` | what is too old is let go of |
//! | `query` | questions |
//! | [`invariant`] | what is always true |

mod accept;
pub mod answer;
mod collect;
pub mod command;
mod invariant;
mod machine;
pub mod message;
pub mod near;
pub mod pattern;
mod push;
mod query;
mod sessions;
mod settle;
pub mod state;

pub use accept::Share;
pub use answer::{
    AgentEntry, CloseReason, DeadLetter, DeadReason, Fate, Gap, LimitKind, Notice, Outcome,
    Pending, Push, Rejection,
};
pub use command::{Ask, Command, Connection, Delay, Fence, Settled, Window};
pub use message::{InvalidType, Message, MessageId, MessageType};
pub use pattern::{Pattern, Patterns};
pub use state::MailboxMachine;

/// The reply to one mailbox command.
pub type MailboxReply = crate::Reply<Outcome, Rejection>;
/// Effects of one event on a mailbox machine.
pub type MailboxStep = crate::Step<Outcome, Rejection, Push>;
