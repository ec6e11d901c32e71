//! Names for what goes out and comes back, of both sessions.

use mailbus_spec::wire::Problem;

/// The number of one attempt, fresh for each; its reply repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallNumber(pub u64);

/// The session's name for one plain call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub(super) u64);

/// Reason why a plain call has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// No answer came within the retry horizon. Whether it took effect is unknown.
    Unanswered,
    /// It was refused before it was a command.
    Problem(Problem),
}
