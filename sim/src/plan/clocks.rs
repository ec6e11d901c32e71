//! The clocks of a plan: even running, and the steps and freezes that its faults make.

use crate::clock::{MachineClocks, SkewedClock, TrueTime};
use crate::plan::{ClockPlan, FaultKind, MachinePlan, Plan};

/// Time that honest clocks show at the start: 2026-01-01, in ms since the epoch.
pub const START_MS: u64 = 1_767_225_600_000;
/// Monotonic clocks start somewhere; this leaves room for any offset below it.
const MONOTONIC_START_MS: u64 = 1_000_000;

impl ClockPlan {
    fn starting_at(self, start_ms: u64) -> SkewedClock {
        let origin_ms = i64::try_from(start_ms).unwrap_or(0) + self.offset_ms;
        SkewedClock::new(origin_ms * 1_000, self.rate_ppm)
    }
}

impl Plan {
    /// The monotonic clock of the host that runs the object.
    #[must_use]
    pub fn object_monotonic(&self) -> SkewedClock {
        self.object_monotonic.starting_at(MONOTONIC_START_MS)
    }

    /// The wall clock of the host that runs the object.
    #[must_use]
    pub fn object_clock(&self) -> SkewedClock {
        self.object_steps()
            .into_iter()
            .fold(self.object_clock.starting_at(START_MS), |clock, (at, by_ms)| {
                clock.with_step(at, by_ms * 1_000)
            })
    }

    /// Time at which the object's host clock is set, and by how many ms.
    pub(super) fn object_steps(&self) -> Vec<(TrueTime, i64)> {
        let steps = self.faults.iter().filter_map(|fault| match fault.kind {
            FaultKind::ObjectStep { by_ms } | FaultKind::HostMove { by_ms } => {
                Some((TrueTime::from_ms(fault.at_ms), by_ms))
            }
            _ => None,
        });
        steps.collect()
    }

    /// The two clocks of a machine.
    #[must_use]
    pub fn machine_clocks(&self, machine: &MachinePlan) -> MachineClocks {
        let mut clocks = MachineClocks {
            monotonic: machine.monotonic.starting_at(MONOTONIC_START_MS),
            wall: machine.wall.starting_at(START_MS),
        };
        for (from, to) in self.suspended(machine.machine) {
            clocks.monotonic = clocks.monotonic.with_freeze(from, to);
        }
        for (at, by_ms) in self.wall_steps(machine.machine) {
            clocks.wall = clocks.wall.with_step(at, by_ms * 1_000);
        }
        clocks
    }

    /// Times at which a machine sleeps.
    #[must_use]
    pub fn suspended(&self, machine: u8) -> Vec<(TrueTime, TrueTime)> {
        let stretches = self.faults.iter().filter_map(|fault| match fault.kind {
            FaultKind::Suspend { machine: whose, for_ms, .. } if whose == machine => {
                let from = TrueTime::from_ms(fault.at_ms);
                Some((from, from.plus_ms(for_ms)))
            }
            _ => None,
        });
        stretches.collect()
    }

    pub(super) fn wall_steps(&self, machine: u8) -> Vec<(TrueTime, i64)> {
        let steps = self.faults.iter().filter_map(|fault| match fault.kind {
            FaultKind::WallStep { machine: whose, by_ms } if whose == machine => {
                Some((TrueTime::from_ms(fault.at_ms), by_ms))
            }
            FaultKind::Suspend { machine: whose, for_ms, wall_step_ms }
                if whose == machine && wall_step_ms != 0 =>
            {
                Some((TrueTime::from_ms(fault.at_ms).plus_ms(for_ms), wall_step_ms))
            }
            _ => None,
        });
        steps.collect()
    }

    /// Times at which the process of an agent does not run: it is paused, there is a lull, or its machine
    /// sleeps.
    #[must_use]
    pub fn stopped(&self, agent: u8) -> Vec<(TrueTime, TrueTime)> {
        let paused = self.faults.iter().filter_map(|fault| {
            let for_ms = match fault.kind {
                FaultKind::Pause { agent: whose, for_ms } if whose == agent => for_ms,
                FaultKind::Lull { for_ms } => for_ms,
                _ => return None,
            };
            let from = TrueTime::from_ms(fault.at_ms);
            Some((from, from.plus_ms(for_ms)))
        });
        let machine = self.machine_of(agent).map(|machine| machine.machine);
        let mut stopped: Vec<_> = paused.collect();
        stopped.extend(machine.into_iter().flat_map(|machine| self.suspended(machine)));
        stopped.sort();
        stopped
    }
}
