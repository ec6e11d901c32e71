//! Names for what goes out and comes back, of both sessions.

use std::time::Duration;

use mailbus_spec::wire::Problem;

use super::connection::Route;

/// The number of one attempt, fresh for each; its reply repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallNumber(pub u64);

/// The session's name for one plain call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub(super) u64);

/// An attempt to send now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit<C> {
    /// Its number.
    pub call: CallNumber,
    /// The command.
    pub command: C,
    /// The way.
    pub route: Route,
    /// Time after which the session will count it as unanswered. A reply that comes later is still
    /// welcome.
    pub timeout: Duration,
    /// The last monotonic instant at which it may leave: what a transport still has of it then, it
    /// drops. The session takes it for unanswered, and the object's memory of requests and ids rests on
    /// no copy leaving later than the session sends copies.
    pub leave_by: Duration,
}

/// Reason why a plain call has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// No answer came within the retry horizon. Whether it took effect is unknown.
    Unanswered,
    /// It was refused before it was a command.
    Problem(Problem),
    /// Nobody drives the session any more.
    Closed,
}
