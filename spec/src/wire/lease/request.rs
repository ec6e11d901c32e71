//! Requests: the object of one lease command, and what several commands say alike.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{AgentId, Holder, SessionId};
use crate::limits;
use crate::wire::field::elements;
use crate::wire::request::{self, members};
use crate::wire::{Code, Problem};

/// The object of one command, and the holder whose socket it came over.
pub(super) type Request<'a> = request::Request<'a, Members<'a>, Holder>;

members! {
    agent_id: "agentId",
    session: "session",
    request: "request",
    paths: "paths",
    file: "file",
    path: "path",
    ttl_ms: "ttlMs",
    wait_ms: "waitMs",
    token: "token",
    reason: "reason",
    drain: "drain",
    prefix: "prefix",
    after: "after",
    limit: "limit",
    tickets: "tickets",
    after_arrival: "afterArrival",
    arrival: "arrival",
    generation: "generation",
    at_least: "atLeast",
}

impl Request<'_> {
    /// Holder that asks.
    pub(super) fn holder(&self) -> Result<Holder, Problem> {
        let agent = self.agent_id();
        let session = self.session().id(SessionId::new)?;
        match (agent.id(AgentId::new)?, self.socket) {
            (Some(agent), Some(socket)) if agent != socket.agent => Err(Problem::new(
                Code::Forbidden,
                format!("This socket is {}'s; {agent} has to ask over its own.", socket.agent),
            )),
            (Some(agent), None) => {
                Ok(Holder { agent, session: session.unwrap_or_else(SessionId::original) })
            }
            (_, Some(socket)) => Ok(Holder {
                agent: socket.agent.clone(),
                session: session.unwrap_or_else(|| socket.session.clone()),
            }),
            (None, None) => Err(agent.malformed("the name of the agent that asks")),
        }
    }

    /// The elements of `paths`, as they are spelled.
    pub(super) fn path_texts(&self) -> Result<Vec<String>, Problem> {
        let field = self.paths();
        let most = limits::CLAIM_MAX_PATHS;
        let Some(value) = field.value else { return Ok(Vec::new()) };
        let texts: Option<Vec<String>> =
            elements(value.get(), most).map_err(|_| field.malformed("an array of texts"))?;
        texts.ok_or_else(|| {
            let detail = format!("`paths` has more than {most} paths. Claim fewer at once.");
            Problem::new(Code::TooManyPaths, detail)
        })
    }
}
