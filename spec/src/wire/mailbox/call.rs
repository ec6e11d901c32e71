//! Commands as a client writes them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use crate::id::AgentId;
use crate::mailbox::{Ask, Message, MessageId, Patterns, Settled};
use crate::ordinal::Ordinal;
use crate::wire::object;
use crate::wire::{frame, text_of};

/// The action of a command and the body to send to it over HTTP, as attempt number `call`. The body of
/// `publish` is the message and says no number. `None` for a connect, which is a query
/// ([`encode_subscribe`](super::encode_subscribe)).
#[must_use]
pub fn encode_call(call: u64, ask: &Ask) -> Option<(&'static str, String)> {
    let action = action(ask)?;
    let body = match ask {
        Ask::Publish { message } => message.body.clone(),
        _ => object_of(None, call, ask),
    };
    Some((action, body))
}

/// The frame of these attempts: an object if it is one, else an array. Connects are left out.
#[must_use]
pub fn encode_frame(calls: &[(u64, &Ask)]) -> String {
    let object =
        |&(call, ask): &(u64, &Ask)| action(ask).map(|action| object_of(Some(action), call, ask));
    let objects: Vec<String> = calls.iter().filter_map(object).collect();
    frame::share(&objects)
}

/// The action of a command: [`Ask::name`] but for what has a name of the original's.
fn action(ask: &Ask) -> Option<&'static str> {
    match ask {
        Ask::Connect { .. } => None,
        Ask::Subscribe { .. } | Ask::Unsubscribe { .. } => Some("subscriptions"),
        Ask::Ack { .. } => Some("acknowledge"),
        _ => Some(ask.name()),
    }
}

fn object_of(action: Option<&'static str>, call: u64, ask: &Ask) -> String {
    let object = text_of(&Object { action, call, said: Said::of(ask) });
    match ask {
        Ask::Publish { message } | Ask::Send { message, .. } => {
            let Message { body, .. } = message;
            object::with(&object, &format!(r#""message":{body}"#))
        }
        _ => object,
    }
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    call: u64,
    #[serde(flatten)]
    said: Said<'a>,
}

/// The members of each command, but for a message. Everything is said, also what has a default: a
/// socket has defaults of its own.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Said<'a> {
    /// A message alone, or what no client says.
    Nothing {},
    Subscribe {
        agent_id: &'a AgentId,
        add: &'a Patterns,
    },
    Unsubscribe {
        agent_id: &'a AgentId,
        remove: &'a Patterns,
    },
    Send {
        to: &'a AgentId,
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        must_know: bool,
    },
    Ack {
        agent_id: &'a AgentId,
        #[serde(flatten)]
        what: What<'a>,
    },
    Nack {
        agent_id: &'a AgentId,
        seq: Ordinal,
        #[serde(skip_serializing_if = "Option::is_none")]
        attempt: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<Ordinal>,
        delay_ms: u64,
    },
    Working {
        agent_id: &'a AgentId,
        seq: Ordinal,
    },
    Page {
        agent_id: &'a AgentId,
        after: Ordinal,
        limit: usize,
    },
    Agents {
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<&'a AgentId>,
        limit: usize,
    },
    Redrive {
        agent_id: &'a AgentId,
        seqs: &'a [Ordinal],
    },
    Disconnect {
        agent_id: &'a AgentId,
        epoch: Ordinal,
    },
    Agent {
        agent_id: &'a AgentId,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<Ordinal>,
    },
    Recover {
        at_least: Ordinal,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum What<'a> {
    MessageId(&'a MessageId),
    Seqs(&'a [Ordinal]),
    UpTo(Ordinal),
    Gap(u64),
}

impl<'a> Said<'a> {
    fn of(ask: &'a Ask) -> Self {
        match ask {
            Ask::Connect { .. } | Ask::Publish { .. } => Self::Nothing {},
            Ask::Disconnect { connection } => {
                Self::Disconnect { agent_id: &connection.agent, epoch: connection.epoch }
            }
            Ask::Subscribe { agent, types } => Self::Subscribe { agent_id: agent, add: types },
            Ask::Unsubscribe { agent, types } => {
                Self::Unsubscribe { agent_id: agent, remove: types }
            }
            Ask::Send { to, must_know, .. } => Self::Send { to, must_know: *must_know },
            Ask::Ack { agent, what } => Self::Ack { agent_id: agent, what: what.into() },
            Ask::Nack { agent, seq, fence, delay } => Self::Nack {
                agent_id: agent,
                seq: *seq,
                attempt: fence.map(|fence| fence.attempt),
                epoch: fence.map(|fence| fence.epoch),
                delay_ms: delay.ms(),
            },
            Ask::Working { agent, seq } => Self::Working { agent_id: agent, seq: *seq },
            Ask::Inbox { agent, after, limit } | Ask::DeadLetters { agent, after, limit } => {
                Self::Page { agent_id: agent, after: *after, limit: *limit }
            }
            Ask::Agents { after, limit } => Self::Agents { after: after.as_ref(), limit: *limit },
            Ask::Redrive { agent, seqs } => Self::Redrive { agent_id: agent, seqs },
            Ask::Heartbeat { agent } => Self::Agent { agent_id: agent, epoch: None },
            Ask::Forget { agent, epoch } => Self::Agent { agent_id: agent, epoch: *epoch },
            Ask::Recover { at_least } => Self::Recover { at_least: *at_least },
        }
    }
}

impl<'a> From<&'a Settled> for What<'a> {
    fn from(what: &'a Settled) -> Self {
        match what {
            Settled::Seqs(seqs) => Self::Seqs(seqs),
            Settled::UpTo(seq) => Self::UpTo(*seq),
            Settled::Id(id) => Self::MessageId(id),
            Settled::Gap(through) => Self::Gap(*through),
        }
    }
}
