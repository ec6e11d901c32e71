//! The query of `GET …/lease/subscribe`, which opens a socket.

use alloc::format;
use alloc::string::String;

use crate::id::{AgentId, Holder, SessionId};
use crate::wire::{Code, Problem, Protocol, query};

/// Subscriber, and the protocol that the socket will speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Session of the socket.
    pub holder: Holder,
    /// What it speaks.
    pub protocol: Protocol,
}

/// Reads a query, without its question mark and still encoded:
/// `agentId=…&session=…&protocol=1`.
///
/// # Errors
/// [`Problem`] if the agent is missing, a name is not valid or the protocol is not known.
pub fn decode_subscribe(text: &str) -> Result<Subscribe, Problem> {
    let agent = query::value(text, "agentId")?.ok_or_else(|| {
        Problem::new(Code::Malformed, "`agentId` is missing in the query: say whose socket it is.")
    })?;
    let agent = AgentId::new(agent).map_err(|invalid| {
        Problem::new(Code::IdInvalid, format!("`agentId` in the query {invalid}."))
    })?;
    let session = query::value(text, "session")?.unwrap_or_default();
    let session = SessionId::new(session).map_err(|invalid| {
        Problem::new(Code::IdInvalid, format!("`session` in the query {invalid}."))
    })?;
    let protocol = match query::value(text, "protocol")?.as_deref() {
        None => Protocol::Original,
        Some("1") => Protocol::One,
        Some(_) => {
            return Err(Problem::new(
                Code::Malformed,
                "`protocol` in the query has to be 1, or absent for the original's.",
            ));
        }
    };
    Ok(Subscribe { holder: Holder { agent, session }, protocol })
}

/// The query that opens a `protocol=1` socket for this holder.
#[must_use]
pub fn encode_subscribe(holder: &Holder) -> String {
    let mut text = String::new();
    query::push(&mut text, "agentId", holder.agent.as_str());
    query::push(&mut text, "session", holder.session.as_str());
    query::push(&mut text, "protocol", "1");
    text
}
