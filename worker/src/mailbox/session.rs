//! A session as its socket keeps it while the object is not in memory.

use mailbus_spec::mailbox::{Connection, Window};
use mailbus_spec::{AgentId, Ordinal, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

/// What is in flight to one session, and what it negotiated.
///
/// In flight is every unsettled message up to `sent_through` that was never given back, and what
/// `again` lists. It lives in the socket's attachment: eviction loses nothing of it, a crash all, and no
/// row is written for a push.
///
/// Invariant: with the longest names and [`Window`]'s bound of 1 024 entries in `again` its JSON is below
/// the platform's 16 384 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    #[serde(rename = "a")]
    pub agent: AgentId,
    /// Which run of the agent.
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
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
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
