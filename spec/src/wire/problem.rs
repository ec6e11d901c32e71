//! Problems: the body of every refusal (RFC 9457).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Answer, Code, Undecodable, text_of};
use crate::machine::Commit;

/// A refusal, as an RFC 9457 problem object:
/// `{"type", "title", "status", "detail", "code", …, "commit"?, "call"?}`.
///
/// `type` is `urn:mailbus:problem:` and the code. It tells our problems from those of whatever else
/// answers with JSON and a `code`: a proxy, a gateway, a page that stands in during a deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Code that a program decides by.
    pub code: Code,
    /// Text that a person reads: what happened, to what, and what to do about it.
    pub detail: String,
    /// Attempt that this answers.
    pub call: Option<u64>,
    /// The object's order of the refusal. Absent when no object was asked, or it did not get to it.
    pub commit: Option<Commit>,
    /// Its own members besides those of every problem.
    pub extensions: Extensions,
}

impl Problem {
    /// The problem of this code.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            call: None,
            commit: None,
            extensions: Extensions::default(),
        }
    }

    /// Something failed that is not the client's doing, and what became of the request is unknown.
    /// It says no more: causes are for the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            Code::Internal,
            "The service failed at this, and whether it took effect is unknown. Send it again, \
             unchanged.",
        )
    }

    /// The same as the answer to this attempt.
    #[must_use]
    pub fn with_call(mut self, call: Option<u64>) -> Self {
        self.call = call;
        self
    }

    /// The JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_json_with(&self.extensions)
    }

    /// The answer to an HTTP exchange.
    #[must_use]
    pub fn to_answer(&self) -> Answer {
        Answer::from(self)
    }

    /// The JSON object with the members of `said` in place of its own.
    pub(super) fn to_json_with(&self, said: &impl Serialize) -> String {
        text_of(&ProblemObject {
            kind: Kind(self.code),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.as_str(),
            said,
            commit: self.commit,
            call: self.call,
        })
    }

    /// Reads a problem object.
    ///
    /// # Errors
    /// [`Undecodable`] for anything else, a code that this version does not know and problems of others
    /// included.
    pub fn from_json(text: &str) -> Result<Self, Undecodable> {
        let head: ProblemHead<'_> = serde_json::from_str(text).map_err(Undecodable::new)?;
        let code: Code = head.code.parse().map_err(|unknown| {
            Undecodable::new(format_args!("`{}` is {unknown}", head.code.escape_debug()))
        })?;
        if head.kind.strip_prefix(KIND) != Some(code.as_str()) {
            let kind = head.kind.escape_debug();
            return Err(Undecodable::new(format_args!("`{kind}` is not the type of `{code}`")));
        }
        let extensions: Extensions = serde_json::from_str(text).map_err(Undecodable::new)?;
        Ok(Self {
            code,
            detail: head.detail.unwrap_or_default(),
            call: head.call,
            commit: head.commit,
            extensions,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.code.status(), self.detail)
    }
}

impl core::error::Error for Problem {}

#[derive(Serialize)]
struct ProblemObject<'a, S> {
    #[serde(rename = "type")]
    kind: Kind,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(flatten)]
    said: S,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<Commit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<u64>,
}

/// Beginning of the `type` of every problem.
const KIND: &str = "urn:mailbus:problem:";

/// The problem's `type`.
struct Kind(Code);

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{KIND}{}", self.0))
    }
}

#[derive(Deserialize)]
struct ProblemHead<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    detail: Option<String>,
    call: Option<u64>,
    commit: Option<Commit>,
}

/// Extension members of a problem (RFC 9457, 3.2): in the order and the words of the text, since what
/// `serde_json` makes of a number or an object depends on which features other crates switch on.
#[derive(Clone, Debug, Default)]
pub struct Extensions(Vec<(String, Box<RawValue>)>);

impl Extensions {
    /// The members, each a name and the JSON text of its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }
}

impl PartialEq for Extensions {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Extensions {}

impl Serialize for Extensions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Extensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rest;

        impl<'de> Visitor<'de> for Rest {
            type Value = Extensions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extensions, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "type" | "title" | "status" | "detail" | "code" | "commit" | "call" => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        _ => members.push((name, map.next_value()?)),
                    }
                }
                Ok(Extensions(members))
            }
        }

        deserializer.deserialize_map(Rest)
    }
}
