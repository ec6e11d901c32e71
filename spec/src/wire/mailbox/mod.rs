//! The mailbox object on the wire.
//!
//! | file | what it says |
//! |---|---|
//! | `message` | messages out of bytes, sent and stored |
//! | `delivered` | messages as their recipients see them |
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
//! # Messages
//!
//! A message is a JSON object of its sender's. The bus looks at these members; each may be there once:
//!
//! | member | |
//! |---|---|
//! | `type` | [`MessageType`](crate::mailbox::MessageType); what begins with `$` is the bus's |
//! | `from` | the sender; over a socket it defaults to the socket's agent and cannot be another |
//! | `id?` | [`MessageId`](crate::mailbox::MessageId); empty is the same as absent |
//! | `payload?` | anything; compared as text when an `id` comes again |
//! | `ackRequired?`, `ephemeral?` | true or false |
//! | `seq`, `attempt`, `redriven` | dropped: only the bus says them |
//!
//! Everything else, and the spelling and the order of all, is kept: what is stored is the text that came
//! without the dropped members and without an `id` or a `from` that is `null` or an empty `id`, and with
//! a `"from"` at its end if it had none. A message of more than
//! [`MESSAGE_MAX_BYTES`](crate::limits::MESSAGE_MAX_BYTES), or an ephemeral one (a `heartbeat` is one) of
//! more than [`EPHEMERAL_MAX_BYTES`](crate::limits::EPHEMERAL_MAX_BYTES), is `message_too_large`.
//!
//! A recipient gets the stored text and, at its end, `"id":"m-…"` with the `seq` if it has no `id`,
//! `"seq"`, `"attempt"`, and `"redriven":true` if it was a dead letter once; in `inbox` and `dead_letters`
//! without `"attempt"`. An ephemeral message comes as it was stored.
//!
//! # Commands
//!
//! `POST …/{action}` over HTTP, the same object with an `action` in a frame:
//!
//! | action | members |
//! |---|---|
//! | `publish` | over HTTP the body is the message itself; in a frame `message` |
//! | `send` | one of `targetAgent`, `to`; `message` |
//! | `acknowledge` | `agentId`, one of `messageId`, `seqs`, `upTo`, `gap` |
//! | `nack` | `agentId`, `seq`, `delayMs?` |
//! | `working` | `agentId`, `seq` |
//! | `inbox`, `dead-letters` | `agentId`, `after?`, `limit?` |
//! | `subscriptions` | `agentId`, at most one of `add`, `remove`: arrays of patterns |
//! | `agents` | `after?`, the name of an agent; `limit?` |
//! | `heartbeat` | `agentId` |
//! | `redrive` | `agentId`, `seqs` |
//! | `disconnect` | `agentId`, `epoch`, over a socket its own if absent |
//! | `forget` | `agentId`, said over a socket too |
//! | `recover` | `atLeast` |
//!
//! and `call?` with each, a number that the reply repeats; not with `publish` over HTTP. Over a socket
//! `agentId` defaults to the socket's and, but for `forget`, cannot be another. `subscriptions` with
//! neither `add` nor `remove` changes nothing and asks what they are. In frames there are also
//! `subscribe` and `unsubscribe`, each with one pattern as its `type`: as the original's client sends
//! them, on whose socket they are all that is taken ([`decode_original_frame`]).
//!
//! A session begins with the query of `GET …/subscribe`:
//!
//! | name | value |
//! |---|---|
//! | `agentId` | whose session it is |
//! | `session?` | which run of the agent; absent is the original's |
//! | `protocol?` | `1`; absent is the original's |
//! | `window?`, `windowBytes?` | with `protocol=1` only |
//! | `types?` | one pattern each time it is there; empty alone, none at all |
//! | `lastSeen?` | the largest `seq` the agent knows of |
//!
//! # Replies
//!
//! A success is `{"outcome", …, "commit", "call"?}`:
//!
//! | outcome | members |
//! |---|---|
//! | `accepted` | `accepted: true`, `seq`, `recipients`, `refused`: names |
//! | `duplicate` | `accepted: true`, `seq`, `duplicate: true` |
//! | `sent` | `accepted: true` |
//! | `settled` | `settled`, `unknown` |
//! | `returned` | `fate`: `due`, `dead` or `unknown`; with `due`, `dueAt` |
//! | `noted`, `forgotten` | `known` |
//! | `inbox` | `messages`, `completeThrough`, `gap?`: `count`, `first`, `last`, `through`; `refused` |
//! | `dead_letters` | `letters`, each `reason`, `attempts`, `givenUpAt`, `message`; `more` |
//! | `subscribed` | `types?`, absent if the agent has never chosen |
//! | `agents` | `agents`, each `agentId`, `types?`, `pending`; `more` |
//! | `redriven` | `redriven`, `unknown`, `refused` |
//! | `connected` | `epoch`, `resumed`, `gap?`, `refused` |
//! | `disconnected`, `heard`, `recovered` | |
//!
//! A refusal of the object is a [`Problem`](super::Problem) with a `commit`:
//!
//! | code | members |
//! |---|---|
//! | `ahead` | `lastSeq` |
//! | `limit` | `kind` |
//! | `clock` | `hostMs` |
//! | `conflict`, `replaced`, `overloaded` | |
//!
//! To the original's clients the same: what they look at is among these. Once the replies to one frame
//! pass [`FRAME_REPLY_BYTES`](crate::limits::FRAME_REPLY_BYTES), the commands left in it are not executed:
//! each is refused with `overloaded`, without a `commit`.
//!
//! # Frames from the object
//!
//! | frame | members |
//! |---|---|
//! | a message | above |
//! | `$connected` | `epoch`, `resumed`, `gap?`, `refused`, `commit`; the first of every socket |
//! | `$gap` | `count`, `first`, `last`, `through` |
//! | `$replies`, `$error` | as in [`frame`](super::frame) |
//!
//! The end of a session is a close: see [`close`].

mod call;
mod command;
mod decode;
mod delivered;
mod detail;
mod members;
mod message;
mod push;
mod reply;
mod request;
mod subscribe;

pub use crate::mailbox::message::derived_id;
pub use call::{encode_call, encode_frame};
pub use decode::{decode_frame, decode_original_frame, decode_request};
pub use message::{decode_message, payload_of, stored_message};
pub use push::{
    CLOSE_REPLACED, ServerFrame, close, decode_server_frame, encode_connected, encode_push,
};
pub use reply::{Received, decode_reply, encode_reply};
pub use subscribe::{Subscribe, decode_subscribe, encode_subscribe};

use super::Attempt;
use crate::mailbox::Command;

/// One attempt at a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Attempt that it is.
    pub attempt: Attempt,
    /// The command.
    pub command: Command,
}
