//! Lulls: nobody asks, and the clock of the object's host is set back. What is due has to happen all
//! the same.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clock::TrueTime;
use crate::plan::{FOR_EVER_MS, Fault, FaultKind, Plan};

/// Lulls are drawn from a stream of their own, so that all else is drawn as without them.
const STREAM: u64 = 0x6c75_6c6c;

/// The shortest lull: long enough for most of what may be due to be so within it.
const LEAST_MS: u64 = 45_000;

/// Multiple of its length after which a storage that was full is behind every alarm: what failed
/// meanwhile is tried again after pauses that double.
const FULL: u64 = 3;

impl Plan {
    /// Times at which alarms may be late or lost through something else than clocks: the plan's trouble
    /// with alarms, and ends of the process in which they are set.
    #[must_use]
    pub fn alarm_troubles(&self) -> Vec<(TrueTime, TrueTime)> {
        let troubles = self.faults.iter().filter_map(|fault| {
            let from = TrueTime::from_ms(fault.at_ms);
            let for_ms = match fault.kind {
                FaultKind::AlarmLost { .. }
                | FaultKind::AlarmStuck {}
                | FaultKind::Restore { .. } => FOR_EVER_MS,
                FaultKind::StorageFull { for_ms } => for_ms.saturating_mul(FULL),
                FaultKind::AlarmLate { .. }
                | FaultKind::ObjectCrash { .. }
                | FaultKind::PowerLoss { .. }
                | FaultKind::HostMove { .. } => fault.kind.lasts_ms(),
                _ => return None,
            };
            Some((from, from.plus_ms(for_ms)))
        });
        troubles.collect()
    }

    /// The same plan, in one of four with a lull.
    pub(super) fn perhaps_with_a_lull(self) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ (STREAM << 32));
        if random.random_bool(0.75) { self } else { self.lulled(&mut random) }
    }

    /// The same plan with a lull and no other.
    pub(crate) fn with_a_lull(mut self) -> Self {
        self.faults.retain(|fault| !matches!(fault.kind, FaultKind::Lull { .. }));
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ (STREAM << 32));
        self.lulled(&mut random)
    }

    fn lulled(mut self, random: &mut ChaCha8Rng) -> Self {
        let for_ms = random.random_range(LEAST_MS..=self.heal_at_ms - 10_000);
        let at_ms = random.random_range(1_000..=self.heal_at_ms - for_ms);
        // Also just before, so that somebody may ask in between.
        let set_at_ms = at_ms + random.random_range(0..=6_000) - 1_000;
        let by_ms = -random.random_range(60_001..=7_200_000);
        self.faults.push(Fault { at_ms, kind: FaultKind::Lull { for_ms } });
        self.faults.push(Fault { at_ms: set_at_ms, kind: FaultKind::ObjectStep { by_ms } });
        self.faults.sort_by_key(|fault| fault.at_ms);
        self
    }
}
