//! The query of a URL: `name=value` pairs, percent-encoded.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Code, Problem, Protocol};
use crate::id::{AgentId, InvalidId, SessionId};

/// Characters to escape: all but those that RFC 3986 leaves as they are wherever they stand.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The value of the first pair with this name, decoded; `+` is a space, as browsers write it.
pub(super) fn value(query: &str, name: &str) -> Result<Option<String>, Problem> {
    pairs(query, name).next().transpose()
}

/// The values of all pairs with this name, each decoded, in order.
pub(super) fn values(query: &str, name: &str) -> Result<Vec<String>, Problem> {
    pairs(query, name).collect()
}

/// The agent and the run of it that a socket is opened for.
pub(super) fn subscriber(query: &str) -> Result<(AgentId, SessionId), Problem> {
    let invalid = |name: &str, invalid: InvalidId| {
        Problem::new(Code::IdInvalid, format!("`{name}` in the query {invalid}."))
    };
    let agent = value(query, "agentId")?.ok_or_else(|| {
        Problem::new(Code::Malformed, "`agentId` is missing in the query: say whose socket it is.")
    })?;
    let agent = AgentId::new(agent).map_err(|why| invalid("agentId", why))?;
    let session = value(query, "session")?.unwrap_or_default();
    let session = SessionId::new(session).map_err(|why| invalid("session", why))?;
    Ok((agent, session))
}

/// The protocol that the socket will speak.
pub(super) fn protocol(query: &str) -> Result<Protocol, Problem> {
    match value(query, "protocol")?.as_deref() {
        None => Ok(Protocol::Original),
        Some("1") => Ok(Protocol::One),
        Some(_) => Err(Problem::new(
            Code::Malformed,
            "`protocol` in the query has to be 1, or absent for the original's.",
        )),
    }
}

fn pairs(query: &str, name: &str) -> impl Iterator<Item = Result<String, Problem>> {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(key).is_ok_and(|key| key == name).then(|| {
            decoded(value).map_err(|()| {
                Problem::new(
                    Code::Malformed,
                    format!("`{name}` in the query is not UTF-8 after percent-decoding."),
                )
            })
        })
    })
}

fn decoded(text: &str) -> Result<String, ()> {
    let spaced =
        if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    percent_decode_str(&spaced).decode_utf8().map(Cow::into_owned).map_err(|_| ())
}

/// Appends `name=value`, with whatever the value has escaped.
pub(super) fn push(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(name);
    query.push('=');
    query.extend(utf8_percent_encode(value, ESCAPED));
}
