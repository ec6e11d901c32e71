//! Errors that callers are told when something about leases did not work, in sentences.

use mailbus_spec::lease::{Outcome, Rejection};
use mailbus_spec::wire::Problem;

use crate::session::CallFailure;
pub use crate::session::lease::AcquireError;

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
