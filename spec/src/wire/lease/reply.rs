//! What the lease object answers, both ways.

use alloc::borrow::Cow;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::detail;
use super::shape::{Clock, Deadlock, Held, Limit, Nothing, Over, Success};
use crate::lease::{LeaseReply, Outcome, Rejection};
use crate::machine::{Commit, Reply};
use crate::wire::{Answer, Code, Dialect, Problem, Undecodable, text_of};

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
        Rejection::Deadlock { cycle } => {
            let said = Deadlock { cycle: cycle.iter().map(Into::into).collect() };
            envelope.refusal(Code::Deadlock, detail, &said)
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

/// What stands around every reply of the object.
struct Envelope {
    call: Option<u64>,
    commit: Commit,
}

impl Envelope {
    fn around(&self, said: impl Serialize) -> String {
        #[derive(Serialize)]
        struct Enveloped<S> {
            #[serde(flatten)]
            said: S,
            commit: Commit,
            #[serde(skip_serializing_if = "Option::is_none")]
            call: Option<u64>,
        }
        text_of(&Enveloped { said, commit: self.commit, call: self.call })
    }

    fn refusal(&self, code: Code, detail: String, said: &impl Serialize) -> Answer {
        let mut problem = Problem::new(code, detail).with_call(self.call);
        problem.commit = Some(self.commit);
        Answer::refusal(code, problem.to_json_with(said))
    }
}

/// A reply as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which attempt it answers.
    pub call: Option<u64>,
    /// What the object said; or the problem of a request that never was a command, or that somebody
    /// on the way refused. With a status from 500 on, whether it took effect is unknown.
    pub result: Result<LeaseReply, Problem>,
}

impl Received {
    /// The object's order of it, if it has one.
    #[must_use]
    pub fn commit(&self) -> Option<Commit> {
        match &self.result {
            Ok(reply) => Some(reply.commit),
            Err(problem) => problem.commit,
        }
    }
}

/// The reply in the body of an HTTP response with this status, or of an entry of a `$replies` frame
/// (whose status is 200).
///
/// # Errors
/// [`Undecodable`] for bytes that no object of this version sends; what became of the command is
/// unknown then.
pub fn decode_reply(status: u16, body: &[u8]) -> Result<Received, Undecodable> {
    let decoded =
        core::str::from_utf8(body).map_err(Undecodable::new).and_then(|text| decode(status, text));
    decoded.map_err(|undecodable| {
        Undecodable::new(format_args!("status {status}: {}", undecodable.detail))
    })
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    call: Option<u64>,
    commit: Option<Commit>,
}

fn decode(status: u16, text: &str) -> Result<Received, Undecodable> {
    let head: Head<'_> = serde_json::from_str(text).map_err(Undecodable::new)?;
    let call = head.call;
    if head.code.is_none() {
        if status != 200 {
            return Err(Undecodable::new("neither a success nor a problem"));
        }
        let success: Success<'_> = serde_json::from_str(text).map_err(Undecodable::new)?;
        let commit = head.commit.ok_or_else(|| Undecodable::new("a success without a commit"))?;
        return Ok(Received { call, result: Ok(Reply { answer: Ok(success.into()), commit }) });
    }
    let problem = Problem::from_json(text)?;
    // An answer of the protocol has a commit and says what its code promises; what has not is a
    // refusal of somebody on the way there.
    let result = match (problem.commit, decode_refusal(problem.code, text)) {
        (Some(commit), Some(answer)) => Ok(Reply { answer, commit }),
        _ => Err(problem),
    };
    Ok(Received { call, result })
}

/// What the object meant by a code, or `None` if that is nothing that the object says.
fn decode_refusal(code: Code, text: &str) -> Option<Result<Outcome, Rejection>> {
    Some(Err(match code {
        Code::Over => return said::<Over>(text).map(|over| Ok(over.into())),
        Code::Held => Rejection::Held(said::<Held<'_>>(text)?.into()),
        Code::Deadlock => Rejection::Deadlock {
            cycle: said::<Deadlock>(text)?.cycle.into_iter().map(Into::into).collect(),
        },
        Code::Conflict => Rejection::Conflict,
        Code::Limit => Rejection::Limit(said::<Limit>(text)?.kind),
        Code::Lost => Rejection::Lost,
        Code::Clock => Rejection::Clock(said::<Clock>(text)?.host_ms),
        _ => return None,
    }))
}

fn said<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}
