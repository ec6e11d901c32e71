//! The lease object on the wire.
//!
//! | file | what it says |
//! |---|---|
//! | `decode` | commands out of HTTP bodies and frames |
//! | `request` | the members of a command |
//! | `command` | what each action makes of them |
//! | `call` | commands as a client writes them |
//! | `reply` | what the object answers, both ways |
//! | `members` | the members of outcomes and rejections |
//! | `detail` | what a person reads beside a rejection |
//! | `push` | what the object sends unasked, and all that a client's socket receives |
//! | `subscribe` | the query that opens a socket |
//!
//! # Commands
//!
//! `POST …/{action}` over HTTP, the same object with an `action` in a frame:
//!
//! | action | members |
//! |---|---|
//! | `acquire` | `agentId`, `session?`, `request?`, one of `paths`, `file`, `path`, `ttlMs`, `waitMs?` |
//! | `renew` | `agentId`, `session?`, `token`, `ttlMs`, `drain?` |
//! | `release` | `agentId`, `session?`, `token`, or without a session one of `file`, `path` |
//! | `cancel` | `agentId`, `session?`, `request` |
//! | `status` | one of `file`, `path` |
//! | `list` | `prefix?`, `after?`, `limit?`, or `tickets: true`, `prefix?`, `afterArrival?`, `limit?` |
//! | `verify` | one of `file`, `path`, `token` |
//! | `force-release` | `token`, `reason`, `drain?`, or `arrival`, `generation`, `reason` |
//! | `recover` | `atLeast` |
//!
//! and `call?` with each, a number that the reply repeats. A `prefix` may begin with `/` or `./`, which
//! are dropped, but is else the beginning of a normalised path, or `path_invalid`. Paths are
//! [compared by a key](crate::rules::leases#paths) and told as they were asked for. Over a socket
//! `agentId` and `session` default to the socket's; the agent cannot be another.
//!
//! # Replies
//!
//! A success is `{"outcome", …, "commit", "call"?}`:
//!
//! | outcome | members |
//! |---|---|
//! | `granted` | `acquired: true`, `token`, `expiresAt`, `ttlMs` |
//! | `queued` | `acquired: false`, `position` |
//! | `renewed` | `expiresAt`, `waiting`, `draining?` |
//! | `released` | `released: true` |
//! | `cancelled`, `stale`, `recovered` | |
//! | `free` | `isLeased: false`, `queue`, `reserved?` as one of `tickets` |
//! | `held` | `isLeased: true`, `path`, `agentId`, `session`, `token`, `expiresAt`, `draining`, `paths`, `queue` |
//! | `leases` | `leases`, each `path`, `agentId`, `session`, `token`, `expiresAt`, `draining`; `more` |
//! | `tickets` | `tickets`, each `arrival`, `agentId`, `session`, `request`, `paths`, `expiresAt`; `more` |
//! | `current` | `expiresAt` |
//!
//! A refusal of the object is a [`Problem`](super::Problem) with a `commit`:
//!
//! | code | members |
//! |---|---|
//! | `held` | `by`, `agentId`, `session`, `paths`, `expiresAt`, `queue`, of a ticket `arrival` |
//! | `deadlock` | `cycle`, each `agentId`, `session`, the first 16; `length` |
//! | `over` | `reason`, `token?` |
//! | `limit` | `kind` |
//! | `clock` | `hostMs` |
//! | `lost`, `conflict` | |
//!
//! but to [`Dialect::Original`] `held` is 200
//! `{"acquired": false, "code": "held", "by", "agentId", "session", "paths", "expiresAt", "queue", …}`
//! and `lost` is 200 `{"released": false, "code": "lost", …}`.
//!
//! Once the replies to one frame pass [`FRAME_REPLY_BYTES`](crate::limits::FRAME_REPLY_BYTES), the
//! commands left in it are not executed: each is refused with `overloaded`, without a `commit`.

mod call;
mod command;
mod decode;
mod detail;
mod members;
mod push;
mod reply;
mod request;
mod subscribe;

pub use call::{encode_call, encode_frame};
pub use decode::{decode_frame, decode_request};
pub use push::{ServerFrame, decode_server_frame, encode_push};
pub use reply::{Received, decode_reply, encode_reply};
pub use subscribe::{Subscribe, decode_subscribe, encode_subscribe};

use super::{Attempt, Dialect};
use crate::lease::Command;

/// One attempt at a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Attempt that it is.
    pub attempt: Attempt,
    /// Spelling of the command.
    pub dialect: Dialect,
    /// The command.
    pub command: Command,
}

impl From<(Attempt, command::Decoded)> for Call {
    fn from((attempt, (dialect, command)): (Attempt, command::Decoded)) -> Self {
        Self { attempt, dialect, command }
    }
}
