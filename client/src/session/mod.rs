//! The client's end of both protocols, without I/O: no clock, no socket, no task, no thread.
//!
//! | module | what it says |
//! |---|---|
//! | [`lease`] | one run of one agent at the leases: what it wants to hold and may believe |
//! | [`mailbox`] | one run of one agent at the mailboxes: what it sends, is sent and has settled |
//! | `call` | the names of what goes out and comes back |
//! | `retry` | the retry schedule of one command |

mod call;
pub mod lease;
pub mod mailbox;
mod retry;

pub use call::{CallFailure, CallNumber, QueryId};
