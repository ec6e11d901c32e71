//! Class of a plan's clocks by `ClockBound`, computed from the plan itself, so that shrinking
//! cannot make it lie.

use mailbus_spec::belief::ClockBound;

use crate::plan::{ClockPlan, MachinePlan, Plan};

/// Bound of a plan's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockClass {
    /// Inside the bound: every invariant is claimed.
    Inside,
    /// Outside: belief is not promised to be exclusive; fencing still is.
    Outside,
}

impl Plan {
    /// True if belief is promised to be exclusive under these clocks.
    #[must_use]
    pub fn clock_class(&self) -> ClockClass {
        let bound = ClockBound::PROMISED;
        let inside = self.object_keeps(&bound)
            && self.machines.iter().all(|machine| self.machine_keeps(machine, &bound));
        if inside { ClockClass::Inside } else { ClockClass::Outside }
    }

    /// Both clocks run evenly; all forward steps count together, within the day that a plan fits into.
    fn object_keeps(&self, bound: &ClockBound) -> bool {
        let forward: i64 = self.object_steps().iter().map(|(_, by_ms)| (*by_ms).max(0)).sum();
        let even = |clock: ClockPlan| clock.rate_ppm.unsigned_abs() <= u64::from(bound.rate_ppm);
        even(self.object_clock)
            && even(self.object_monotonic)
            && u64::try_from(forward).is_ok_and(|forward| forward <= bound.step_ms)
    }

    /// One clock of the two has to keep its rate and never step back. A step ahead only ends belief
    /// early.
    fn machine_keeps(&self, machine: &MachinePlan, bound: &ClockBound) -> bool {
        let even = |ppm: i64| ppm.unsigned_abs() <= u64::from(bound.rate_ppm);
        let monotonic =
            even(machine.monotonic.rate_ppm) && self.suspended(machine.machine).is_empty();
        let wall = even(machine.wall.rate_ppm)
            && self.wall_steps(machine.machine).iter().all(|(_, by_ms)| *by_ms >= 0);
        monotonic || wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Fault, FaultKind, Profile};

    fn plan_with(faults: &[FaultKind]) -> Plan {
        let mut plan = Plan::from_seed(1, Some(Profile::Calm));
        for machine in &mut plan.machines {
            (machine.monotonic, machine.wall) = Default::default();
        }
        plan.faults = faults.iter().cloned().map(|kind| Fault { at_ms: 5_000, kind }).collect();
        plan
    }

    #[test]
    fn forward_steps_of_the_object_count_together() {
        let step = |by_ms| FaultKind::ObjectStep { by_ms };
        assert_eq!(plan_with(&[step(250)]).clock_class(), ClockClass::Inside);
        assert_eq!(plan_with(&[step(200), step(-500)]).clock_class(), ClockClass::Inside);
        assert_eq!(plan_with(&[step(200), step(51)]).clock_class(), ClockClass::Outside);
    }

    #[test]
    fn one_good_clock_of_a_machine_is_enough() {
        let machine = plan_with(&[]).machines[0].machine;
        let set_back = FaultKind::WallStep { machine, by_ms: -5_000 };
        let sleep = FaultKind::Suspend { machine, for_ms: 9_000, wall_step_ms: 0 };
        assert_eq!(plan_with(std::slice::from_ref(&set_back)).clock_class(), ClockClass::Inside);
        assert_eq!(plan_with(std::slice::from_ref(&sleep)).clock_class(), ClockClass::Inside);
        assert_eq!(plan_with(&[set_back, sleep]).clock_class(), ClockClass::Outside);
    }
}
