//! Making a failing plan small: parts are deleted until none can go.

use crate::plan::{ClockPlan, Plan};

/// A plan that still fails, and how many plans were tried to find it.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan. Unless `tries` met the limit, no single part of it can be deleted.
    pub plan: Plan,
    /// Number of simulations that it took.
    pub tries: u32,
}

/// Shrinks a plan that fails, with at most `limit` tries of `fails`.
pub fn shrink(plan: &Plan, limit: u32, fails: &mut dyn FnMut(&Plan) -> bool) -> Shrunk {
    let mut search = Search { best: plan.clone(), tries: 0, limit, fails };
    loop {
        let before = search.best.clone();
        search.shorten();
        search.delete_faults();
        search.delete_operations();
        search.delete_agents();
        search.simplify();
        if search.best == before || search.tries >= limit {
            return Shrunk { plan: search.best, tries: search.tries };
        }
    }
}

struct Search<'a> {
    best: Plan,
    tries: u32,
    limit: u32,
    fails: &'a mut dyn FnMut(&Plan) -> bool,
}

impl Search<'_> {
    fn try_plan(&mut self, plan: Plan) -> bool {
        if plan == self.best || self.tries >= self.limit {
            return false;
        }
        self.tries += 1;
        let fails = (self.fails)(&plan);
        if fails {
            self.best = plan;
        }
        fails
    }

    /// Deletes stretches of a list, halving their length down to single parts.
    fn delete(&mut self, length: fn(&Plan) -> usize, remove: fn(&mut Plan, usize, usize)) {
        let mut stretch = length(&self.best).next_power_of_two();
        while stretch > 0 {
            let mut from = 0;
            while from < length(&self.best) {
                let to = (from + stretch).min(length(&self.best));
                let mut plan = self.best.clone();
                remove(&mut plan, from, to);
                if !self.try_plan(plan) {
                    from = to;
                }
            }
            stretch /= 2;
        }
    }

    fn delete_faults(&mut self) {
        self.delete(|plan| plan.faults.len(), |plan, from, to| drop(plan.faults.drain(from..to)));
    }

    fn delete_operations(&mut self) {
        self.delete(
            |plan| plan.operations.len(),
            |plan, from, to| drop(plan.operations.drain(from..to)),
        );
    }

    fn delete_agents(&mut self) {
        self.delete(
            |plan| plan.agents.len(),
            |plan, from, to| {
                plan.agents.drain(from..to);
                let Plan { agents, machines, operations, .. } = plan;
                machines
                    .retain(|machine| agents.iter().any(|agent| agent.machine == machine.machine));
                operations
                    .retain(|operation| agents.iter().any(|agent| agent.agent == operation.agent));
            },
        );
    }

    /// Heals right after the last thing that happens.
    fn shorten(&mut self) {
        let operations = self.best.operations.iter().map(|operation| operation.at_ms);
        let faults = self.best.faults.iter().map(|fault| fault.at_ms);
        let last = operations.chain(faults).max().unwrap_or(0);
        for spare_ms in [1_000, 10_000, 30_000] {
            let heal_at_ms = (last + spare_ms).min(self.best.heal_at_ms);
            if self.try_plan(Plan { heal_at_ms, ..self.best.clone() }) {
                return;
            }
        }
    }

    /// Makes clocks even and latencies plain where that does not matter.
    fn simplify(&mut self) {
        self.try_plan(Plan { object_clock: ClockPlan::default(), ..self.best.clone() });
        self.try_plan(Plan { object_monotonic: ClockPlan::default(), ..self.best.clone() });
        self.try_plan(Plan { latency_ms: (1, 10), ..self.best.clone() });
        for index in 0..self.best.machines.len() {
            let mut plan = self.best.clone();
            plan.machines[index].monotonic = ClockPlan::default();
            self.try_plan(plan);
            let mut plan = self.best.clone();
            plan.machines[index].wall = ClockPlan::default();
            self.try_plan(plan);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, FaultKind, Profile};

    #[test]
    fn only_what_the_failure_needs_is_left() {
        let plan = Plan::from_seed(7, Some(Profile::Hostile));
        let lists =
            |plan: &Plan| plan.operations.iter().filter(|o| o.action == Action::List).count();
        let steps = |plan: &Plan| {
            let kinds = plan.faults.iter().map(|fault| &fault.kind);
            kinds.filter(|kind| matches!(kind, FaultKind::Loss { .. })).count()
        };
        let (lists_wanted, steps_wanted) = (lists(&plan).min(2), steps(&plan).min(1));
        let mut fails = |plan: &Plan| lists(plan) >= lists_wanted && steps(plan) >= steps_wanted;
        let shrunk = shrink(&plan, 10_000, &mut fails);
        assert_eq!(shrunk.plan.operations.len(), lists_wanted);
        assert_eq!(shrunk.plan.faults.len(), steps_wanted);
        assert_eq!(shrunk.plan.object_clock, ClockPlan::default());
    }
}
