//! Session as its socket keeps it while the object is not in memory.

use mailbus_spec::mailbox::{Connection, Window};
use mailbus_spec::{AgentId, Ordinal, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::encoding;

/// Flights to one session, and what it negotiated.
///
/// In flight is every unsettled message up to `sent_through` that was never given back, and what
/// `again` lists. It lives in the socket's attachment: eviction loses nothing of it, a crash all, and no
/// row is written for a push.
///
/// Invariant: with the longest names and [`Window`]'s bound of 1 024 entries in `again` its JSON, without
/// letters beyond ASCII, is below the platform's 16 384 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Agent that it concerns.
    #[serde(rename = "a")]
    pub agent: AgentId,
    /// Run of the agent.
    #[serde(rename = "s")]
    pub session: SessionId,
    /// Its epoch.
    #[serde(rename = "e")]
    pub epoch: Ordinal,
    /// Messages and bytes of its window; `None` for a session that negotiated nothing.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(u64, u64)>,
    /// Object time of the last event that pushed it something accepted earlier.
    #[serde(rename = "t")]
    pub since: Timestamp,
    /// First pushes have come to here.
    #[serde(rename = "p")]
    pub sent_through: Ordinal,
    /// First pushes up to here are counted among the attempts on record.
    #[serde(rename = "c")]
    pub counted_through: Ordinal,
    /// Pushes of messages that were given back or redriven before, by `seq`, and whether that push is
    /// counted among the attempts on record.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty", with = "encoding")]
    pub again: Vec<(Ordinal, bool)>,
    /// The delivery that its client is about to handle.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub working: Option<Ordinal>,
}

impl Session {
    /// The session's name.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection { agent: self.agent.clone(), epoch: self.epoch }
    }

    /// The window it negotiated; `None` for a session that negotiated nothing.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.window.and_then(|(messages, bytes)| Window::new(messages, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session with `entries` messages in flight again, `apart` from each other.
    fn session(entries: u64, apart: u64) -> Session {
        let name = "\"".repeat(128);
        let ordinal = |number| Ordinal::new(number).unwrap();
        Session {
            agent: AgentId::new(name.clone()).unwrap(),
            session: SessionId::new(name).unwrap(),
            epoch: Ordinal::MAX,
            window: Some((1_024, 16 << 20)),
            since: Timestamp::from_ms((1 << 43) - 1).unwrap(),
            sent_through: Ordinal::MAX,
            counted_through: Ordinal::MAX,
            again: (1..=entries).map(|n| (ordinal(n * apart), n % 3 == 0)).collect(),
            working: Some(Ordinal::MAX),
        }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let seconds = 1_000 << 10;
        for kept in [session(0, 1), session(1, 7), session(1_024, seconds)] {
            let json = serde_json::to_string(&kept).unwrap();
            assert_eq!(serde_json::from_str::<Session>(&json).unwrap(), kept, "{json}");
        }
        let kept = serde_json::to_string(&session(2, 5)).unwrap();
        for broken in ["x", "a.", ".a", "-1", "ffffffffffffffff.ffffffffffffffff"] {
            let json = kept.replace("\"a.a\"", &format!("\"{broken}\""));
            assert_ne!(json, kept);
            assert!(serde_json::from_str::<Session>(&json).is_err(), "{broken}");
        }
    }

    #[test]
    fn the_largest_session_is_below_what_a_socket_may_keep() {
        let farthest = Ordinal::MAX.get() / 1_024;
        let bytes = |apart| serde_json::to_string(&session(1_024, apart)).unwrap().len();
        assert!(bytes(farthest) < 15_000, "{}", bytes(farthest));
        assert!(bytes(600_000 << 10) < 11_000, "{}", bytes(600_000 << 10));
    }
}
