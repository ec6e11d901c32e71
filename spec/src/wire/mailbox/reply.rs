//! What the mailbox object answers, both ways.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::detail;
use super::object::{Delivered, array, delivered, with};
use super::shape::{
    Ahead, Clock, Inbox, Letter, LetterStart, Letters, Limit, Nothing, Said, Success,
};
use crate::machine::{Commit, Reply};
use crate::mailbox::{DeadLetter, MailboxReply, Outcome, Pending, Rejection};
use crate::ordinal::Ordinal;
use crate::wire::{Answer, Code, Problem, Undecodable, text_of};

/// The answer to attempt `number`. The body is also the command's reply in a frame.
#[must_use]
pub fn encode_reply(number: Option<u64>, reply: &MailboxReply) -> Answer {
    let envelope = Envelope { call: number, commit: reply.commit };
    match &reply.answer {
        Ok(outcome) => Answer::ok(envelope.success(outcome)),
        Err(rejection) => envelope.rejection(rejection),
    }
}

/// What stands around every reply of the object.
struct Envelope {
    call: Option<u64>,
    commit: Commit,
}

impl Envelope {
    fn success(&self, outcome: &Outcome) -> String {
        match Said::of(outcome) {
            Said::Whole(success) => self.around(success),
            Said::Inbox(messages, end) => {
                let messages = array(messages.iter().map(|pending| {
                    delivered(&pending.message, pending.seq, None, pending.redriven)
                }));
                self.page(&format!(r#"{{"outcome":"inbox","messages":{messages}}}"#), end)
            }
            Said::DeadLetters(letters, end) => {
                let letters = array(letters.iter().map(letter));
                self.page(&format!(r#"{{"outcome":"dead_letters","letters":{letters}}}"#), end)
            }
        }
    }

    /// The object `start`, and in it what else is said.
    fn page(&self, start: &str, end: impl Serialize) -> String {
        let end = self.around(end);
        let members = end.strip_prefix('{').and_then(|end| end.strip_suffix('}'));
        with(start, members.unwrap_or_default())
    }

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

    fn rejection(&self, rejection: &Rejection) -> Answer {
        let detail = detail::rejection(rejection);
        match rejection {
            Rejection::Conflict => self.refusal(Code::Conflict, detail, &Nothing {}),
            Rejection::Replaced => self.refusal(Code::Replaced, detail, &Nothing {}),
            Rejection::Ahead { last } => {
                self.refusal(Code::Ahead, detail, &Ahead { last_seq: *last })
            }
            Rejection::Limit(kind) => self.refusal(Code::Limit, detail, &Limit { kind: *kind }),
            Rejection::Overloaded => self.refusal(Code::Overloaded, detail, &Nothing {}),
            Rejection::Clock(host) => self.refusal(Code::Clock, detail, &Clock { host_ms: *host }),
        }
    }

    fn refusal(&self, code: Code, detail: String, said: &impl Serialize) -> Answer {
        let mut problem = Problem::new(code, detail).with_call(self.call);
        problem.commit = Some(self.commit);
        Answer::refusal(code, problem.to_json_with(said))
    }
}

fn letter(letter: &DeadLetter) -> String {
    let DeadLetter { seq, reason, attempts, at, message } = letter;
    let start = LetterStart { reason: *reason, attempts: *attempts, given_up_at: *at };
    let message = delivered(message, *seq, None, false);
    with(&text_of(&start), &format!(r#""message":{message}"#))
}

/// A reply as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which attempt it answers.
    pub call: Option<u64>,
    /// What the object said; or the problem of a request that never was a command, or that somebody
    /// on the way refused. With a status from 500 on, whether it took effect is unknown.
    pub result: Result<MailboxReply, Problem>,
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
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
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
        let outcome = decode_success(head.outcome.as_deref(), text)?;
        let commit = head.commit.ok_or_else(|| Undecodable::new("a success without a commit"))?;
        return Ok(Received { call, result: Ok(Reply { answer: Ok(outcome), commit }) });
    }
    let problem = Problem::from_json(text)?;
    // An answer of the protocol has a commit and says what its code promises; what has not is a
    // refusal of somebody on the way there.
    let result = match (problem.commit, decode_rejection(problem.code, text)) {
        (Some(commit), Some(rejection)) => Ok(Reply { answer: Err(rejection), commit }),
        _ => Err(problem),
    };
    Ok(Received { call, result })
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

/// What the object meant by a code, or `None` if that is nothing that the object says.
fn decode_rejection(code: Code, text: &str) -> Option<Rejection> {
    Some(match code {
        Code::Conflict => Rejection::Conflict,
        Code::Replaced => Rejection::Replaced,
        Code::Ahead => Rejection::Ahead { last: said::<Ahead>(text)?.last_seq },
        Code::Limit => Rejection::Limit(said::<Limit>(text)?.kind),
        Code::Overloaded => Rejection::Overloaded,
        Code::Clock => Rejection::Clock(said::<Clock>(text)?.host_ms),
        _ => return None,
    })
}

fn said<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}
