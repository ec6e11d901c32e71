//! Random histories from a seed, on the specification and a system; a failing one is shrunk and
//! printed as a script.

mod shrink;

use core::fmt;
use std::collections::BTreeMap;

use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::directive::Directive;
use super::model::ModelSystem;
use super::notation::{EXACT_START, Epoch};
use super::subject::{Pace, Subject};
use super::system::{Capabilities, Capability, SystemUnderTest};
use super::{lockstep, realtime};

use mailbus_spec::machine::Event;
use mailbus_spec::time::HostTime;

/// The longest step of time on a real clock.
const SHORT_STEP_MS: u64 = 40;

/// Host clocks that are wrong: around the minute after which the object's clock is anchored anew, and
/// far off.
const SKEWS_MS: [i64; 9] = [-90_000, -60_001, -60_000, -3_000, 0, 0, 2_000, 90_000, 31_536_000_000];

/// Which answers a run has seen, and how often: so that a run that reaches nothing is noticed.
pub type Coverage = BTreeMap<String, u64>;

/// A system that is not what the specification says, found by a random history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The seed that found it.
    pub seed: u64,
    /// The shrunk history, as a script without its lower half.
    pub script: String,
    /// What differs.
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
    let mut world = World::<S> {
        random: ChaCha8Rng::seed_from_u64(seed),
        model: ModelSystem::default(),
        time: lockstep::WorldTime::default(),
        elapsed: 0,
        able: able.clone(),
    };
    let mut directives = Vec::new();
    if able.has(Capability::Sockets) {
        for peer in S::peers_of_the_small_world() {
            if world.random.random_bool(0.7) {
                directives.push(Directive::Connect(peer));
            }
        }
    }
    while directives.len() < length {
        let directive = world.draw();
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

struct World<S: Subject> {
    random: ChaCha8Rng,
    model: ModelSystem<S>,
    time: lockstep::WorldTime,
    elapsed: u64,
    able: Capabilities,
}

impl<S: Subject> World<S> {
    fn draw(&mut self) -> Directive<S> {
        let exact = self.able.has(Capability::ExactTime);
        let pace = if exact { Pace::Long } else { Pace::Short };
        let able = |capability| self.able.has(capability);
        let drawn = match self.random.random_range(0..1_000_u32) {
            0..=129 => Some(self.step_in_time()),
            130..=144 if able(Capability::ExactTime) => self.wrong_clock(),
            145..=179 if able(Capability::Alarm) => Some(Directive::Alarm),
            180..=199 if able(Capability::Alarm) => Some(Directive::Pending),
            200..=224 if able(Capability::Evict) => Some(Directive::Evict),
            225..=227 if able(Capability::Crash) => Some(Directive::Crash),
            228..=231 if able(Capability::Rollback) => Some(Directive::Bookmark(self.mark())),
            232..=234 if able(Capability::Rollback) => Some(Directive::Restore(self.mark())),
            235..=249 if able(Capability::Sockets) => self.socket(),
            _ => None,
        };
        drawn.unwrap_or_else(|| {
            Directive::command(self.model.machine.generate(&mut self.random, pace))
        })
    }

    fn apply(&mut self, directive: &Directive<S>) {
        if let Some(host) = self.time.after(directive) {
            self.model.host = host;
        }
        match directive {
            Directive::Commands(commands) => {
                for command in commands {
                    self.model.handle(&Event::Command(command.clone()));
                }
            }
            Directive::Alarm => {
                self.model.handle(&Event::Alarm);
            }
            Directive::At(ms) => self.elapsed = *ms,
            Directive::Disconnect(peer) => self.model.close(peer),
            Directive::Crash => self.model.break_sockets(),
            Directive::Bookmark(name) => self.model.mark(name),
            Directive::Restore(name) => self.model.set_back(name),
            _ => {}
        }
    }

    /// Mostly to where time changes something, or to the millisecond before it.
    fn step_in_time(&mut self) -> Directive<S> {
        if !self.able.has(Capability::ExactTime) {
            let step = self.random.random_range(1..=SHORT_STEP_MS);
            return Directive::At(self.elapsed + step);
        }
        let clock = self.model.machine.clock();
        let host = self.model.host;
        let points = self.model.machine.turning_points();
        let ahead = points.iter().map(|at| clock.host_at(*at)).filter(|at| *at > host);
        let next: Vec<HostTime> = ahead.take(3).collect();
        let step = match next.choose(&mut self.random) {
            Some(at) if self.random.random_bool(0.8) => {
                at.0 - host.0 - u64::from(self.random.random_bool(0.2))
            }
            _ => [1, 100, 1_000, 10_000, 60_000, 120_000]
                .into_iter()
                .choose(&mut self.random)
                .unwrap_or(1),
        };
        Directive::At(self.elapsed + step)
    }

    fn wrong_clock(&mut self) -> Option<Directive<S>> {
        if self.random.random_bool(0.1) {
            let stuck = [0, u64::MAX >> 12, 7_258_118_400_000].choose(&mut self.random)?;
            return Some(Directive::Clock(HostTime(*stuck)));
        }
        SKEWS_MS.choose(&mut self.random).map(|skew| Directive::Skew(*skew))
    }

    fn mark(&mut self) -> String {
        format!("m{}", self.random.random_range(1..=2_u32))
    }

    fn socket(&mut self) -> Option<Directive<S>> {
        if S::HAS_SESSIONS {
            let open = self.model.machine.sessions();
            return open.into_iter().choose(&mut self.random).map(Directive::Disconnect);
        }
        let peer = S::peers_of_the_small_world().into_iter().choose(&mut self.random)?;
        Some(if self.random.random_bool(0.6) {
            Directive::Connect(peer)
        } else {
            Directive::Disconnect(peer)
        })
    }
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
            "refused: held by the ticket of",
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
