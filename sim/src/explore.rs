//! Exploring many seeds on all cores.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use crate::engine;
use crate::judge::history::History;
use crate::judge::history::marks::Marks;
use crate::judge::{self, Judgement, Violation, judge, witness};
use crate::plan::{ClockClass, FaultKind, Plan, Profile};
use crate::sut::Sut;

/// Verdict on one simulation.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Events that happened.
    pub history: History,
    /// Findings of the invariants.
    pub judgement: Judgement,
}

/// Runs a plan and judges it.
#[must_use]
pub fn verdict(plan: &Plan, sut: Sut) -> Verdict {
    judged(plan, engine::run(plan, sut))
}

fn judged(plan: &Plan, mut history: History) -> Verdict {
    witness::reach(plan, &mut history);
    let judgement = judge(&history, plan.clock_class());
    Verdict { history, judgement }
}

/// A plan that broke something.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// Violation that came first.
    #[serde(flatten)]
    pub violation: Violation,
}

/// Result of a run over many seeds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Exploration {
    /// Number of plans that ran.
    pub seeds: u64,
    /// Number of operations that they began.
    pub operations: u64,
    /// Seconds that passed in them.
    pub simulated_seconds: u64,
    /// Seconds that passed outside.
    pub wall_seconds: f64,
    /// Violations, by plan.
    pub violations: Vec<Failure>,
    /// Number of times that each invariant looked.
    pub invariants: BTreeMap<String, u64>,
    /// Number of times that each mark was reached.
    pub marks: Marks,
    /// Number of times that each kind of fault happened.
    pub faults: BTreeMap<String, u64>,
    /// Number of events that the object handled.
    pub events: u64,
    /// True if every promise held, and everything was met that has to be.
    pub passed: bool,
    /// The same in words.
    pub verdict: String,
    /// Number of plans that had clocks outside the bound, and in how many of them two holders believed at
    /// once.
    pub outside: (u64, u64),
}

impl Exploration {
    fn add(&mut self, plan: &Plan, verdict: &Verdict) {
        let Verdict { history, judgement } = verdict;
        self.seeds += 1;
        self.operations += history.operations;
        self.simulated_seconds += history.ended.ms() / 1_000;
        self.events += u64::try_from(history.event_count()).unwrap_or(0);
        for (name, checks) in &judgement.checks {
            *self.invariants.entry((*name).to_owned()).or_default() += checks;
        }
        for (name, count) in &history.faults {
            *self.faults.entry((*name).to_owned()).or_default() += count;
        }
        self.marks.add(&history.marks);
        if plan.clock_class() == ClockClass::Outside {
            self.outside.0 += 1;
            self.outside.1 += judgement.broken_outside;
        }
        if let Some(violation) = judgement.violations.first() {
            self.violations.push(Failure { seed: plan.seed, violation: violation.clone() });
        }
    }

    /// Things that must have happened and did not: an invariant that never looked, a mark that was
    /// never reached, a fault that never happened, clocks outside the bound that broke nothing.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let idle = judge::names()
            .filter(|name| self.invariants.get(*name).is_none_or(|checks| *checks == 0));
        let mut gaps: Vec<String> =
            idle.map(|name| format!("the invariant {name} never looked")).collect();
        let missed = self.marks.missed();
        gaps.extend(missed.iter().map(|mark| format!("never met: {}", mark.name())));
        let spared = FaultKind::NAMES.iter().filter(|name| !self.faults.contains_key(**name));
        gaps.extend(spared.map(|name| format!("never happened: {name}")));
        if self.outside.0 > 0 && self.outside.1 == 0 {
            gaps.push("clocks outside the bound never let two holders believe at once".to_owned());
        }
        gaps
    }
}

/// Runs the plans of these seeds, one simulation a thread at a time, and tells of each when it is
/// done.
pub fn explore(
    seeds: &[u64],
    profile: Option<Profile>,
    sut: Sut,
    done: impl Fn(u64, Option<&Violation>) + Sync,
) -> Exploration {
    let threads =
        std::thread::available_parallelism().map_or(1, usize::from).min(seeds.len().max(1));
    let next = AtomicUsize::new(0);
    let exploration = Mutex::new(Exploration::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let plan = Plan::from_seed(*seed, profile);
                    let verdict = verdict_or_panic(&plan, sut);
                    done(*seed, verdict.judgement.violations.first());
                    exploration.lock().unwrap_or_else(|e| e.into_inner()).add(&plan, &verdict);
                }
            });
        }
    });
    let mut exploration = exploration.into_inner().unwrap_or_else(|e| e.into_inner());
    exploration.violations.sort_by_key(|failure| failure.seed);
    exploration
}

/// A simulation that panics has broken something too.
#[must_use]
pub fn verdict_or_panic(plan: &Plan, sut: Sut) -> Verdict {
    or_panic(|| verdict(plan, sut))
}

/// The same without the end, in which everything has to be forgotten: `bounded_leases` does not look.
#[must_use]
pub fn verdict_until_healed(plan: &Plan, sut: Sut) -> Verdict {
    or_panic(|| judged(plan, engine::run_until_healed(plan, sut)))
}

fn or_panic(simulate: impl FnOnce() -> Verdict) -> Verdict {
    catch_unwind(AssertUnwindSafe(simulate)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let violation = Violation {
            invariant: "no_panic".to_owned(),
            at_us: 0,
            why: said.unwrap_or_else(|| "a panic without a text".to_owned()),
        };
        let judgement = Judgement { violations: vec![violation], ..Judgement::default() };
        Verdict { history: History::default(), judgement }
    })
}
