//! Repetitions: an id of a sender's is accepted once, and no place in the order is given twice.

use alloc::format;
use alloc::string::String;

use super::{Transition, asked_to_send, ensure};
use crate::limits;
use crate::mailbox::answer::{Outcome, Rejection};
use crate::mailbox::message::Message;

pub(super) fn accept_once(transition: &Transition<'_>) -> Result<(), String> {
    let (before, after) = (transition.before, transition.after);
    ensure(after.last_seq >= before.last_seq, || {
        format!("the last seq fell to {}", after.last_seq)
    })?;
    let Some(now) = transition.now() else { return Ok(()) };
    for (seq, logged) in &before.log.entries {
        let ended = logged.at.plus_ms(limits::DEDUP_MS) <= now;
        ensure(ended || after.log.entries.contains_key(seq), || {
            format!("{seq} was collected while it may be repeated")
        })?;
    }
    let recent = |message: &Message| {
        message.id.as_ref()?;
        let mut rows = before.log.entries.iter().rev();
        rows.find(|(_, row)| {
            row.message.from == message.from
                && row.message.id == message.id
                && now < row.at.plus_ms(limits::DEDUP_MS)
        })
    };
    if let Some((seq, logged)) = transition.accepted() {
        ensure(before.last_seq < seq && after.last_seq == seq, || {
            format!("{seq} was accepted after {}", before.last_seq)
        })?;
        let first = recent(&logged.message);
        ensure(first.is_none(), || {
            format!("{seq} was accepted as {:?} before", first.map(|row| row.0))
        })?;
        ensure(logged.at == now, || format!("{seq} is said to be of {}", logged.at))?;
    }
    let Some((to, message)) = asked_to_send(transition) else { return Ok(()) };
    let first = recent(message);
    let same = first.is_some_and(|(_, row)| {
        row.to.as_ref() == to
            && row.message.kind == message.kind
            && row.message.payload == message.payload
    });
    match transition.answer() {
        Some(Ok(Outcome::Duplicate { seq, .. })) => {
            ensure(same && first.is_some_and(|(known, _)| known == seq), || {
                format!("{seq} was said to be a message's first place")
            })
        }
        Some(Err(Rejection::Conflict)) => {
            ensure(first.is_some() && !same, || String::from("a message conflicts with nothing"))
        }
        _ => Ok(()),
    }
}
