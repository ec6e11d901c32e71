//! Envelope of every reply of an object, both ways: the attempt it answers, and its commit.

use alloc::borrow::Cow;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Answer, Code, Problem, Undecodable, text_of};
use crate::machine::{Commit, Reply};
use crate::time::HostTime;

/// Envelope of a reply.
pub(super) struct Envelope {
    pub(super) call: Option<u64>,
    pub(super) commit: Commit,
}

impl Envelope {
    /// A success that says this.
    pub(super) fn around(&self, said: impl Serialize) -> String {
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

    /// A refusal that says this besides.
    pub(super) fn refusal(&self, code: Code, detail: String, said: &impl Serialize) -> Answer {
        let mut problem = Problem::new(code, detail).with_call(self.call);
        problem.commit = Some(self.commit);
        Answer::refusal(code, problem.to_json_with(said))
    }
}

/// A reply as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<O, R> {
    /// Attempt that it answers.
    pub call: Option<u64>,
    /// Answer of the object; or the problem of a request that never was a command, or that somebody
    /// on the way refused. With a status from 500 on, whether it took effect is unknown.
    pub result: Result<Reply<O, R>, Problem>,
}

impl<O, R> Received<O, R> {
    /// The object's order of it, if it has one.
    #[must_use]
    pub fn commit(&self) -> Option<Commit> {
        match &self.result {
            Ok(reply) => Some(reply.commit),
            Err(problem) => problem.commit,
        }
    }
}

/// Readers of an object's answers.
pub(super) struct Reading<O, R> {
    /// The outcome of this name in the text of a success.
    pub(super) success: fn(Option<&str>, &str) -> Result<O, Undecodable>,
    /// Answer that the object meant by a code, or `None` if the object says nothing of the kind.
    pub(super) refusal: fn(Code, &str) -> Option<Result<O, R>>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outcome: Option<&'a RawValue>,
    call: Option<u64>,
    commit: Option<Commit>,
}

impl<O, R> Reading<O, R> {
    /// The reply in a body with this status.
    pub(super) fn read(&self, status: u16, body: &[u8]) -> Result<Received<O, R>, Undecodable> {
        let text = core::str::from_utf8(body).map_err(Undecodable::new);
        text.and_then(|text| self.text(status, text)).map_err(|undecodable| {
            Undecodable::new(format_args!("status {status}: {}", undecodable.detail))
        })
    }

    fn text(&self, status: u16, text: &str) -> Result<Received<O, R>, Undecodable> {
        let head: Head<'_> = serde_json::from_str(text).map_err(Undecodable::new)?;
        let call = head.call;
        let Some(code) = head.code else {
            if status != 200 {
                return Err(Undecodable::new("neither a success nor a problem"));
            }
            let name: Option<Cow<'_, str>> = head.outcome.and_then(|name| said(name.get()));
            let outcome = (self.success)(name.as_deref(), text)?;
            let commit =
                head.commit.ok_or_else(|| Undecodable::new("a success without a commit"))?;
            return Ok(Received { call, result: Ok(Reply { answer: Ok(outcome), commit }) });
        };
        // An answer of the protocol has a commit and says what its code promises; what has not is a
        // refusal of somebody on the way there, whose problem it is if it is one of ours.
        let answer = code.parse().ok().and_then(|code| (self.refusal)(code, text));
        let result = match (head.commit, answer) {
            (Some(commit), Some(answer)) => Ok(Reply { answer, commit }),
            _ => Err(Problem::from_json(text)?),
        };
        Ok(Received { call, result })
    }
}

/// Value that a text says, if it says one of this type.
pub(super) fn said<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// Members of a rejection by a limit: which one.
#[derive(Serialize, Deserialize)]
pub(super) struct Limit<K> {
    pub(super) kind: K,
}

/// Members of a rejection by the clock: the host's reading.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Clock {
    pub(super) host_ms: HostTime,
}

/// Members of a rejection that says nothing but its code.
#[derive(Serialize)]
pub(super) struct Nothing {}
