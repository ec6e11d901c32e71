//! Random histories, on the specification and whatever claims to be it.
//!
//! | file | what it is |
//! |---|---|
//! | `world` | the one grammar of histories: what may happen next, drawn from random numbers |
//! | `operation` | random numbers as sixteen bytes an event, for a fuzzer and for shrinking |
//! | `pair` | the specification and a machine of production side by side, event by event |
//! | `shrink` | the shortest history that still fails |
//!
//! Against a system a history is drawn from a seed; a failing one is shrunk and printed as a script.

mod operation;
mod pair;
mod shrink;
mod world;

use core::fmt;
use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::directive::Directive;
use super::model::ModelSystem;
use super::notation::{EXACT_START, Epoch};
use super::subject::Subject;
use super::system::{Capabilities, Capability, SystemUnderTest};
use super::{lockstep, realtime};

use world::World;

pub use operation::Operation;
pub use pair::{Handled, Machine, Pair, Steps};
pub use world::Loads;

/// Count of each answer that a run has seen: so that a run that reaches nothing is noticed.
pub type Coverage = BTreeMap<String, u64>;

/// A system that is not what the specification says, found by a random history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The seed that found it.
    pub seed: u64,
    /// The shrunk history, as a script without its lower half.
    pub script: String,
    /// Difference between the two, for a person.
    pub difference: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, shrunk to this script:\n", self.seed)?;
        writeln!(f, "{}\n----\n", self.script)?;
        f.write_str(&self.difference)
    }
}

impl core::error::Error for Divergence {}

/// The random history of a seed, of as many directives, for a system that can do this.
///
/// The same seed gives the same history for the same capabilities, always.
#[must_use]
pub fn history<S: Subject>(seed: u64, length: usize, able: &Capabilities) -> Vec<Directive<S>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut world = World::<S>::new(ModelSystem::default(), able.clone(), Loads::default());
    let mut directives = Vec::new();
    if able.has(Capability::Sockets) {
        for peer in S::peers_of_the_small_world() {
            if random.random_bool(0.7) {
                directives.push(Directive::Connect(peer));
            }
        }
    }
    while directives.len() < length {
        let directive = world.draw(&mut random);
        world.apply(&directive);
        directives.push(directive);
    }
    directives
}

/// Runs the history of a seed on a system.
///
/// # Errors
/// [`Divergence`] with the shrunk history.
pub async fn check<S: Subject, T: SystemUnderTest<S>>(
    seed: u64,
    length: usize,
    system: &mut T,
) -> Result<Coverage, Divergence> {
    let directives = history::<S>(seed, length, &system.capabilities());
    let mut coverage = Coverage::new();
    match attempt(&directives, system, &mut coverage).await {
        Ok(()) => Ok(coverage),
        Err(difference) => {
            let (directives, difference) = shrink::shrunk(directives, difference, system).await;
            let lines: Vec<String> =
                directives.iter().map(|directive| directive.spell(Epoch(EXACT_START))).collect();
            Err(Divergence { seed, script: lines.join("\n"), difference })
        }
    }
}

async fn attempt<S: Subject, T: SystemUnderTest<S>>(
    directives: &[Directive<S>],
    system: &mut T,
    coverage: &mut Coverage,
) -> Result<(), String> {
    if system.capabilities().has(Capability::ExactTime) {
        let count = |lines: Vec<String>| {
            for line in lines {
                let kind = kind(line.split_once("] ").map_or(line.as_str(), |(_, answer)| answer));
                *coverage.entry(kind).or_default() += 1;
            }
        };
        let ran = lockstep::run(directives, system, count).await;
        ran.map_err(|disagreement| disagreement.to_string())
    } else {
        let explanation = realtime::run(directives, system).await?;
        *coverage.entry(String::from("hidden events")).or_default() += explanation.hidden() as u64;
        *coverage.entry(String::from("events")).or_default() += explanation.order.len() as u64;
        Ok(())
    }
}

/// An answer's words up to the first that names something.
fn kind(answer: &str) -> String {
    let before_comma = answer.split(',').next().unwrap_or_default();
    let plain = |word: &&str| word.trim_end_matches(':').chars().all(char::is_alphabetic);
    let words: Vec<&str> = before_comma.split_whitespace().take_while(plain).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_on;
    use mailbus_spec::lease::LeaseMachine;

    fn able() -> Capabilities {
        SystemUnderTest::<LeaseMachine>::capabilities(&ModelSystem::default())
    }

    #[test]
    fn a_seed_gives_one_history() {
        let history = |seed| history::<LeaseMachine>(seed, 100, &able());
        assert_eq!(history(7), history(7));
        assert_ne!(history(7), history(8));
    }

    #[test]
    fn the_histories_reach_every_kind_of_answer() {
        let mut reached = Coverage::new();
        for seed in 0..200 {
            let mut model = ModelSystem::<LeaseMachine>::default();
            for (kind, count) in block_on(check(seed, 120, &mut model)).unwrap() {
                *reached.entry(kind).or_default() += count;
            }
        }
        for kind in [
            "granted",
            "queued",
            "over: released",
            "over: lapsed",
            "over: forced",
            "over: cancelled",
            "over: timed out",
            "renewed until",
            "released",
            "cancelled",
            "free",
            "held by",
            "no leases",
            "current until",
            "stale",
            "recovered",
            "refused: held by the lease of",
            "refused: held by ticket",
            "refused: held by a claim of its own",
            "refused: deadlock of",
            "refused: the request id stands for something else",
            "refused: lost",
            "no alarm pending",
            "alarm pending for",
        ] {
            assert!(reached.contains_key(kind), "{kind} is not reached: {reached:#?}");
        }
    }
}
