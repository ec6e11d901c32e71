//! The query of `GET …/lease/subscribe`, which opens a socket.

use alloc::string::String;

use crate::id::Holder;
use crate::wire::{Problem, Protocol, query};

/// Subscriber, and the protocol that the socket will speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Session of the socket.
    pub holder: Holder,
    /// Protocol that it speaks.
    pub protocol: Protocol,
}

/// Reads a query, without its question mark and still encoded:
/// `agentId=…&session=…&protocol=1`.
///
/// # Errors
/// [`Problem`] if the agent is missing, a name is not valid or the protocol is not known.
pub fn decode_subscribe(text: &str) -> Result<Subscribe, Problem> {
    let (agent, session) = query::subscriber(text)?;
    let protocol = query::protocol(text)?;
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
