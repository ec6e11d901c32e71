//! Messages before they have an id.

use std::time::Duration;

use mailbus_spec::mailbox::{InvalidType, Message, MessageId, MessageType};
use mailbus_spec::wire::mailbox::decode_message;
use mailbus_spec::{AgentId, limits};
use serde::Serialize;
use serde_json::value::RawValue;

/// A message to be sent. The session gives it its id and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    kind: String,
    id: Option<MessageId>,
    payload: Option<String>,
    ack_required: bool,
    ephemeral: bool,
}

/// Reason why a message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// Its type is none.
    #[error("the message's type {0}")]
    Type(InvalidType),
    /// Its payload is not JSON.
    #[error("the payload is not JSON: {0}")]
    Payload(String),
    /// It is larger than the service takes.
    #[error("the message has {bytes} bytes, and at most {most} are taken")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// Too many messages are under way.
    #[error("{} messages are under way already; wait for some of them", super::Config::UNDER_WAY)]
    Busy,
    /// The session is over, or being shut down.
    #[error("the session is over")]
    Over,
}

impl Draft {
    /// A message of this type, without a payload.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        let kind = kind.into();
        Self { kind, id: None, payload: None, ack_required: true, ephemeral: false }
    }

    /// The same with this payload.
    ///
    /// # Errors
    /// [`Unsendable::Payload`] if it cannot be written as JSON.
    pub fn payload(self, payload: &impl Serialize) -> Result<Self, Unsendable> {
        let payload = serde_json::to_string(payload)
            .map_err(|error| Unsendable::Payload(error.to_string()))?;
        Ok(Self { payload: Some(payload), ..self })
    }

    /// The same with this JSON text as payload. Its spelling reaches the recipients.
    ///
    /// # Errors
    /// [`Unsendable::Payload`] if it is not JSON.
    pub fn raw_payload(self, payload: impl Into<String>) -> Result<Self, Unsendable> {
        let payload = payload.into();
        serde_json::from_str::<&RawValue>(&payload)
            .map_err(|error| Unsendable::Payload(error.to_string()))?;
        Ok(Self { payload: Some(payload), ..self })
    }

    /// The same under an idempotency key of one's own: within two minutes the service accepts it once,
    /// whichever session sends it, and refuses another message under it.
    #[must_use]
    pub fn id(self, id: MessageId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The same for recipients that speak the original's protocol and may forget about it: there it
    /// counts as settled some time after its delivery. Sessions of this client settle it in any case.
    #[must_use]
    pub fn without_ack(self) -> Self {
        Self { ack_required: false, ..self }
    }

    /// The same for those alone who are there now: nobody keeps it. At most
    /// [`EPHEMERAL_MAX_BYTES`](limits::EPHEMERAL_MAX_BYTES).
    #[must_use]
    pub fn ephemeral(self) -> Self {
        Self { ephemeral: true, ..self }
    }
}

/// A message as its sender writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a MessageType,
    from: &'a AgentId,
    /// Time at which it was written, in milliseconds since the epoch by the sender's wall clock. Nobody
    /// reads it but people.
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ack_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ephemeral: bool,
}

impl Draft {
    /// The message that `from` sends at `wall`, under `id` unless it has one of its own.
    pub(super) fn compose(
        &self,
        from: &AgentId,
        id: &str,
        wall: Duration,
    ) -> Result<Message, Unsendable> {
        let kind = MessageType::new(self.kind.as_str()).map_err(Unsendable::Type)?;
        let payload = self.payload.as_deref().map(serde_json::from_str::<&RawValue>);
        let payload =
            payload.transpose().map_err(|error| Unsendable::Payload(error.to_string()))?;
        let ephemeral = self.ephemeral || kind.is_heartbeat();
        let written = Written {
            id: self.id.as_ref().map_or(id, MessageId::as_str),
            kind: &kind,
            from,
            timestamp: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            payload,
            ack_required: self.ack_required && !ephemeral,
            ephemeral,
        };
        let text = serde_json::to_string(&written)
            .map_err(|error| Unsendable::Payload(error.to_string()))?;
        let most = if ephemeral { limits::EPHEMERAL_MAX_BYTES } else { limits::MESSAGE_MAX_BYTES };
        if text.len() > most {
            return Err(Unsendable::TooLarge { bytes: text.len(), most });
        }
        decode_message(&text, Some(from)).map_err(|problem| Unsendable::Payload(problem.detail))
    }
}
