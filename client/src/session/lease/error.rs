//! Errors that callers are told when a set of paths is not held, in sentences.

use std::fmt;

use mailbus_spec::lease::{Blocker, HeldBy, LimitKind, OverReason, Rejection};
use mailbus_spec::path::{InvalidPath, InvalidPaths};
use mailbus_spec::wire::Problem;
use mailbus_spec::{Holder, limits};

/// Reason why a set of paths is not held. A session itself says nothing of paths, nor of its run loop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// A path is not one.
    #[error("a path {0}; name one inside the workspace")]
    Path(InvalidPath),
    /// The paths are none, or too many for one claim.
    #[error("{}", too_many_or_none(*.0))]
    Paths(InvalidPaths),
    /// The TTL is so short that the lease can never be believed: no longer than ε, or again and again over
    /// before its grant or renewal arrived.
    #[error("the time to live is too short to be relied on; ask for a second or more")]
    TtlTooShort,
    /// Somebody else holds or awaits something of the set, or the asker itself does.
    #[error("{}", held(.0))]
    Held(Blocker),
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
    /// An admin took the lease, or lets it drain, before it was of any use; the words are empty if only a
    /// renewal told of it.
    #[error("{}", forced(.0))]
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

impl AcquireError {
    /// The error of a refusal by the object.
    pub(super) fn of(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Held(blocker) => Self::Held(blocker),
            Rejection::Deadlock { cycle, length } => Self::Deadlock { cycle, length },
            Rejection::Limit(kind) => Self::Limit(kind),
            _ => Self::Unexpected,
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

fn held(blocker: &Blocker) -> String {
    let paths = blocker.paths.as_slice();
    let paths = Listed { first: paths, all: paths.len() as u64 };
    let holder = &blocker.holder;
    match blocker.by {
        HeldBy::Lease => format!("{holder} holds {paths}"),
        HeldBy::Ticket => format!("{holder} already waits for {paths}"),
        HeldBy::Own => format!("this session already holds or awaits {paths}"),
    }
}

fn forced(words: &str) -> String {
    let colon = if words.is_empty() { "" } else { ": " };
    format!("an admin took the lease{colon}{words}")
}

fn limit(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::WorkspaceClaims => "the workspace has as many leases and tickets as it may",
        LimitKind::WorkspacePaths => "the workspace has as many leased paths as it may",
        LimitKind::WorkspaceRemembered => "the workspace remembers as many requests as it may",
        LimitKind::AgentClaims => "this agent has as many leases and tickets as it may",
        LimitKind::AgentPaths => "this agent has as many leased paths as it may",
        LimitKind::AgentTickets => "this agent waits for one of these as often as it may",
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
