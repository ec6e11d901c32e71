//! The mailbox machine: messages that are accepted once, kept, and delivered to their recipients in
//! order until each has settled them.
//!
//! A delivery is an exclusive claim of one session on one message: the session's epoch is its fencing
//! token, the session's end its expiry.
//!
//! | file | what it says |
//! |---|---|
//! | [`message`], [`pattern`] | what is sent, and who wants it |
//! | [`command`] | what may be asked |
//! | [`answer`] | what comes back: outcomes, rejections, pushes |

pub mod answer;
pub mod command;
pub mod message;
pub mod pattern;

pub use answer::{
    AgentEntry, CloseReason, DeadLetter, DeadReason, Fate, Gap, LimitKind, Notice, Outcome,
    Pending, Push, Rejection,
};
pub use command::{Ask, Command, Connection, Delay, Settled, Window};
pub use message::{InvalidType, Message, MessageId, MessageType};
pub use pattern::{Pattern, Patterns};

/// The reply to one mailbox command.
pub type MailboxReply = crate::Reply<Outcome, Rejection>;
/// What one event on a mailbox machine does.
pub type MailboxStep = crate::Step<Outcome, Rejection, Push>;
