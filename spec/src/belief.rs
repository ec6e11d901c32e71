//! Belief of a client about a lease, and what it rests on.
//!
//! # Derivation
//!
//! A client notes its clocks, then sends; the object grants later, at some true instant `g`, a term
//! of `ttl` by its own clock. In true time the object's clock advances at most `(1 + ρ)d + ε` in
//! `d`, so the lease lives at least until `g + (ttl − ε)/(1 + ρ)`. The client's better clock needs
//! at least `(1 − ρ)d` for `d`, so it shows an elapsed time below `L` only until
//! `sent + L/(1 − ρ)`. Since `sent ≤ g`, belief ends before the lease does if
//! `L ≤ (ttl − ε)(1 − ρ)/(1 + ρ)`. Two clocks are read in whole steps of `q`; with `L` rounded down
//! and belief only while `elapsed < L`, one `q` less pays for both
//! ([refuted](crate::rules::refuted#belief-without-room-for-steps)).
//!
//! The formula is that of Gray and Cheriton, *Leases* (SOSP 1989), section 3, with the two sides'
//! error terms written out.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Ttl;

/// The bound inside which belief is promised to be exclusive. One value, shared by the client and
/// the simulator.
///
/// * In any true interval `d ≤ 24 h` an object's clock advances by at most `(1 + ρ)d + ε`, all
///   forward steps and host moves in it together. A step back counts nothing, its return counts as
///   forward.
/// * At least one of a client's two clocks keeps rate ρ and takes no step back between sending and
///   reading.
/// * `q` is the coarser granularity of the client's two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockBound {
    /// ρ: how far a clock's rate may be off, in parts per million; below 1 000 000.
    pub rate_ppm: u32,
    /// ε: how far an object's clock may jump ahead in a day, in milliseconds.
    pub step_ms: u64,
    /// q: the granularity of a client's clocks, in milliseconds.
    pub granularity_ms: u64,
}

impl ClockBound {
    /// Bounds under which the service keeps its promises: 1 000 ppm, 250 ms, 1 ms.
    pub const PROMISED: Self = Self { rate_ppm: 1_000, step_ms: 250, granularity_ms: 1 };

    /// `L`: how long after the sending a client may believe in a term of `ttl`.
    ///
    /// `floor((ttl − ε)(1 − ρ)/(1 + ρ) − q)` in whole milliseconds; zero means never.
    #[must_use]
    pub fn believable(&self, ttl: Ttl) -> Duration {
        let million = 1_000_000_u64;
        let rate = u64::from(self.rate_ppm).min(million);
        let slowest = million.saturating_sub(rate);
        let fastest = million.saturating_add(rate);
        let sure = ttl.ms().saturating_sub(self.step_ms).saturating_mul(slowest);
        let whole = sure.checked_div(fastest).unwrap_or(0);
        Duration::from_millis(whole.saturating_sub(self.granularity_ms))
    }

    /// Largest disagreement of a client's two clocks that it trusts after `elapsed`: ε + 2ρd.
    #[must_use]
    pub fn disagreement(&self, elapsed: Duration) -> Duration {
        let ppm = u128::from(self.rate_ppm).saturating_mul(2);
        let drift = elapsed.as_micros().saturating_mul(ppm) / 1_000_000;
        let drift = Duration::from_micros(u64::try_from(drift).unwrap_or(u64::MAX));
        Duration::from_millis(self.step_ms).saturating_add(drift)
    }
}

/// One look at a client's two clocks, taken together.
///
/// Both count from origins of their own; only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reading {
    /// The monotonic clock; where the platform has one that counts sleep, it is that one.
    pub monotonic: Duration,
    /// The wall clock.
    pub wall: Duration,
}

/// Reason why a client's clocks can no longer be trusted with anything noted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockAnomaly {
    /// A clock showed less than it had shown before.
    SteppedBack,
    /// The two clocks disagree by more than ε + 2ρd about how long it has been.
    Disagree,
}

/// Knowledge of a client about one term: when it sent for it, and how long that is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Belief {
    /// The clocks at the sending that the belief is reckoned from.
    pub sent: Reading,
    /// `L`, reckoned from the term granted.
    pub lasts: Duration,
}

impl Belief {
    /// The belief in a term of `ttl` that was sent for at `sent`.
    #[must_use]
    pub fn in_term(sent: Reading, ttl: Ttl, bound: &ClockBound) -> Self {
        Self { sent, lasts: bound.believable(ttl) }
    }

    /// True if it still holds at `at`: both clocks must say that less than `L` has passed.
    #[must_use]
    pub fn holds(&self, at: Reading) -> bool {
        let by = |now: Duration, then: Duration| {
            now.checked_sub(then).is_some_and(|elapsed| elapsed < self.lasts)
        };
        by(at.monotonic, self.sent.monotonic) && by(at.wall, self.sent.wall)
    }

    /// The monotonic instant from which it no longer holds, whatever the wall clock says.
    #[must_use]
    pub fn monotonic_end(&self) -> Duration {
        self.sent.monotonic.saturating_add(self.lasts)
    }
}

/// Compares two looks at the same clocks.
///
/// # Errors
/// [`ClockAnomaly`]: every belief noted before `later` must end.
pub fn compare_readings(
    earlier: Reading,
    later: Reading,
    bound: &ClockBound,
) -> Result<(), ClockAnomaly> {
    let monotonic = later.monotonic.checked_sub(earlier.monotonic);
    let wall = later.wall.checked_sub(earlier.wall);
    let (Some(monotonic), Some(wall)) = (monotonic, wall) else {
        return Err(ClockAnomaly::SteppedBack);
    };
    if monotonic.abs_diff(wall) > bound.disagreement(monotonic.max(wall)) {
        return Err(ClockAnomaly::Disagree);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ttl(ms: u64) -> Ttl {
        Ttl::from_ms(ms).unwrap()
    }

    fn at(monotonic: u64, wall: u64) -> Reading {
        Reading { monotonic: Duration::from_millis(monotonic), wall: Duration::from_millis(wall) }
    }

    #[test]
    fn a_term_is_believed_for_less_than_it_lasts() {
        let bound = ClockBound::PROMISED;
        // (30 000 − 250) · 0.999 / 1.001 − 1 = 29 689.56…
        assert_eq!(bound.believable(ttl(30_000)), Duration::from_millis(29_689));
        assert_eq!(bound.believable(ttl(250)), Duration::ZERO, "a term within ε is never believed");
        assert_eq!(bound.believable(ttl(1)), Duration::ZERO);
    }

    #[test]
    fn belief_needs_both_clocks() {
        let belief = Belief { sent: at(100, 9_000), lasts: Duration::from_millis(10) };
        assert!(belief.holds(at(109, 9_009)));
        assert!(!belief.holds(at(110, 9_009)));
        assert!(!belief.holds(at(109, 9_010)));
        assert!(!belief.holds(at(109, 8_999)), "a wall clock that went back ends it");
    }

    #[test]
    fn clocks_that_disagree_are_an_anomaly() {
        let bound = ClockBound::PROMISED;
        assert_eq!(compare_readings(at(0, 0), at(1_000, 1_250), &bound), Ok(()));
        assert_eq!(
            compare_readings(at(0, 0), at(1_000, 1_300), &bound),
            Err(ClockAnomaly::Disagree)
        );
        assert_eq!(
            compare_readings(at(0, 9), at(1_000, 8), &bound),
            Err(ClockAnomaly::SteppedBack)
        );
    }

    /// The derivation above, in exact integers: a client whose slow clock was read at the start of a
    /// tick against an object whose fast clock was read at any phase of one.
    #[test]
    fn no_rate_or_phase_inside_the_bound_lets_belief_outlive_the_lease() {
        let bound = ClockBound { rate_ppm: 1_000, step_ms: 0, granularity_ms: 1 };
        for ttl_ms in (2..5_000).chain([30_000, 3_600_000, 86_400_000]) {
            let believed_us = bound.believable(ttl(ttl_ms)).as_millis() as u64 * 1_000;
            for phase_us in [0, 1, 500, 999] {
                // believed / (1 − ρ) ≤ (ttl − phase) / (1 + ρ)
                let lives_us = ttl_ms * 1_000 - phase_us;
                assert!(
                    believed_us * 1_001_000 <= lives_us * 999_000,
                    "{ttl_ms} ms, {phase_us} µs"
                );
            }
        }
    }
}
