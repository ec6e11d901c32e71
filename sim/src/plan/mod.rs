//! A plan: everything one simulation does, as data.
//!
//! A seed makes a plan; the plan is the unit of failure. It is printed, saved, replayed, shrunk and
//! committed as a regression. It says *what* happens and *when*, by true time, and knows nothing of
//! the engine that makes it happen.
//!
//! Invariant: every operation and every fault is legal in every state, so that deleting any part of
//! a plan leaves a plan.

mod bound;
mod clocks;
mod draw;
mod draw_mail;
mod fault;
mod lull;
pub mod mail;
mod operation;
pub mod shrink;
mod swarm;

use serde::{Deserialize, Serialize};

pub use bound::ClockClass;
pub use clocks::START_MS;
pub use fault::{Fault, FaultKind};
pub use mail::{HandlerScript, MailAction, MailPlan, Transport};
pub use operation::{Action, Ending, Operation};
pub(crate) use operation::{path, path_set, share_a_file};

/// Number of paths that the workload knows: few, so that claims meet.
pub const PATHS: u8 = 7;

/// Longer than any simulation, in ms: alarms that are lost for so long are lost after the healing too.
pub const FOR_EVER_MS: u64 = 100_000_000;

/// Roughness of the world.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Contention and honest clocks; a fault here and there.
    Calm,
    /// Every kind of fault, clocks inside the bound.
    Rough,
    /// Many faults at once; every other plan's clocks are outside the bound.
    Hostile,
}

/// One simulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Seed that it came from; it also decides what the plan leaves to chance: latencies and jitter.
    pub seed: u64,
    /// Roughness of the drawing.
    pub profile: Profile,
    /// Time at which faults and new claims stop and the world heals, in ms.
    pub heal_at_ms: u64,
    /// Latency of an undisturbed link, in ms: at least, at most.
    pub latency_ms: (u64, u64),
    /// The wall clock of the host that runs the object.
    pub object_clock: ClockPlan,
    /// Its monotonic clock.
    #[serde(default)]
    pub object_monotonic: ClockPlan,
    /// The computers that agents run on.
    pub machines: Vec<MachinePlan>,
    /// The agents. Several may share a machine.
    pub agents: Vec<AgentPlan>,
    /// Operations of agents and admins.
    pub operations: Vec<Operation>,
    /// Faults that happen to them, and to the object.
    pub faults: Vec<Fault>,
}

/// A clock that runs evenly; its steps are faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockPlan {
    /// Lead over the true time at the start, in ms.
    pub offset_ms: i64,
    /// Rate by which it runs faster than true time, in parts per million.
    pub rate_ppm: i64,
}

/// One computer with its two clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachinePlan {
    /// Its number: what operations and faults call it by.
    pub machine: u8,
    /// Its monotonic clock, which stops while it is suspended.
    pub monotonic: ClockPlan,
    /// Its wall clock.
    pub wall: ClockPlan,
}

/// One agent: a process with one production client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPlan {
    /// Its number: what operations and faults call it by.
    pub agent: u8,
    /// The machine it runs on.
    pub machine: u8,
    /// Means by which it gets mail; nothing does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailPlan>,
}

impl Plan {
    /// The agent's machine; `None` for an agent that is not in the plan.
    #[must_use]
    pub fn machine_of(&self, agent: u8) -> Option<&MachinePlan> {
        let machine = self.agents.iter().find(|known| known.agent == agent)?.machine;
        self.machines.iter().find(|known| known.machine == machine)
    }

    /// The plan as JSON that [`Plan::from_json`] reads back.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|wrong| format!("not a plan: {wrong}"))
    }

    /// The same plan without mail.
    #[must_use]
    pub fn without_mail(mut self) -> Self {
        self.operations.retain(|operation| !matches!(operation.action, Action::Mail(_)));
        for agent in &mut self.agents {
            agent.mail = None;
        }
        self
    }

    /// The same plan without leases.
    #[must_use]
    pub fn without_leases(mut self) -> Self {
        self.operations.retain(|operation| matches!(operation.action, Action::Mail(_)));
        self
    }

    /// True if anybody gets mail.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.agents.iter().any(|agent| agent.mail.is_some())
    }

    /// True if the platform may lose an alarm that the object has set.
    #[must_use]
    pub fn may_lose_alarms(&self) -> bool {
        self.faults.iter().any(|fault| {
            matches!(
                fault.kind,
                FaultKind::AlarmLost { .. } | FaultKind::AlarmStuck {} | FaultKind::Restore { .. }
            )
        })
    }

    /// Number of things of a plan that can be deleted one by one.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.operations.len() + self.faults.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_plan_and_a_plan_survives_json() {
        for seed in 0..50 {
            let plan = Plan::from_seed(seed, None);
            assert_eq!(plan, Plan::from_seed(seed, None), "seed {seed}");
            assert_eq!(Ok(plan.clone()), Plan::from_json(&plan.to_json()), "seed {seed}");
        }
    }

    #[test]
    fn over_two_hundred_seeds_every_kind_of_fault_is_drawn() {
        let mut drawn = std::collections::BTreeSet::new();
        for seed in 0..200 {
            drawn.extend(Plan::from_seed(seed, None).faults.iter().map(|fault| fault.kind.name()));
        }
        let missing: Vec<_> =
            FaultKind::NAMES.iter().filter(|name| !drawn.contains(*name)).collect();
        assert!(missing.is_empty(), "never drawn: {missing:?}");
    }
}
