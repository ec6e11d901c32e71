//! The world of a random history: what may happen next, drawn from random numbers.

use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, RngExt};

use crate::directive::Directive;
use crate::lockstep::WorldTime;
use crate::model::ModelSystem;
use crate::subject::{Load, Pace, Subject};
use crate::system::{Capabilities, Capability};
use mailbus_spec::machine::Event;
use mailbus_spec::time::HostTime;

/// The longest step of time on a real clock.
const SHORT_STEP_MS: u64 = 40;

/// Host clocks that are wrong: around the minute after which the object's clock is anchored anew, and
/// far off.
const SKEWS_MS: [i64; 9] = [-90_000, -60_001, -60_000, -3_000, 0, 0, 2_000, 90_000, 31_536_000_000];

/// Loads that may still come at once in a history. One takes ten to a hundred times as long as all the
/// rest of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    /// Number of times that [`Load::Some`] may come.
    pub some: u8,
    /// Number of times that [`Load::Many`] may come.
    pub many: u8,
    /// Number of times that [`Load::Long`] may come.
    pub long: u8,
    /// Number of times that [`Load::Longs`] may come.
    pub longs: u8,
}

impl Loads {
    /// Now and then one of those that are left.
    fn take(&mut self, random: &mut impl Rng) -> Option<Load> {
        if *self == Self::default() || !random.random_bool(0.06) {
            return None;
        }
        let Self { some, many, long, longs } = self;
        let all =
            [(Load::Some, some), (Load::Many, many), (Load::Long, long), (Load::Longs, longs)];
        let (load, left) = all.into_iter().filter(|(_, left)| **left > 0).choose(random)?;
        *left -= 1;
        Some(load)
    }
}

/// The specification as it is in the midst of a history, and the time there.
pub(super) struct World<S: Subject> {
    pub model: ModelSystem<S>,
    time: WorldTime,
    elapsed: u64,
    able: Capabilities,
    loads: Loads,
}

impl<S: Subject> World<S> {
    /// World of a system that can do this.
    pub fn new(model: ModelSystem<S>, able: Capabilities, loads: Loads) -> Self {
        Self { model, time: WorldTime::default(), elapsed: 0, able, loads }
    }

    /// Directive that comes next.
    pub fn draw(&mut self, random: &mut impl Rng) -> Directive<S> {
        let exact = self.able.has(Capability::ExactTime);
        let pace = if exact { Pace::Long } else { Pace::Short };
        let able = |capability| self.able.has(capability);
        let drawn = match random.random_range(0..1_000_u32) {
            0..=129 => Some(self.step_in_time(random)),
            130..=144 if able(Capability::ExactTime) => wrong_clock(random),
            145..=179 if able(Capability::Alarm) => Some(Directive::Alarm),
            180..=199 if able(Capability::Alarm) => Some(Directive::Pending),
            200..=224 if able(Capability::Evict) => Some(Directive::Evict),
            225..=227 if able(Capability::Crash) => Some(Directive::Crash),
            228..=231 if able(Capability::Rollback) => Some(Directive::Bookmark(mark(random))),
            232..=234 if able(Capability::Rollback) => Some(Directive::Restore(mark(random))),
            235..=249 if able(Capability::Sockets) => self.socket(random),
            _ => self.flood(random),
        };
        drawn.unwrap_or_else(|| Directive::command(self.model.machine.generate(random, pace)))
    }

    /// Lets time pass, if that is what happens.
    pub fn pass(&mut self, directive: &Directive<S>) {
        if let Directive::At(ms) = directive {
            self.elapsed = *ms;
        }
        if let Some(host) = self.time.after(directive) {
            self.model.host = host;
        }
    }

    /// Does to the model what happens.
    pub fn apply(&mut self, directive: &Directive<S>) {
        self.pass(directive);
        match directive {
            Directive::Commands(commands) => {
                for command in commands {
                    self.model.handle(&Event::Command(command.clone()));
                }
            }
            Directive::Alarm => {
                self.model.handle(&Event::Alarm);
            }
            Directive::Disconnect(peer) => self.model.close(peer),
            Directive::Crash => self.model.break_sockets(),
            Directive::Bookmark(name) => self.model.mark(name),
            Directive::Restore(name) => self.model.set_back(name),
            _ => {}
        }
    }

    /// Mostly to where time changes something, or to the millisecond before it.
    fn step_in_time(&self, random: &mut impl Rng) -> Directive<S> {
        if !self.able.has(Capability::ExactTime) {
            let step = random.random_range(1..=SHORT_STEP_MS);
            return Directive::At(self.elapsed + step);
        }
        let clock = self.model.machine.clock();
        let host = self.model.host;
        let points = self.model.machine.turning_points();
        let ahead = points.iter().map(|at| clock.host_at(*at)).filter(|at| *at > host);
        let next: Vec<HostTime> = ahead.take(3).collect();
        let step = match next.choose(random) {
            Some(at) if random.random_bool(0.8) => {
                at.0 - host.0 - u64::from(random.random_bool(0.2))
            }
            _ => [1, 100, 1_000, 10_000, 60_000, 120_000].into_iter().choose(random).unwrap_or(1),
        };
        Directive::At(self.elapsed + step)
    }

    fn socket(&self, random: &mut impl Rng) -> Option<Directive<S>> {
        if S::HAS_SESSIONS {
            let open = self.model.machine.sessions();
            return open.into_iter().choose(random).map(Directive::Disconnect);
        }
        let peer = S::peers_of_the_small_world().into_iter().choose(random)?;
        Some(if random.random_bool(0.6) {
            Directive::Connect(peer)
        } else {
            Directive::Disconnect(peer)
        })
    }

    fn flood(&mut self, random: &mut impl Rng) -> Option<Directive<S>> {
        let load = self.loads.take(random)?;
        let commands = self.model.machine.flood(random, load);
        (!commands.is_empty()).then_some(Directive::Commands(commands))
    }
}

fn wrong_clock<S: Subject>(random: &mut impl Rng) -> Option<Directive<S>> {
    if random.random_bool(0.1) {
        let stuck = [0, u64::MAX >> 12, 7_258_118_400_000].choose(random)?;
        return Some(Directive::Clock(HostTime(*stuck)));
    }
    SKEWS_MS.choose(random).map(|skew| Directive::Skew(*skew))
}

fn mark(random: &mut impl Rng) -> String {
    format!("m{}", random.random_range(1..=2_u32))
}
