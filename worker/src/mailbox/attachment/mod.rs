//! Attachment of a socket: what it keeps for the object, and the tag that it is found under.
//!
//! | file | what is in it |
//! |---|---|
//! | `session` | [`Session`]: what is in flight to one session, and what it negotiated |
//! | `encoding` | text form of the messages that were pushed again |

mod encoding;
mod session;

use std::fmt::Write as _;

use mailbus_spec::mailbox::Connection;
use mailbus_spec::wire::Protocol;
use mailbus_spec::{AgentId, Ordinal};
use serde::{Deserialize, Serialize};

use crate::endpoint::{Socket, number_of, protocol_of};
use crate::object::Attachment;

pub use session::Session;

/// Attachment of a socket whose session is over, until the other end has closed it too.
const OVER: &str = "over";

/// The first line of what a socket keeps: all that a frame needs. The session on the second can be a
/// hundred times as long.
#[derive(Deserialize, Serialize)]
struct Head {
    #[serde(rename = "a")]
    agent: AgentId,
    #[serde(rename = "e")]
    epoch: Ordinal,
    #[serde(rename = "p")]
    protocol: u8,
}

/// Attachment of a session's socket.
pub(super) fn keep(session: &Session) -> Attachment {
    let Connection { agent, epoch } = session.connection();
    let head = Head { agent, epoch, protocol: number_of(protocol(session)) };
    format!("{}\n{}", json(&head), json(session))
}

/// Attachment of the socket of a session that is over.
pub(super) fn keep_nothing() -> Attachment {
    OVER.to_owned()
}

/// Reads what a socket keeps, as far as a frame needs it.
pub(super) fn socket(attachment: &str) -> Socket<Connection> {
    if attachment == OVER {
        return Socket::Over;
    }
    let head = attachment.split_once('\n').and_then(|(head, _)| head_of(head));
    head.map_or(Socket::Foreign, |(connection, protocol)| Socket::Open(connection, protocol))
}

/// Reads the session itself; nothing if another version has kept it.
pub(super) fn session(attachment: &str) -> Option<Session> {
    attachment.split_once('\n').and_then(|(_, session)| serde_json::from_str(session).ok())
}

/// Protocol that the socket of a session speaks: a window is what it negotiates.
pub(super) fn protocol(session: &Session) -> Protocol {
    if session.window.is_some() { Protocol::One } else { Protocol::Original }
}

/// The name of a session's socket: at most 145 characters, and no two sessions share one.
pub(super) fn tag(connection: &Connection) -> String {
    // An epoch has digits alone, so the line feed parts it from whatever the name begins with.
    format!("{}\n{}", connection.epoch, connection.agent)
}

fn head_of(text: &str) -> Option<(Connection, Protocol)> {
    let Head { agent, epoch, protocol } = serde_json::from_str(text).ok()?;
    Some((Connection { agent, epoch }, protocol_of(protocol)?))
}

/// JSON without letters beyond ASCII: with one of them the platform would take two bytes for every
/// letter of the text.
fn json(value: &impl Serialize) -> String {
    // Serialising to memory fails only for maps whose keys are not texts, and there are none here.
    let json = serde_json::to_string(value).unwrap_or_default();
    if json.is_ascii() {
        return json;
    }
    let mut ascii = String::with_capacity(json.len().saturating_mul(2));
    for letter in json.chars() {
        if letter.is_ascii() {
            ascii.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mailbus_spec::{SessionId, Timestamp};

    use super::*;

    fn session(agent: &str, epoch: Ordinal, window: Option<(u64, u64)>) -> Session {
        Session {
            agent: AgentId::new(agent).unwrap(),
            session: SessionId::new("s").unwrap(),
            epoch,
            window,
            since: Timestamp::from_ms(1).unwrap(),
            sent_through: Ordinal::ZERO,
            counted_through: Ordinal::ZERO,
            again: Vec::new(),
            working: None,
        }
    }

    #[test]
    fn a_socket_keeps_its_session_in_plain_letters() {
        for agent in ["ann", "a\"b", "\u{e9}\u{4e2d}\u{1f600}\u{2028}"] {
            for window in [None, Some((1, 2))] {
                let session_before = session(agent, Ordinal::MAX, window);
                let attachment = keep(&session_before);
                assert!(attachment.is_ascii(), "{attachment}");
                let Socket::Open(connection, speaks) = socket(&attachment) else {
                    panic!("{attachment}")
                };
                assert_eq!(connection, session_before.connection());
                assert_eq!(speaks, protocol(&session_before));
                assert_eq!(super::session(&attachment), Some(session_before));
            }
        }
        assert!(matches!(socket(&keep_nothing()), Socket::Over));
        assert!(matches!(socket("{}\n{}"), Socket::Foreign));
    }

    #[test]
    fn every_session_has_its_own_tag_and_none_is_too_long() {
        let long = "x".repeat(128);
        let connections = [("a", 1), ("1", 1), ("1", 11), ("11", 1), (&long, 1)]
            .map(|(agent, n)| session(agent, Ordinal::new(n).unwrap(), None).connection());
        let tags: BTreeSet<String> = connections.iter().map(tag).collect();
        assert_eq!(tags.len(), connections.len());
        let longest = tag(&session(&long, Ordinal::MAX, None).connection());
        assert_eq!(longest.chars().count(), 145);
    }
}
