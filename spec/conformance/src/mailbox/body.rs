//! Messages as scripts write them, and the bytes they stand for.
//!
//! A message of a script has its members in a fixed order, `from` among them, so that what is sent is
//! stored and delivered byte for byte.

use core::fmt::Write;

use crate::directive::keyed;
use mailbus_spec::id::AgentId;
use mailbus_spec::mailbox::{Message, MessageId, MessageType};

/// Member that fills a message up to its size.
const FILL: &str = ",\"fill\":\"";

/// A message from its words: `task.new id=m1 payload=[1] ackRequired ephemeral extra=3 bytes=300`.
pub(super) fn parse(from: &AgentId, kind: &str, rest: &[&str]) -> Result<Message, String> {
    let kind = MessageType::new(kind).map_err(|invalid| format!("the type `{kind}` {invalid}"))?;
    let id = keyed(rest, "id")
        .map(|text| MessageId::new(text).map_err(|invalid| format!("the id `{text}` {invalid}")))
        .transpose()?;
    let bytes = keyed(rest, "bytes")
        .map(|text| text.parse().map_err(|_| format!("`bytes={text}` is not a number of bytes")))
        .transpose()?;
    let written = Written {
        from,
        id,
        kind,
        ack_required: rest.contains(&"ackRequired"),
        says_ephemeral: rest.contains(&"ephemeral"),
        payload: keyed(rest, "payload"),
        extra: keyed(rest, "extra"),
    };
    written.message(bytes)
}

/// The words after the sender, each behind a space.
pub(super) fn spell(line: &mut String, message: &Message) {
    let Message { id, kind, ack_required, payload, .. } = message;
    let _ = write!(line, " {kind}");
    if let Some(id) = id {
        let _ = write!(line, " id={id}");
    }
    if let Some(payload) = payload {
        let _ = write!(line, " payload={payload}");
    }
    if *ack_required {
        line.push_str(" ackRequired");
    }
    if says_ephemeral(message) {
        line.push_str(" ephemeral");
    }
    let extra = extra(message);
    if let Some(extra) = &extra {
        let _ = write!(line, " extra={extra}");
    }
    if message.body.contains(FILL) {
        let _ = write!(line, " bytes={}", message.body.len());
    }
}

fn says_ephemeral(message: &Message) -> bool {
    message.body.contains(",\"ephemeral\":true")
}

/// The member that the bus does not know.
fn extra(message: &Message) -> Option<String> {
    let members: serde_json::Value = serde_json::from_str(&message.body).ok()?;
    members.get("extra").map(ToString::to_string)
}

/// The members of a message.
pub(super) struct Written<'a> {
    pub from: &'a AgentId,
    pub id: Option<MessageId>,
    pub kind: MessageType,
    pub ack_required: bool,
    pub says_ephemeral: bool,
    /// Raw JSON.
    pub payload: Option<&'a str>,
    /// Raw JSON of a member that the bus does not know.
    pub extra: Option<&'a str>,
}

impl Written<'_> {
    /// The message, filled up to this size if one is given.
    pub fn message(self, bytes: Option<usize>) -> Result<Message, String> {
        let mut body = String::from("{");
        if let Some(extra) = self.extra {
            let _ = write!(body, "\"extra\":{extra},");
        }
        if let Some(id) = &self.id {
            let _ = write!(body, "\"id\":{},", quoted(id.as_str()));
        }
        let (kind, from) = (quoted(self.kind.as_str()), quoted(self.from.as_str()));
        let _ = write!(body, "\"type\":{kind},\"from\":{from}");
        if let Some(payload) = self.payload {
            let _ = write!(body, ",\"payload\":{payload}");
        }
        if self.ack_required {
            body.push_str(",\"ackRequired\":true");
        }
        if self.says_ephemeral {
            body.push_str(",\"ephemeral\":true");
        }
        if let Some(bytes) = bytes {
            fill(&mut body, bytes)?;
        }
        body.push('}');
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
        if !is_json {
            return Err(String::from("the message ends too early or has a wrong member"));
        }
        Ok(Message {
            from: self.from.clone(),
            id: self.id,
            ack_required: self.ack_required,
            ephemeral: self.says_ephemeral || self.kind.is_heartbeat(),
            kind: self.kind,
            payload: self.payload.map(String::from),
            body,
        })
    }
}

/// Fills an open body so that it is this long once it is closed.
fn fill(body: &mut String, bytes: usize) -> Result<(), String> {
    let least = body.len() + FILL.len() + "\"}".len();
    let missing = bytes.checked_sub(least);
    let missing = missing.ok_or_else(|| format!("the message has at least {least} bytes"))?;
    body.push_str(FILL);
    body.extend(core::iter::repeat_n('.', missing));
    body.push('"');
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
