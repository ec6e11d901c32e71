//! Answers of the lease object, both ways.

use serde::Serialize;

use super::detail;
use super::members::{Deadlock, Held, Over, Success};
use crate::lease::{LeaseReply, Outcome, Rejection};
use crate::wire::reply::{Clock, Envelope, Limit, Nothing, Reading, said};
use crate::wire::{Answer, Code, Dialect, Undecodable};

/// The answer to attempt `number` at a command that was spelled in `dialect`. The body is also the
/// command's reply in a frame.
#[must_use]
pub fn encode_reply(number: Option<u64>, dialect: Dialect, reply: &LeaseReply) -> Answer {
    let envelope = Envelope { call: number, commit: reply.commit };
    match &reply.answer {
        Ok(outcome) => match Success::of(outcome) {
            Ok(success) => Answer::ok(envelope.around(success)),
            Err(over) => envelope.refusal(Code::Over, detail::over(over.reason), &over),
        },
        Err(rejection) => encode_rejection(&envelope, dialect, rejection),
    }
}

fn encode_rejection(envelope: &Envelope, dialect: Dialect, rejection: &Rejection) -> Answer {
    let detail = detail::rejection(rejection);
    match rejection {
        Rejection::Held(blocker) => match dialect {
            Dialect::Original => Answer::ok(envelope.around(NotAcquired {
                acquired: false,
                code: Code::Held.as_str(),
                held: blocker.into(),
            })),
            Dialect::Mailbus => envelope.refusal(Code::Held, detail, &Held::from(blocker)),
        },
        // Of the original's commands only a release can be about a lease that is lost.
        Rejection::Lost => match dialect {
            Dialect::Original => Answer::ok(
                envelope.around(NotReleased { released: false, code: Code::Lost.as_str() }),
            ),
            Dialect::Mailbus => envelope.refusal(Code::Lost, detail, &Nothing {}),
        },
        Rejection::Deadlock { cycle, length } => {
            let cycle = cycle.iter().map(Into::into).collect();
            envelope.refusal(Code::Deadlock, detail, &Deadlock { cycle, length: Some(*length) })
        }
        Rejection::Conflict => envelope.refusal(Code::Conflict, detail, &Nothing {}),
        Rejection::Limit(kind) => envelope.refusal(Code::Limit, detail, &Limit { kind: *kind }),
        Rejection::Clock(host) => envelope.refusal(Code::Clock, detail, &Clock { host_ms: *host }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotAcquired<'a> {
    acquired: bool,
    code: &'static str,
    #[serde(flatten)]
    held: Held<'a>,
}

#[derive(Serialize)]
struct NotReleased {
    released: bool,
    code: &'static str,
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
    let reading = Reading { success: decode_success, refusal: decode_refusal };
    reading.read(status, body)
}

fn decode_success(_: Option<&str>, text: &str) -> Result<Outcome, Undecodable> {
    serde_json::from_str::<Success<'_>>(text).map_err(Undecodable::new).map(Into::into)
}

/// Answer that the object meant by a code, or `None` if the object says nothing of the kind.
fn decode_refusal(code: Code, text: &str) -> Option<Result<Outcome, Rejection>> {
    Some(Err(match code {
        Code::Over => return said::<Over>(text).map(|over| Ok(over.into())),
        Code::Held => Rejection::Held(said::<Held<'_>>(text)?.into()),
        Code::Deadlock => {
            let Deadlock { cycle, length } = said(text)?;
            let length = length.unwrap_or(cycle.len() as u64);
            Rejection::Deadlock { cycle: cycle.into_iter().map(Into::into).collect(), length }
        }
        Code::Conflict => Rejection::Conflict,
        Code::Limit => Rejection::Limit(said::<Limit<_>>(text)?.kind),
        Code::Lost => Rejection::Lost,
        Code::Clock => Rejection::Clock(said::<Clock>(text)?.host_ms),
        _ => return None,
    }))
}
