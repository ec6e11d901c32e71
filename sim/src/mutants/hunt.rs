//! Planted bugs, and looking for them: seed after seed, until the invariant that has to find one does.
//!
//! `conforms` and `mail_conforms` take no part: they see any change of a model, and what they see is no
//! broken promise.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use crate::explore::{Verdict, verdict_or_panic, verdict_until_healed};
use crate::judge;
use crate::judge::invariants::{bounded_leases, retention};
use crate::plan::Plan;
use crate::plan::shrink::shrink;
use crate::sut::{Sut, Variant};

/// Most seeds that a bug may take.
pub const SEEDS: u64 = 100;
/// Most parts that the shrunk plan of a bug may have.
pub const PARTS: usize = 10;
/// Seeds that every bug is run with, so that it is seen which invariants find it.
const COMPARED: u64 = 12;
/// Most simulations that the shrinking of a plan may take.
const TRIES: u32 = 1_000;

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct PlantedBug {
    /// Its name: what somebody did.
    pub name: &'static str,
    /// Heading of `spec/rules` that says the rule, or the trace that refuted a simpler one.
    pub source: &'static str,
    /// The invariant that has to find it.
    pub breaks: &'static str,
    /// System that has it.
    pub sut: Sut,
    /// The plan of a seed in which it is looked for.
    pub plan: fn(u64) -> Plan,
}

/// Catch of a bug, or none.
#[derive(Clone, Debug, Serialize)]
pub struct Catch {
    /// The bug.
    pub name: &'static str,
    /// Source of it.
    pub source: &'static str,
    /// True if its invariant found it, and in a plan without which the mistake does no harm.
    pub caught: bool,
    /// The invariant that has to find it.
    pub invariant: &'static str,
    /// Number of seeds that were tried.
    pub seeds_tried: u64,
    /// Number of parts that the shrunk plan has.
    pub parts: usize,
    /// Number of simulations that the shrinking took.
    pub shrinking: u32,
    /// Number of the first plans in which each invariant was broken.
    pub broken: BTreeMap<String, u64>,
    /// The other invariants that the shrunk plan breaks.
    pub also: Vec<String>,
    /// The shrunk plan.
    pub plan: Option<Plan>,
}

impl Catch {
    /// True if the bug was caught, in a plan small enough to be read.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.caught && self.parts <= PARTS
    }

    /// True if no other invariant finds anything in the shrunk plan.
    #[must_use]
    pub fn is_found_by_one_alone(&self) -> bool {
        self.caught && self.also.is_empty()
    }
}

/// Looks for bugs, several at a time.
pub fn hunt(mutants: &[PlantedBug], done: impl Fn(&Catch) + Sync) -> Vec<Catch> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let caught = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(mutants.len()) {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let catch = catch(mutant);
                    done(&catch);
                    caught.lock().unwrap_or_else(|e| e.into_inner()).push(catch);
                }
            });
        }
    });
    let mut caught = caught.into_inner().unwrap_or_else(|e| e.into_inner());
    caught.sort_by_key(|catch: &Catch| mutants.iter().position(|mutant| mutant.name == catch.name));
    caught
}

/// Looks for one bug, and shrinks the first plan that shows it; the next one, if it cannot be made
/// small enough to be read.
#[must_use]
pub fn catch(mutant: &PlantedBug) -> Catch {
    let mut catch = Catch {
        name: mutant.name,
        source: mutant.source,
        caught: false,
        invariant: mutant.breaks,
        seeds_tried: 0,
        parts: 0,
        shrinking: 0,
        broken: BTreeMap::new(),
        also: Vec::new(),
        plan: None,
    };
    for seed in 0..SEEDS {
        if catch.is_good() && seed >= COMPARED {
            break;
        }
        let plan = (mutant.plan)(seed);
        let broken = if seed < COMPARED {
            let broken = names(&verdict_or_panic(&plan, mutant.sut));
            for name in &broken {
                *catch.broken.entry(name.clone()).or_default() += 1;
            }
            broken
        } else {
            mutant.broken(&plan, mutant.sut)
        };
        if !catch.is_good() {
            catch.seeds_tried = seed + 1;
            if broken.iter().any(|name| name == mutant.breaks) && mutant.is_sound_without(&plan) {
                catch.shrink(mutant, &plan);
            }
        }
    }
    catch
}

impl Catch {
    /// Takes a plan that shows the bug, made small, unless there is a smaller one.
    fn shrink(&mut self, mutant: &PlantedBug, plan: &Plan) {
        let shrunk = shrink(plan, TRIES, &mut |plan| mutant.is_shown_by(plan));
        self.shrinking += shrunk.tries;
        if !self.caught || shrunk.plan.parts() < self.parts {
            self.caught = true;
            self.parts = shrunk.plan.parts();
            let broken = names(&verdict_or_panic(&shrunk.plan, mutant.sut));
            self.also = broken.into_iter().filter(|name| name != mutant.breaks).collect();
            self.plan = Some(shrunk.plan);
        }
    }
}

impl PlantedBug {
    /// The same system under test without the bug.
    #[must_use]
    pub fn without(&self) -> Sut {
        match (self.sut.object, self.sut.mail) {
            (Variant::Production, Variant::Production) => Sut::NATIVE,
            _ => Sut::SPEC,
        }
    }

    /// True if a plan shows the bug: with the mistake its invariant is broken, without it is not.
    #[must_use]
    pub fn is_shown_by(&self, plan: &Plan) -> bool {
        let broken = self.broken(plan, self.sut);
        broken.iter().any(|name| name == self.breaks) && self.is_sound_without(plan)
    }

    fn is_sound_without(&self, plan: &Plan) -> bool {
        self.broken(plan, self.without()).iter().all(|name| name != self.breaks)
    }

    /// The invariants that a plan breaks; to its very end only if that is what counts.
    fn broken(&self, plan: &Plan, sut: Sut) -> Vec<String> {
        let verdict = if [bounded_leases::NAME, retention::NAME].contains(&self.breaks) {
            verdict_or_panic(plan, sut)
        } else {
            verdict_until_healed(plan, sut)
        };
        names(&verdict)
    }
}

fn names(verdict: &Verdict) -> Vec<String> {
    let names = verdict.judgement.violations.iter().map(|found| found.invariant.clone());
    names.filter(|name| !judge::compares(name)).collect()
}
