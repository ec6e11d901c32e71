//! Messages as their recipients see them, both ways.

use alloc::format;
use alloc::string::String;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::message::Members;
use crate::mailbox::Message;
use crate::mailbox::message::derived_id;
use crate::ordinal::Ordinal;
use crate::wire::Undecodable;
use crate::wire::object::with;

/// A message as a recipient sees it: the bytes that were accepted, and after them what the bus says.
pub(super) fn delivered(
    message: &Message,
    seq: Ordinal,
    attempt: Option<u64>,
    redriven: bool,
) -> String {
    let id = match message.id {
        Some(_) => String::new(),
        None => format!(r#""id":"{}","#, derived_id(seq)),
    };
    let attempt = attempt.map(|attempt| format!(r#","attempt":{attempt}"#)).unwrap_or_default();
    let redriven = if redriven { r#","redriven":true"# } else { "" };
    with(&message.body, &format!(r#"{id}"seq":{seq}{attempt}{redriven}"#))
}

/// Delivery as a recipient reads it out of [`delivered`], or an ephemeral message, without `seq`.
pub(super) struct Delivered {
    pub(super) seq: Option<Ordinal>,
    pub(super) attempt: Option<u64>,
    pub(super) redriven: bool,
    pub(super) message: Message,
}

impl Delivered {
    pub(super) fn read(text: &str) -> Result<Self, Undecodable> {
        let members = Members::read(text).map_err(Undecodable::new)?;
        let seq = said(members.seq)?;
        let attempt = said(members.attempt)?;
        let redriven = said(members.redriven)?.unwrap_or(false);
        let message = members.message(None);
        let mut message = message.map_err(|problem| Undecodable::new(problem.detail))?;
        if let Some(seq) = seq {
            without_derived_id(&mut message, seq);
        }
        Ok(Self { seq, attempt, redriven, message })
    }
}

fn said<'a, T: Deserialize<'a>>(member: Option<&'a RawValue>) -> Result<Option<T>, Undecodable> {
    let read = |value: &'a RawValue| serde_json::from_str(value.get());
    member.map(read).transpose().map_err(Undecodable::new)
}

/// Takes out of a message the `id` that it was delivered under for want of one.
fn without_derived_id(message: &mut Message, seq: Ordinal) {
    let added = format!(r#","id":"{}"}}"#, derived_id(seq));
    if let Some(open) = message.body.strip_suffix(&added) {
        message.body = [open, "}"].concat();
        message.id = None;
    }
}
