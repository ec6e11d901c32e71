//! The client's end of both protocols, without I/O: no clock, no socket, no task, no thread.
//!
//! | module | what it says |
//! |---|---|
//! | `contract` | how a session is driven from outside |
//! | `connection` | the socket of a session: opened, kept alive, opened again |
//! | `call` | attempts: their names, what leaves, and what is remembered of those that left |
//! | `retry` | the retry schedule of one command, and commands that have one each |
//! | [`lease`] | one run of one agent at the leases: what it wants to hold and may believe |
//! | [`mailbox`] | one run of one agent at the mailboxes: what it sends, is sent and has settled |

mod call;
mod connection;
mod contract;
pub mod lease;
pub mod mailbox;
mod retry;

pub use call::{CallFailure, CallNumber, QueryId, Sending, Transmit};
pub use connection::{Route, SocketConfig, SocketNumber, SocketOrder};
pub use contract::{ReceivedOf, Session};
