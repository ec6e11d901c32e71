//! The client's end of both protocols, without I/O: no clock, no socket, no task, no thread.
//!
//! | module | what it says |
//! |---|---|
//! | [`lease`] | one run of one agent at the leases: what it wants to hold and may believe |
//! | [`mailbox`] | one run of one agent at the mailboxes: what it sends, is sent and has settled |
//! | `call` | the names of what goes out and comes back |
//! | `copies` | when the next copy of a command is due, and when to stop |

mod call;
mod copies;
pub mod lease;
pub mod mailbox;

pub use call::{CallFailure, CallNumber, QuestionId};
