//! What callers are told when something did not work, in sentences.

use std::fmt;

use mailbus_spec::lease::{HeldBy, LimitKind, Outcome, OverReason, Rejection};
use mailbus_spec::path::{InvalidPath, InvalidPaths};
use mailbus_spec::wire::Problem;
use mailbus_spec::{Holder, limits};

use crate::session::CallFailure;
use crate::session::lease::Refusal;

/// Reason why a set of paths is not held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// A path is not one.
    #[error("a path {0}; name one inside the workspace")]
    Path(InvalidPath),
    /// The paths are none, or too many for one claim.
    #[error("{}", too_many_or_none(*.0))]
    Paths(InvalidPaths),
    /// The TTL is so short that the lease might be over before its grant arrives.
    #[error("the time to live is too short to be relied on; ask for a second or more")]
    TtlTooShort,
    /// Somebody else holds or awaits something of the set, or the asker itself does.
    #[error("{}", held(.0))]
    Held(mailbus_spec::lease::Blocker),
    /// Waiting would never end.
    #[error(
        "waiting would never end: {} wait for each other; release something, or try again later",
        Listed { first: cycle, all: *length }
    )]
    Deadlock {
        /// The asker first, then who waits for whom.
        cycle: Vec<Holder>,
        /// Number of them, those who are not named included.
        length: u64,
    },
    /// A bound is reached.
    #[error("{}; try again later", limit(*.0))]
    Limit(LimitKind),
    /// The patience is over. The claim is being cancelled.
    #[error("it was still held by others when the patience was over")]
    PatienceOver,
    /// The request ended before it was of any use.
    #[error("the request ended before it could be used: {}", over(*.0))]
    Over(OverReason),
    /// An admin took the lease before it was of any use.
    #[error("an admin took the lease: {0}")]
    Forced(String),
    /// No answer came. Whether it was granted is unknown; it is being cancelled.
    #[error(
        "the service did not answer; whether the paths were granted is unknown, and they are being given back"
    )]
    Unanswered,
    /// The service refused.
    #[error("the service refused: {0}")]
    Refused(Problem),
    /// The service said something that is no answer.
    #[error("the service gave an answer that makes no sense; its version may be another")]
    Unexpected,
    /// The run loop has ended.
    #[error("the client's run loop has ended")]
    Closed,
}

impl From<Refusal> for AcquireError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rejected(Rejection::Held(blocker)) => Self::Held(blocker),
            Refusal::Rejected(Rejection::Deadlock { cycle, length }) => {
                Self::Deadlock { cycle, length }
            }
            Refusal::Rejected(Rejection::Limit(kind)) => Self::Limit(kind),
            Refusal::Rejected(_) | Refusal::Unexpected => Self::Unexpected,
            Refusal::Over(reason) => Self::Over(reason),
            Refusal::Forced { reason } => Self::Forced(reason),
            Refusal::PatienceOver => Self::PatienceOver,
            Refusal::Unanswered => Self::Unanswered,
            Refusal::Problem(problem) => Self::Refused(problem),
            Refusal::NeverBelievable => Self::TtlTooShort,
        }
    }
}

/// Reason why giving a lease back did not simply work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It had already ended.
    #[error("the lease had already ended before it was released")]
    Lost,
    /// Nobody said. At the latest it ends with its term.
    #[error("the service did not confirm the release; the lease ends by itself when its term does")]
    Unanswered,
}

/// Reason why a plain call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer came. Whether it took effect is unknown.
    #[error("the service did not answer; whether it did what was asked is unknown")]
    Unanswered,
    /// The service refused.
    #[error("the service refused: {0}")]
    Refused(Problem),
    /// The object refused.
    #[error("the service refused: {0:?}")]
    Rejected(Rejection),
    /// The service said something that is no answer.
    #[error("the service gave an answer that makes no sense; its version may be another")]
    Unexpected,
    /// The run loop has ended.
    #[error("the client's run loop has ended")]
    Closed,
}

impl CallError {
    /// The error of an answer that is not what was asked for.
    pub(crate) fn of(answer: Result<Outcome, Rejection>) -> Self {
        answer.map_or_else(Self::Rejected, |_| Self::Unexpected)
    }
}

impl From<CallFailure> for CallError {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Unanswered => Self::Unanswered,
            CallFailure::Problem(problem) => Self::Refused(problem),
            CallFailure::Closed => Self::Closed,
        }
    }
}

fn too_many_or_none(invalid: InvalidPaths) -> String {
    match invalid {
        InvalidPaths::None => "name at least one path".to_owned(),
        InvalidPaths::TooMany => {
            format!("a claim has at most {} paths", limits::CLAIM_MAX_PATHS)
        }
    }
}

fn held(blocker: &mailbus_spec::lease::Blocker) -> String {
    let paths = blocker.paths.as_slice();
    let paths = Listed { first: paths, all: paths.len() as u64 };
    let holder = &blocker.holder;
    match blocker.by {
        HeldBy::Lease => format!("{holder} holds {paths}"),
        HeldBy::Ticket => format!("{holder} already waits for {paths}"),
        HeldBy::Own => format!("this session already holds or awaits {paths}"),
    }
}

fn limit(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::WorkspaceClaims => "the workspace has as many leases and tickets as it may",
        LimitKind::WorkspacePaths => "the workspace has as many leased paths as it may",
        LimitKind::WorkspaceRemembered => "the workspace remembers as many requests as it may",
        LimitKind::HolderClaims => "this session has as many leases and tickets as it may",
        LimitKind::HolderPaths => "this session has as many leased paths as it may",
        LimitKind::AgentRemembered => "this agent has made as many requests lately as it may",
        LimitKind::Tokens => "no fencing token is left",
    }
}

fn over(reason: OverReason) -> &'static str {
    match reason {
        OverReason::Released => "it was released",
        OverReason::Lapsed => "its time ran out",
        OverReason::Forced => "an admin ended it",
        OverReason::Cancelled => "it was cancelled",
        OverReason::TimedOut => "its place in the queue ran out",
    }
}

/// The first few of a list of which perhaps only the beginning is known.
struct Listed<'a, T> {
    first: &'a [T],
    all: u64,
}

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let shown = self.first.iter().take(SHOWN);
        let more = self.all.saturating_sub(shown.len() as u64);
        for (index, item) in shown.enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{item}")?;
        }
        match more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
