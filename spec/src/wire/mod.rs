//! The wire: the one place that knows JSON.
//!
//! Bytes come in as commands within their bounds or as a [`Problem`]; replies and pushes go out as
//! text. Nothing else in the project names a JSON member, and nothing here decides anything. The
//! shapes are a superset of the original's, so that its unmodified client works; each shape is
//! written down once, as a type, and its bytes are pinned by tests.
//!
//! | module | what it says |
//! |---|---|
//! | [`lease`] | commands, replies and pushes of the lease object |
//! | [`mailbox`] | the same of the mailbox object, and messages |
//! | [`frame`] | what a WebSocket text frame carries |
//! | `protocol` | which protocol a socket speaks |
//! | `code`, `problem`, `answer` | refusals, and what an HTTP exchange is answered with |
//! | `reply`, `object` | what stands around every reply, and objects put together out of text |
//! | `request`, `field`, `query` | reading the object of a command, one member of it, and the query of a URL |
//!
//! # Rules of all shapes
//!
//! * The order of members is fixed: first what the answer is, then what it says, then `commit`, then
//!   `call`, last `ignored`.
//! * A reply has either an `outcome` or a `code`, whatever its HTTP status: a body with a `code` is
//!   a refusal, or the end of a request that is over.
//! * `null` is the same as absent. Members that a command has no use for are ignored, and its reply
//!   names the first of them in `ignored`; a known member twice is malformed.
//! * Instants and durations are integers in milliseconds; names end in `At` or `Ms`. A number is
//!   what it is worth, not how it is spelled: `1e3` is 1000.

mod answer;
mod code;
mod field;
pub mod frame;
pub mod lease;
pub mod mailbox;
mod object;
mod problem;
mod protocol;
mod query;
mod reply;
mod request;

pub use answer::{Answer, Dialect, Undecodable};
pub use code::{Code, UnknownCode};
pub use field::Excerpt;
pub use problem::{Extensions, Problem};
pub use protocol::Protocol;
pub use reply::Received;
pub use request::Attempt;

use alloc::string::String;

use serde::Serialize;

/// The JSON text of a value of this module.
fn text_of(value: &impl Serialize) -> String {
    // Serialising to memory fails only for maps whose keys are not texts, and there are none here.
    serde_json::to_string(value).unwrap_or_default()
}
