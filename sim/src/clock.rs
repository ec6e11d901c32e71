//! Clocks as pure functions of true time.
//!
//! A simulated clock is never read "now": it is asked what it shows at a true instant, and at which
//! true instant it will show something. So what a paused client *would* believe can be computed
//! afterwards, for every instant.

use std::cell::Cell;
use std::time::Duration;

use mailbus_spec::HostTime;
use mailbus_spec::belief::Reading;

/// An instant of true time, in microseconds from the start of the simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct TrueTime(pub u64);

impl TrueTime {
    /// The instant `ms` milliseconds after the start.
    #[must_use]
    pub fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// The instant `elapsed` after the start.
    #[must_use]
    pub fn after_start(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    /// Whole milliseconds since the start.
    #[must_use]
    pub fn ms(self) -> u64 {
        self.0 / 1_000
    }

    /// The instant `ms` later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000)))
    }
}

impl std::fmt::Display for TrueTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1_000_000, self.0 / 1_000 % 1_000)
    }
}

/// True time of one simulation: its network's while a host runs, and what that came to while none does.
#[derive(Debug)]
pub struct TrueClock {
    between: Cell<Option<TrueTime>>,
}

impl Default for TrueClock {
    /// The clock of a simulation that has not begun.
    fn default() -> Self {
        Self { between: Cell::new(Some(TrueTime(0))) }
    }
}

impl TrueClock {
    /// True time.
    #[must_use]
    pub fn now(&self) -> TrueTime {
        let running = || turmoil::sim_elapsed().map(TrueTime::after_start);
        self.between.get().or_else(running).unwrap_or_default()
    }

    /// Hosts run, or none does and this is the time.
    pub fn set_between(&self, between: Option<TrueTime>) {
        self.between.set(between);
    }
}

/// A clock that runs evenly but for steps and stretches in which it stands still.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkewedClock {
    /// Reading that it shows at the start, in µs.
    origin_us: i64,
    /// Rate by which it runs faster than true time, in parts per million.
    rate_ppm: i64,
    /// True instants and by how much it is set then, in µs; by instant.
    steps: Vec<(TrueTime, i64)>,
    /// Stretches of true time in which it stands still; disjoint, by instant.
    frozen: Vec<(TrueTime, TrueTime)>,
}

impl SkewedClock {
    /// A clock that shows `origin_us` at the start and runs `rate_ppm` too fast.
    #[must_use]
    pub fn new(origin_us: i64, rate_ppm: i64) -> Self {
        Self { origin_us, rate_ppm, steps: Vec::new(), frozen: Vec::new() }
    }

    /// The same clock, set by `by_us` at `at`.
    #[must_use]
    pub fn with_step(mut self, at: TrueTime, by_us: i64) -> Self {
        self.steps.push((at, by_us));
        self.steps.sort_by_key(|(at, _)| *at);
        self
    }

    /// The same clock, standing still from `from` to `to`.
    #[must_use]
    pub fn with_freeze(mut self, from: TrueTime, to: TrueTime) -> Self {
        self.frozen.push((from, to));
        self.frozen.sort();
        let mut disjoint: Vec<(TrueTime, TrueTime)> = Vec::new();
        for (from, to) in self.frozen {
            match disjoint.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => disjoint.push((from, to)),
            }
        }
        self.frozen = disjoint;
        self
    }

    /// Reading that it shows at `at`, in µs.
    #[must_use]
    pub fn shows(&self, at: TrueTime) -> i64 {
        let stood = self.frozen.iter().map(
            |(from, to)| {
                if at <= *from { 0 } else { at.min(*to).0 - from.0 }
            },
        );
        let ran = at.0 - stood.sum::<u64>();
        let ran = i64::try_from(ran).unwrap_or(i64::MAX);
        let drift = i128::from(ran) * i128::from(self.rate_ppm) / 1_000_000;
        let drift = i64::try_from(drift).unwrap_or(0);
        let steps: i64 =
            self.steps.iter().take_while(|(when, _)| *when <= at).map(|(_, by)| *by).sum();
        self.origin_us + ran + drift + steps
    }

    /// The first true instant, not before `from`, at which it shows `local_us` or more; `None` if a
    /// century does not bring it there.
    #[must_use]
    pub fn first_showing(&self, local_us: i64, from: TrueTime) -> Option<TrueTime> {
        if self.shows(from) >= local_us {
            return Some(from);
        }
        let mut edges: Vec<TrueTime> = self.breakpoints().filter(|edge| *edge > from).collect();
        edges.push(TrueTime(from.0.saturating_add(3_155_760_000_000_000)));
        edges.sort();
        let mut low = from;
        for edge in edges {
            // Between two breakpoints the clock never runs backwards.
            let last = TrueTime(edge.0 - 1);
            if last > low && self.shows(last) >= local_us {
                return Some(self.bisect(local_us, low, last));
            }
            if self.shows(edge) >= local_us {
                return Some(edge);
            }
            low = edge;
        }
        None
    }

    /// All true instants at which it does something else than run.
    pub fn breakpoints(&self) -> impl Iterator<Item = TrueTime> + '_ {
        let steps = self.steps.iter().map(|(at, _)| *at);
        steps.chain(self.frozen.iter().flat_map(|(from, to)| [*from, *to]))
    }

    /// Invariant: it shows less than `local_us` at `low` and at least that at `high`.
    fn bisect(&self, local_us: i64, mut low: TrueTime, mut high: TrueTime) -> TrueTime {
        while high.0 - low.0 > 1 {
            let middle = TrueTime(low.0 + (high.0 - low.0) / 2);
            if self.shows(middle) >= local_us {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }
}

/// The two clocks of a machine that agents run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineClocks {
    /// The monotonic clock.
    pub monotonic: SkewedClock,
    /// The wall clock.
    pub wall: SkewedClock,
}

impl MachineClocks {
    /// Reading of both at `at`, in the whole milliseconds that a client may count on.
    #[must_use]
    pub fn reading(&self, at: TrueTime) -> Reading {
        let whole = |us: i64| Duration::from_millis(u64::try_from(us / 1_000).unwrap_or(0));
        Reading { monotonic: whole(self.monotonic.shows(at)), wall: whole(self.wall.shows(at)) }
    }

    /// The first true instant, not before `from`, at which the monotonic clock reads `target`.
    #[must_use]
    pub fn when_monotonic(&self, target: Duration, from: TrueTime) -> Option<TrueTime> {
        let target_ms =
            i64::try_from(target.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX / 1_000);
        self.monotonic.first_showing(target_ms.saturating_mul(1_000), from)
    }
}

/// Time by a host's clock, in whole milliseconds.
#[must_use]
pub fn host_time(clock: &SkewedClock, at: TrueTime) -> HostTime {
    HostTime(u64::try_from(clock.shows(at) / 1_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> TrueTime {
        TrueTime::from_ms(ms)
    }

    #[test]
    fn a_fast_clock_gains_and_a_step_moves_it() {
        let clock = SkewedClock::new(5_000, 1_000).with_step(at(2_000), -10_000);
        assert_eq!(clock.shows(at(0)), 5_000);
        assert_eq!(clock.shows(at(1_000)), 1_006_000);
        assert_eq!(clock.shows(at(2_000)), 2_007_000 - 10_000);
    }

    #[test]
    fn a_frozen_clock_stands_still_and_then_goes_on() {
        let clock = SkewedClock::new(0, 0).with_freeze(at(10), at(30)).with_freeze(at(20), at(40));
        assert_eq!(clock.shows(at(10)), 10_000);
        assert_eq!(clock.shows(at(40)), 10_000);
        assert_eq!(clock.shows(at(41)), 11_000);
    }

    #[test]
    fn the_first_instant_of_showing_something_is_found_across_steps_and_freezes() {
        let clock = SkewedClock::new(0, -500)
            .with_freeze(at(100), at(500))
            .with_step(at(700), 50_000)
            .with_step(at(900), -200_000);
        for local_us in [0, 1, 99_000, 150_000, 310_000, 349_500, 360_000, 2_000_000] {
            let found = clock.first_showing(local_us, at(0)).unwrap();
            assert!(clock.shows(found) >= local_us, "{local_us}");
            if found.0 > 0 {
                assert!(clock.shows(TrueTime(found.0 - 1)) < local_us, "{local_us}");
            }
        }
    }

    #[test]
    fn readings_are_whole_milliseconds_and_sleeping_to_one_reaches_it() {
        let clocks = MachineClocks {
            monotonic: SkewedClock::new(1_234, 700),
            wall: SkewedClock::new(9_000_000, -700),
        };
        let target = Duration::from_millis(777);
        let then = clocks.when_monotonic(target, at(3)).unwrap();
        assert_eq!(clocks.reading(then).monotonic, target);
        assert!(clocks.reading(TrueTime(then.0 - 1)).monotonic < target);
    }
}
