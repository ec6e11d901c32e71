//! Numbers of the object besides its mail, and how they survive in the rows that are written anyway.

use mailbus_spec::time::Observation;
use mailbus_spec::{Clock, Commit, Ordinal, Timestamp};

/// The numbers of the object.
///
/// Invariant: `sequence` and `clock.floor` stand in every message, agent and run row as of its write, and
/// `last_seq` is the largest `seq` of the log, unless `meta` has larger ones; the others stand in
/// `meta` alone, which is written whenever they move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of commands and alarms that have written.
    pub sequence: u64,
    /// The object's clock.
    pub clock: Clock,
    /// Life of the storage; 0 before the first write.
    pub generation: u64,
    /// The largest `seq` issued.
    pub last_seq: Ordinal,
    /// Time at which a round of collection last came to its end.
    pub round_at: Timestamp,
    /// What was accepted up to here is past its retention for everybody.
    pub expired: Ordinal,
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

    /// Takes the numbers of a row, if they are newer.
    pub fn meet(&mut self, sequence: u64, at: Timestamp) {
        self.sequence = self.sequence.max(sequence);
        self.clock.floor = self.clock.floor.max(at);
    }
}
