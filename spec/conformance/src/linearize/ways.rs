//! The ways on from a point of the search, and what a dead end says of them.

use crate::subject::Shown;
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::{HostTime, Timestamp};

/// A way to get from one sequence to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// A reply of the group wrote it.
    Writer(usize, HostTime),
    /// A command of unknown outcome did, at this object time.
    Unknown(usize, Timestamp),
    /// An alarm did.
    Alarm(Timestamp),
}

/// A choice, and the ordinals that it would issue.
pub(super) type Way = (Choice, Vec<Ordinal>);

/// A point to go back to.
#[derive(Debug)]
pub(super) struct Fork {
    pub(super) group: usize,
    pub(super) trail: usize,
    /// Not tried yet; the next one is last.
    pub(super) choices: Vec<Way>,
    /// Way that was tried last.
    pub(super) current: Option<Way>,
    /// True if hidden events are among the choices already.
    pub(super) complete: bool,
    /// Once hidden events are among them: where this is, to know it again.
    pub(super) place: Option<u64>,
}

/// Cause of a dead end, as far as it shows one.
#[derive(Clone, Debug)]
pub(super) struct Conflict<P> {
    /// The same command of the same client that may have been executed before.
    pub(super) missing: Option<usize>,
    /// Instants that the answer shows, and the specification does not.
    pub(super) shown: Vec<Shown<P>>,
}
