//! The lease machine: exclusive claims on sets of paths that end by themselves and are fenced by a
//! token.
//!
//! Every event is *advance, then the command*. Advancing ends what time has ended and hands what is
//! free to those who wait; only then is the command looked at. Nothing depends on the alarm: it
//! only makes happen sooner what the next event would do anyway. What each rule is for is said in
//! [`rules::leases`](crate::rules::leases).
//!
//! | file | what it says |
//! |---|---|
//! | [`command`] | what may be asked |
//! | [`answer`] | what comes back: outcomes, rejections, pushes |
//! | [`state`] | what the object knows: claims, tickets, remembered requests |
//! | `expire` | what time ends, and who is next |
//! | `acquire`, `renew_release`, `query`, `admin` | what commands do |
//! | `deadlock` | who waits for whom, and which waits would never end |
//! | [`invariant`] | what is true of every reachable state |

mod acquire;
mod admin;
pub mod answer;
pub mod command;
mod deadlock;
mod expire;
mod invariant;
mod machine;
mod query;
mod renew_release;
pub mod state;

pub use answer::{
    Blocker, HeldBy, LeaseEntry, LimitKind, Outcome, OverReason, Push, Rejection, TicketEntry,
};
pub use command::{Acquire, Command, MalformedAcquire, ReleaseTarget};
pub use machine::LeaseStep;
pub use state::LeaseMachine;

/// The reply to one lease command.
pub type LeaseReply = crate::Reply<Outcome, Rejection>;
