//! The query of `GET …/mailbox/subscribe`, which opens a socket and begins a session.

use alloc::format;
use alloc::string::{String, ToString};

use super::command::pattern;
use crate::id::{AgentId, SessionId};
use crate::limits;
use crate::mailbox::{Ask, Patterns, Window};
use crate::ordinal::Ordinal;
use crate::wire::{Code, Problem, Protocol, query};

/// Subscriber, and the session that it will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Agent of the session.
    pub agent: AgentId,
    /// Run of the agent.
    pub session: SessionId,
    /// The window of a session that speaks `protocol=1`; `None` for one that speaks the original's.
    pub window: Option<Window>,
    /// The agent's subscriptions from now on; absent leaves them.
    pub types: Option<Patterns>,
    /// The largest `seq` the agent knows of.
    pub last_seen: Option<Ordinal>,
}

impl Subscribe {
    /// Protocol that the socket speaks.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self.window {
            Some(_) => Protocol::One,
            None => Protocol::Original,
        }
    }

    /// Action that is asked of the machine.
    #[must_use]
    pub fn into_ask(self) -> Ask {
        let Self { agent, session, window, types, last_seen } = self;
        Ask::Connect { agent, session, window, types, last_seen }
    }
}

/// Reads a query, without its question mark and still encoded:
/// `agentId=…&session=…&protocol=1&window=…&windowBytes=…&types=…&types=…&lastSeen=…`.
///
/// # Errors
/// [`Problem`] if the agent is missing, a name or a pattern is not valid, a number is out of its range
/// or the protocol is not known.
pub fn decode_subscribe(text: &str) -> Result<Subscribe, Problem> {
    let (agent, session) = query::subscriber(text)?;
    let last_seen = number(text, "lastSeen")?
        .map(|value| {
            Ordinal::new(value).ok_or_else(|| {
                let most = Ordinal::MAX;
                let detail = format!("`lastSeen` in the query has to be at most {most}.");
                Problem::new(Code::Malformed, detail)
            })
        })
        .transpose()?;
    Ok(Subscribe { agent, session, window: window(text)?, types: types(text)?, last_seen })
}

/// The window is what the protocol negotiates: there is one with `protocol=1`, and only then.
fn window(text: &str) -> Result<Option<Window>, Problem> {
    let messages = number(text, "window")?;
    let bytes = number(text, "windowBytes")?;
    match query::protocol(text)? {
        Protocol::Original if messages.is_none() && bytes.is_none() => Ok(None),
        Protocol::Original => Err(Problem::new(
            Code::Malformed,
            "A session has a window with `protocol=1` only: add that to the query.",
        )),
        Protocol::One => {
            let messages = messages.unwrap_or(Window::DEFAULT.messages());
            let bytes = bytes.unwrap_or(Window::DEFAULT.bytes());
            Window::new(messages, bytes).map(Some).ok_or_else(|| {
                Problem::new(
                    Code::Malformed,
                    format!(
                        "In the query `window` has to be from 1 to {}, and `windowBytes` from 1 to {}.",
                        limits::WINDOW_MAX_MESSAGES,
                        limits::WINDOW_MAX_BYTES
                    ),
                )
            })
        }
    }
}

/// Each `types` names one pattern, and an empty one names none: a pattern may have a comma in it.
fn types(text: &str) -> Result<Option<Patterns>, Problem> {
    let texts = query::values(text, "types")?;
    if texts.is_empty() {
        return Ok(None);
    }
    let named = texts.into_iter().filter(|text| !text.is_empty());
    let patterns: Patterns = named.map(|text| pattern("types", text)).collect::<Result<_, _>>()?;
    let most = limits::AGENT_PATTERNS;
    if patterns.len() > most {
        let detail = format!("`types` in the query may name at most {most} patterns.");
        return Err(Problem::new(Code::Malformed, detail));
    }
    Ok(Some(patterns))
}

fn number(text: &str, name: &str) -> Result<Option<u64>, Problem> {
    let Some(value) = query::value(text, name)? else { return Ok(None) };
    value.parse().map(Some).map_err(|_| {
        Problem::new(Code::Malformed, format!("`{name}` in the query has to be a whole number."))
    })
}

/// The query that opens such a session.
#[must_use]
pub fn encode_subscribe(subscribe: &Subscribe) -> String {
    let Subscribe { agent, session, window, types, last_seen } = subscribe;
    let mut text = String::new();
    query::push(&mut text, "agentId", agent.as_str());
    query::push(&mut text, "session", session.as_str());
    if let Some(window) = window {
        query::push(&mut text, "protocol", "1");
        query::push(&mut text, "window", &window.messages().to_string());
        query::push(&mut text, "windowBytes", &window.bytes().to_string());
    }
    if let Some(types) = types {
        if types.is_empty() {
            query::push(&mut text, "types", "");
        }
        for pattern in types {
            query::push(&mut text, "types", pattern.as_str());
        }
    }
    if let Some(last_seen) = last_seen {
        query::push(&mut text, "lastSeen", &last_seen.to_string());
    }
    text
}
