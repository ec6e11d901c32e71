//! Requests: the object of one mailbox command, and what several commands say alike.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::value::RawValue;

use crate::id::AgentId;
use crate::mailbox::Connection;
use crate::wire::field::{Field, elements};
use crate::wire::request::{self, members};
use crate::wire::{Code, Problem};

/// The object of one command, and the session whose socket it came over.
pub(super) type Request<'a> = request::Request<'a, Members<'a>, Connection>;

members! {
    agent_id: "agentId",
    message: "message",
    target_agent: "targetAgent",
    to: "to",
    must_know: "mustKnow",
    message_id: "messageId",
    seqs: "seqs",
    up_to: "upTo",
    gap: "gap",
    seq: "seq",
    delay_ms: "delayMs",
    after: "after",
    limit: "limit",
    add: "add",
    remove: "remove",
    kind: "type",
    epoch: "epoch",
    attempt: "attempt",
    at_least: "atLeast",
}

/// Speaker of a request: the agent that the member names, or the socket's. Over a socket nobody
/// speaks for another.
pub(super) fn speaker(named: Field<'_>, socket: Option<&AgentId>) -> Result<AgentId, Problem> {
    match (named.id(AgentId::new)?, socket) {
        (Some(agent), Some(own)) if agent != *own => Err(Problem::new(
            Code::Forbidden,
            format!("This socket is {own}'s; {agent} has to speak over its own."),
        )),
        (Some(agent), _) => Ok(agent),
        (None, Some(own)) => Ok(own.clone()),
        (None, None) => Err(named.malformed("the name of the agent that asks")),
    }
}

impl<'a> Request<'a> {
    /// Agent that asks.
    pub(super) fn agent(&self) -> Result<AgentId, Problem> {
        speaker(self.agent_id(), self.socket.map(|socket| &socket.agent))
    }

    /// The text of the message that the command carries.
    pub(super) fn message_text(&self) -> Result<&'a str, Problem> {
        let field = self.message();
        field.value.map(RawValue::get).ok_or_else(|| field.malformed("the message to send"))
    }

    /// The elements of an array of texts, at most `most`.
    pub(super) fn texts(field: Field<'a>, most: usize) -> Result<Vec<String>, Problem> {
        let Some(value) = field.value else { return Ok(Vec::new()) };
        elements(value.get(), most)
            .ok()
            .flatten()
            .ok_or_else(|| field.malformed(format_args!("an array of at most {most} texts")))
    }
}
