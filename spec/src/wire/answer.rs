//! Answer to an HTTP exchange, and what a client makes of bytes it cannot read.

use alloc::string::String;
use core::fmt;

use super::object::with;
use super::{Code, Problem, text_of};

/// Spelling of a command, which decides how some refusals are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// As the original's clients do: one `file`, no `request`. Their clients read a refusal out of a
    /// 200 body.
    Original,
    /// Any other way: a refusal is a problem with its status.
    Mailbus,
}

/// An answer ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON object. From status 400 on it is an RFC 9457 problem.
    pub body: String,
    /// Seconds after which a retry may help.
    pub retry_after: Option<u32>,
}

impl Answer {
    /// A success.
    #[must_use]
    pub const fn ok(body: String) -> Self {
        Self { status: 200, body, retry_after: None }
    }

    /// The same, which names members of the command that were ignored.
    #[must_use]
    pub fn with_ignored(mut self, ignored: &[String]) -> Self {
        if !ignored.is_empty() {
            self.body = with(&self.body, &alloc::format!("\"ignored\":{}", text_of(&ignored)));
        }
        self
    }

    /// A refusal with this code, whose body was made elsewhere.
    pub(super) const fn refusal(code: Code, body: String) -> Self {
        Self { status: code.status(), body, retry_after: code.retry_after() }
    }
}

impl From<&Problem> for Answer {
    fn from(problem: &Problem) -> Self {
        Self::refusal(problem.code, problem.to_json())
    }
}

/// Bytes from the other end that are not a reply of this version: of something between the two
/// ends, or of a newer version. What became of the command is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// Fault in them, for a log.
    pub detail: String,
}

impl Undecodable {
    pub(super) fn new(detail: impl fmt::Display) -> Self {
        Self { detail: alloc::format!("{detail}") }
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a reply of this version: {}", self.detail)
    }
}

impl core::error::Error for Undecodable {}
