//! Messages as they are accepted: what the bus knows of one, and the bytes it delivers.

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, InvalidId};
use crate::limits;
use crate::ordinal::Ordinal;

/// Reason why a text is not the type of a message or a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidType {
    /// It is empty.
    Empty,
    /// It is longer than [`limits::TYPE_MAX_BYTES`].
    TooLong,
    /// It has a control character, or a `*` elsewhere than a pattern may have one.
    Character,
    /// It begins with `$`: those are the bus's own.
    Reserved,
}

impl fmt::Display for InvalidType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => write!(f, "is longer than {} bytes", limits::TYPE_MAX_BYTES),
            Self::Character => f.write_str("has a character that is not allowed"),
            Self::Reserved => f.write_str("begins with `$`, which is the bus's own"),
        }
    }
}

impl core::error::Error for InvalidType {}

/// Type of a message, its subject: 1..=128 bytes without control characters and without `*`, not
/// beginning with `$`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MessageType(String);

impl MessageType {
    /// Parses the type.
    ///
    /// # Errors
    /// [`InvalidType`] says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidType> {
        let text = text.into();
        check(&text)?;
        if text.contains('*') { Err(InvalidType::Character) } else { Ok(Self(text)) }
    }

    /// The text of the type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if messages of this type are ephemeral, whatever they say: a `heartbeat`.
    #[must_use]
    pub fn is_heartbeat(&self) -> bool {
        self.0 == "heartbeat"
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MessageType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

pub(super) fn check(text: &str) -> Result<(), InvalidType> {
    if text.is_empty() {
        Err(InvalidType::Empty)
    } else if text.len() > limits::TYPE_MAX_BYTES {
        Err(InvalidType::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(InvalidType::Character)
    } else if text.starts_with('$') {
        Err(InvalidType::Reserved)
    } else {
        Ok(())
    }
}

/// A sender's idempotency key for one message: 1..=128 bytes without control characters. It names no
/// delivery.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    /// Parses the key.
    ///
    /// # Errors
    /// [`InvalidId`] says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        // The bounds of names are the bounds of keys.
        AgentId::new(text).map(|checked| Self(String::from(checked.as_str())))
    }

    /// The text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The id under which a message is delivered whose sender gave it none: `m-<seq>`.
#[must_use]
pub fn derived_id(seq: Ordinal) -> String {
    format!("m-{seq}")
}

/// A message as it is accepted.
///
/// Invariant: all members but `body` say again what is in `body`, for those who decide; only the wire
/// makes one out of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Sender: the authenticated agent.
    pub from: AgentId,
    /// The sender's idempotency key. Without one the message is not deduplicated; it is then delivered
    /// under an id that follows from its `seq`.
    pub id: Option<MessageId>,
    /// Type of the message: its subject.
    pub kind: MessageType,
    /// True if only an ack settles it, in a session that negotiated nothing too.
    pub ack_required: bool,
    /// True if it is for those who are there now, and kept by nobody.
    pub ephemeral: bool,
    /// The raw JSON text of its payload: what a repetition must repeat.
    pub payload: Option<String>,
    /// The JSON object as it came, all its members in their own order and spelling, without `seq`,
    /// `attempt` and `redriven`; at most [`limits::MESSAGE_MAX_BYTES`] bytes.
    pub body: String,
}

impl Message {
    /// True if the message of this `seq` is known by this id: its sender's, or the one it was delivered
    /// under.
    #[must_use]
    pub fn is_called(&self, seq: Ordinal, id: &MessageId) -> bool {
        match &self.id {
            Some(own) => own == id,
            None => id.as_str() == derived_id(seq),
        }
    }

    /// Number of bytes that it counts for in windows, inboxes and the log.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.body.len() as u64
    }
}
