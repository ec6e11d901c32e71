//! Numbers of the object besides its claims, and how they survive in the rows that are written anyway.

use mailbus_spec::time::Observation;
use mailbus_spec::{Clock, Commit, Ordinal, Timestamp};

/// The numbers of the object.
///
/// Invariant: `sequence`, `clock.floor` and `last_token` stand in every row as of its write, so the row
/// with the largest sequence has the newest; `clock.offset` and `generation` stand in `meta` alone,
/// which is written whenever they move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of commands and alarms that have written.
    pub sequence: u64,
    /// The object's clock.
    pub clock: Clock,
    /// The largest token issued.
    pub last_token: Ordinal,
    /// Life of the storage; 0 before the first write.
    pub generation: u64,
}

impl Header {
    /// The commit of a reply given at `now`.
    pub fn commit(&self, now: Timestamp) -> Commit {
        Commit { sequence: self.sequence, now, generation: self.generation }
    }

    /// Notes that an event wrote.
    pub fn advance(&mut self, seen: &Observation) {
        self.sequence = self.sequence.saturating_add(1);
        self.clock = self.clock.advanced_to(seen);
        if self.generation == 0 {
            self.generation = seen.now.ms().max(1);
        }
    }
}
