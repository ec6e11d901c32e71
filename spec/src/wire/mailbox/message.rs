//! Messages: out of bytes that somebody sends, and out of bytes that are stored.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::request::speaker;
use crate::id::AgentId;
use crate::limits;
use crate::mailbox::{Message, MessageId, MessageType};
use crate::wire::field::Field;
use crate::wire::object;
use crate::wire::{Code, Problem, text_of};

/// The message that somebody sends as this JSON object. `socket` is whose socket it came over, if over
/// one: its agent is the sender, and no other may be named.
///
/// # Errors
/// The [`Problem`] to answer: `malformed`, `id_invalid`, `forbidden` or `message_too_large`.
pub fn decode_message(text: &str, socket: Option<&AgentId>) -> Result<Message, Problem> {
    let members = Members::read(text).map_err(|error| {
        Problem::new(Code::Malformed, format!("This is not the JSON of a message: {error}."))
    })?;
    let message = members.message(socket)?;
    let (most, what) = if message.ephemeral {
        (limits::EPHEMERAL_MAX_BYTES, "an ephemeral message")
    } else {
        (limits::MESSAGE_MAX_BYTES, "a message")
    };
    let bytes = message.body.len();
    if bytes > most {
        let detail = format!("The message has {bytes} bytes; {what} may have at most {most}.");
        return Err(Problem::new(Code::MessageTooLarge, detail));
    }
    if depth(&message.body) > limits::MESSAGE_MAX_DEPTH {
        let most = limits::MESSAGE_MAX_DEPTH;
        let detail = format!("The message is nested more than {most} levels deep.");
        return Err(Problem::new(Code::Malformed, detail));
    }
    Ok(message)
}

/// Depth to which the arrays and objects of a JSON text are nested.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth = depth.saturating_add(1);
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The message of which this is the [`body`](Message::body); `None` if it is nobody's.
#[must_use]
pub fn stored_message(body: &str) -> Option<Message> {
    Members::read(body).ok()?.message(None).ok()
}

/// The raw text of the payload in the [`body`](Message::body) of a message, if it has one.
#[must_use]
pub fn payload_of(body: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow)]
        payload: Option<&'a RawValue>,
    }
    serde_json::from_str::<Payload<'_>>(body).ok()?.payload.map(RawValue::get)
}

/// The members of a message that mean something to the bus.
#[derive(Default)]
pub(super) struct Members<'a> {
    id: Option<&'a RawValue>,
    from: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    ack_required: Option<&'a RawValue>,
    ephemeral: Option<&'a RawValue>,
    /// Place of a delivery, by the bus. From anybody else it and the two below mean nothing.
    pub(super) seq: Option<&'a RawValue>,
    pub(super) attempt: Option<&'a RawValue>,
    pub(super) redriven: Option<&'a RawValue>,
    /// The object as it came, without those three, and without an `id` or a `from` that says nothing.
    body: String,
}

impl<'a> Members<'a> {
    /// Reads the text of one object.
    pub(super) fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        let text = text.trim_matches([' ', '\t', '\n', '\r']);
        // The error of anything else would repeat all of it.
        if !text.starts_with('{') {
            return Err(serde_json::Error::custom("it is no object"));
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let members = deserializer.deserialize_map(Reading(text))?;
        deserializer.end()?;
        Ok(members)
    }

    /// Notes the value of a member; true if the member stays in the body. Members that only the bus may say do
    /// not, and neither do an `id` and a `from` that say nothing: the bus says them instead.
    fn take<E: serde::de::Error>(&mut self, name: &str, value: &'a RawValue) -> Result<bool, E> {
        let member = match name {
            "id" => &mut self.id,
            "from" => &mut self.from,
            "type" => &mut self.kind,
            "payload" => &mut self.payload,
            "ackRequired" => &mut self.ack_required,
            "ephemeral" => &mut self.ephemeral,
            "seq" => &mut self.seq,
            "attempt" => &mut self.attempt,
            "redriven" => &mut self.redriven,
            _ => return Ok(true),
        };
        let repeated = member.replace(value).is_some();
        match name {
            "seq" | "attempt" | "redriven" => Ok(false),
            _ if repeated => Err(E::custom(format_args!("duplicate field `{name}`"))),
            "id" => Ok(!matches!(value.get(), "null" | r#""""#)),
            "from" => Ok(value.get() != "null"),
            _ => Ok(true),
        }
    }

    /// The message that these members make.
    pub(super) fn message(self, socket: Option<&AgentId>) -> Result<Message, Problem> {
        let field = |name, value: Option<&'a RawValue>| Field {
            name,
            value: value.filter(|value| value.get() != "null"),
        };
        let kind = field("type", self.kind);
        let text = kind.text()?.ok_or_else(|| kind.malformed("what the message is about"))?;
        let kind = MessageType::new(text).map_err(|invalid| {
            Problem::new(Code::Malformed, format!("The message's `type` {invalid}."))
        })?;
        let id = field("id", self.id.filter(|id| id.get() != r#""""#)).id(MessageId::new)?;
        let named = field("from", self.from);
        let from = speaker(named, socket)?;
        let ack_required = field("ackRequired", self.ack_required).flag()?.unwrap_or(false);
        let ephemeral = field("ephemeral", self.ephemeral).flag()?.unwrap_or(false);
        let ephemeral = ephemeral || kind.is_heartbeat();
        let payload = field("payload", self.payload).value.map(|raw| String::from(raw.get()));
        let body = if named.is_present() {
            self.body
        } else {
            object::with(&self.body, &format!(r#""from":{}"#, text_of(&from)))
        };
        Ok(Message { from, id, kind, ack_required, ephemeral, payload, body })
    }
}

/// Reads the members of the object that is this text.
struct Reading<'a>(&'a str);

impl<'de> Visitor<'de> for Reading<'de> {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        let mut members = Members { body: String::from("{"), ..Members::default() };
        members.body.reserve(self.0.len());
        // Where the member begins: after the brace or the comma before it.
        let mut start = 1;
        while let Some(Name(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            let spelled = end_of_member(self.0, value.get())
                .and_then(|end| Some((self.0.get(start..end)?, end.checked_add(1)?)));
            // A value that was read out of the text lies in it.
            let (spelled, next) =
                spelled.ok_or_else(|| A::Error::custom("a value from nowhere"))?;
            start = next;
            if members.take(&name, value)? {
                if members.body.len() > 1 {
                    members.body.push(',');
                }
                members.body.push_str(spelled);
            }
        }
        members.body.push('}');
        Ok(members)
    }
}

/// Place of the comma or brace that ends the member with this value, a part of `text`.
fn end_of_member(text: &str, value: &str) -> Option<usize> {
    let start = value.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = start.checked_add(value.len())?;
    // Between a value and what ends it there is only white space.
    let distance = text.get(end..)?.find([',', '}'])?;
    end.checked_add(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        let payload = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"from":"a","type":"t","payload":{payload},"text":"[[[\\\"[["}}"#)
    }

    #[test]
    fn a_message_that_its_readers_could_not_read_is_refused() {
        let most = limits::MESSAGE_MAX_DEPTH - 1;
        assert!(decode_message(&nested(most), None).is_ok());
        let refused = decode_message(&nested(most + 1), None).unwrap_err();
        assert_eq!(refused.code, Code::Malformed);
        let frame = format!("[{}]", nested(most));
        assert!(serde_json::from_str::<serde_json::Value>(&frame).is_ok());
    }
}
