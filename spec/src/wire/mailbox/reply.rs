//! Answers of the mailbox object, both ways.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use serde::Serialize;
use serde_json::value::RawValue;

use super::delivered::{Delivered, delivered};
use super::detail;
use super::members::{Ahead, Inbox, Letter, LetterStart, Letters, Said, Success, Unknown};
use crate::mailbox::{DeadLetter, MailboxReply, Outcome, Pending, Rejection};
use crate::ordinal::Ordinal;
use crate::wire::object::{array, with};
use crate::wire::reply::{Clock, Envelope, Limit, Nothing, Reading, said};
use crate::wire::{Answer, Code, Undecodable, text_of};

/// The answer to attempt `number`. The body is also the command's reply in a frame.
#[must_use]
pub fn encode_reply(number: Option<u64>, reply: &MailboxReply) -> Answer {
    let envelope = Envelope { call: number, commit: reply.commit };
    match &reply.answer {
        Ok(outcome) => Answer::ok(success(&envelope, outcome)),
        Err(rejection) => refusal(&envelope, rejection),
    }
}

fn success(envelope: &Envelope, outcome: &Outcome) -> String {
    match Said::of(outcome) {
        Said::Whole(success) => envelope.around(success),
        Said::Inbox(messages, end) => {
            let messages =
                array(messages.iter().map(|pending| {
                    delivered(&pending.message, pending.seq, None, pending.redriven)
                }));
            page(envelope, &format!(r#"{{"outcome":"inbox","messages":{messages}}}"#), end)
        }
        Said::DeadLetters(letters, end) => {
            let letters = array(letters.iter().map(letter));
            page(envelope, &format!(r#"{{"outcome":"dead_letters","letters":{letters}}}"#), end)
        }
    }
}

/// The object `start`, and in it what else is said.
fn page(envelope: &Envelope, start: &str, end: impl Serialize) -> String {
    let end = envelope.around(end);
    let members = end.strip_prefix('{').and_then(|end| end.strip_suffix('}'));
    with(start, members.unwrap_or_default())
}

fn refusal(envelope: &Envelope, rejection: &Rejection) -> Answer {
    let detail = detail::rejection(rejection);
    match rejection {
        Rejection::Conflict => envelope.refusal(Code::Conflict, detail, &Nothing {}),
        Rejection::Replaced => envelope.refusal(Code::Replaced, detail, &Nothing {}),
        Rejection::Ahead { last } => {
            envelope.refusal(Code::Ahead, detail, &Ahead { last_seq: *last })
        }
        Rejection::UnknownAgent { near } => {
            let unknown = Unknown { near: Cow::Borrowed(near) };
            envelope.refusal(Code::UnknownAgent, detail, &unknown)
        }
        Rejection::Limit(kind) => envelope.refusal(Code::Limit, detail, &Limit { kind: *kind }),
        Rejection::Overloaded => envelope.refusal(Code::Overloaded, detail, &Nothing {}),
        Rejection::Clock(host) => envelope.refusal(Code::Clock, detail, &Clock { host_ms: *host }),
    }
}

fn letter(letter: &DeadLetter) -> String {
    let DeadLetter { seq, reason, attempts, at, message } = letter;
    let start = LetterStart { reason: *reason, attempts: *attempts, given_up_at: *at };
    let message = delivered(message, *seq, None, false);
    with(&text_of(&start), &format!(r#""message":{message}"#))
}

/// A reply as a client reads it.
pub type Received = crate::wire::Received<Outcome, Rejection>;

/// The reply in the body of an HTTP response with this status, or of an entry of a `$replies` frame
/// (whose status is 200).
///
/// # Errors
/// [`Undecodable`] for bytes that no object of this version sends; what became of the command is
/// unknown then.
pub fn decode_reply(status: u16, body: &[u8]) -> Result<Received, Undecodable> {
    let reading = Reading {
        success: decode_success,
        refusal: |code, text| decode_rejection(code, text).map(Err),
    };
    reading.read(status, body)
}

fn decode_success(outcome: Option<&str>, text: &str) -> Result<Outcome, Undecodable> {
    Ok(match outcome {
        Some("inbox") => {
            let Inbox { messages, complete_through, gap, refused } =
                serde_json::from_str(text).map_err(Undecodable::new)?;
            let messages: Result<_, _> = messages.into_iter().map(pending).collect();
            Outcome::Inbox { messages: messages?, complete_through, gap, refused }
        }
        Some("dead_letters") => {
            let Letters { letters, more } = serde_json::from_str(text).map_err(Undecodable::new)?;
            let letters: Result<_, _> = letters.into_iter().map(dead_letter).collect();
            Outcome::DeadLetters { letters: letters?, more }
        }
        _ => serde_json::from_str::<Success<'_>>(text).map_err(Undecodable::new)?.into(),
    })
}

fn pending(message: &RawValue) -> Result<Pending, Undecodable> {
    let Delivered { seq, redriven, message, .. } = Delivered::read(message.get())?;
    Ok(Pending { seq: named(seq)?, redriven, message })
}

fn dead_letter(letter: Letter<'_>) -> Result<DeadLetter, Undecodable> {
    let Letter { reason, attempts, given_up_at: at, message } = letter;
    let Delivered { seq, message, .. } = Delivered::read(message.get())?;
    Ok(DeadLetter { seq: named(seq)?, reason, attempts, at, message })
}

fn named(seq: Option<Ordinal>) -> Result<Ordinal, Undecodable> {
    seq.ok_or_else(|| Undecodable::new("a message without a `seq`"))
}

/// Rejection that the object meant by a code, or `None` if the object says nothing of the kind.
fn decode_rejection(code: Code, text: &str) -> Option<Rejection> {
    Some(match code {
        Code::Conflict => Rejection::Conflict,
        Code::Replaced => Rejection::Replaced,
        Code::Ahead => Rejection::Ahead { last: said::<Ahead>(text)?.last_seq },
        Code::UnknownAgent => {
            Rejection::UnknownAgent { near: said::<Unknown<'_>>(text)?.near.into_owned() }
        }
        Code::Limit => Rejection::Limit(said::<Limit<_>>(text)?.kind),
        Code::Overloaded => Rejection::Overloaded,
        Code::Clock => Rejection::Clock(said::<Clock>(text)?.host_ms),
        _ => return None,
    })
}
