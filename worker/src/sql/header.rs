//! Numbers of an object, and how they survive in the rows that are written anyway.

use mailbus_spec::time::Observation;
use mailbus_spec::{Clock, Commit, HostTime, Ordinal, Timestamp};

/// Time for which nothing may have been written: by so much a clock may be set back.
const PAST_MS: u64 = 86_400_000;

/// Numbers that every object has.
///
/// Invariant: `sequence` and `clock.floor` stand in every row that carries the object's stamp, as of its
/// write, so the row with the largest sequence has the newest; `clock.offset` and `generation` stand in
/// `meta` alone, which is written whenever they move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// True if the tables are there: nothing is created for a read or a refusal.
    pub has_tables: bool,
    /// Number of commands and alarms that have written.
    pub sequence: u64,
    /// The object's clock.
    pub clock: Clock,
    /// Life of the storage; 0 before the first write.
    pub generation: u64,
    /// The largest ordinal issued: token of a lease, `seq` of a message.
    pub last_ordinal: Ordinal,
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

    /// Begins a new generation, with the ordinals raised.
    pub fn recover(&mut self, now: Timestamp, at_least: Ordinal) {
        self.last_ordinal = self.last_ordinal.max(at_least);
        let named = now.ms().max(at_least.anchor_ms());
        self.generation = self.generation.saturating_add(1).max(named);
    }

    /// True if all of the numbers are a day old or older. Then an object that begins anew is told later
    /// times and uses larger ordinals, also on a host whose clock is set back by less than that.
    pub fn is_past(&self, now: HostTime) -> bool {
        let newest = self.clock.floor.ms().max(self.last_ordinal.anchor_ms()).max(self.generation);
        self.clock.offset == 0 && newest.saturating_add(PAST_MS) <= now.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_to_be_a_day_old() {
        const NOON: u64 = 1_800_000_000_000;
        let tomorrow = HostTime(NOON + PAST_MS);
        let floor = |ms| Timestamp::from_ms(ms).unwrap();
        let clock = Clock { floor: floor(NOON), offset: 0 };
        let header = Header {
            has_tables: true,
            sequence: 1,
            clock,
            generation: NOON,
            last_ordinal: Ordinal::new(NOON << 10).unwrap(),
        };
        assert!(header.is_past(tomorrow));
        assert!(!header.is_past(HostTime(tomorrow.0 - 1)));
        let later = Clock { floor: floor(NOON + 1), offset: 0 };
        assert!(!Header { clock: later, ..header }.is_past(tomorrow));
        assert!(!Header { clock: Clock { offset: 5, ..clock }, ..header }.is_past(tomorrow));
        let last_ordinal = Ordinal::new((NOON + 1) << 10).unwrap();
        assert!(!Header { last_ordinal, ..header }.is_past(tomorrow));
        let raised = Header { generation: NOON + 1, ..header };
        assert!(!raised.is_past(tomorrow), "an operator raised it");
    }
}
