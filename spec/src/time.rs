//! Time as the objects see it: checked instants and durations, and the clock that never un-expires.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

/// 2024-01-01T00:00:00Z in milliseconds: the first host time an object accepts.
pub const HOST_FIRST_MS: u64 = 1_704_067_200_000;
/// 2200-01-01T00:00:00Z in milliseconds: the first host time an object no longer accepts.
pub const HOST_END_MS: u64 = 7_258_118_400_000;

/// An instant by an object's clock, in whole milliseconds since the Unix epoch, at most 2^43 − 1.
///
/// The bound leaves room for an [`Ordinal`](crate::Ordinal): an instant shifted left by ten bits
/// is still an integer that JSON carries exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch; the floor of an object that has never written.
    pub const ZERO: Self = Self(0);
    /// The last instant, 2^43 − 1 ms: in the year 2248.
    pub const MAX: Self = Self((1 << 43) - 1);

    /// The instant `ms` milliseconds after the epoch, or `None` past [`Timestamp::MAX`].
    #[must_use]
    pub const fn from_ms(ms: u64) -> Option<Self> {
        if ms <= Self::MAX.0 { Some(Self(ms)) } else { None }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// The instant `ms` later, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        let sum = self.0.saturating_add(ms);
        if sum > Self::MAX.0 { Self::MAX } else { Self(sum) }
    }

    /// Milliseconds from `earlier` to here; 0 when `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The first full minute at or after this instant, as a count of minutes since the epoch.
    ///
    /// Rows are collected by minutes, so that deletion is a range.
    #[must_use]
    pub const fn minute_ceil(self) -> u64 {
        self.0.div_ceil(60_000)
    }

    /// The minute this instant lies in.
    #[must_use]
    pub const fn minute_floor(self) -> u64 {
        self.0 / 60_000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_ms(u64::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("an instant is at most 2^43 − 1 ms"))
    }
}

/// Time by a host's wall clock, in milliseconds since the Unix epoch. Any value may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostTime(pub u64);

impl HostTime {
    /// True if an object serves at this host time: within the years 2024 up to and without 2200.
    #[must_use]
    pub const fn is_plausible(self) -> bool {
        HOST_FIRST_MS <= self.0 && self.0 < HOST_END_MS
    }
}

/// Time for which a lease lives: 1 ms ..= 24 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Ttl(u64);

impl Ttl {
    /// The TTL of `ms` milliseconds, or `None` outside 1 ms ..= 24 h.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Option<Self> {
        if ms >= limits::TTL_MIN_MS && ms <= limits::TTL_MAX_MS { Some(Self(ms)) } else { None }
    }

    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// The first term of a lease of this TTL that is granted out of a queue in which it could wait for
    /// `wait`: the longer of both, and at most [`limits::QUEUED_TERM_MS`].
    ///
    /// A client that died while it waited costs others little; one that lives asks three times in it
    /// ([refuted](crate::rules::refuted#a-turn-that-is-over-before-the-question)).
    #[must_use]
    pub const fn queued_term(self, wait: Option<Wait>) -> Self {
        let waited = match wait {
            Some(wait) => wait.0,
            None => 0,
        };
        let longer = if self.0 < waited { waited } else { self.0 };
        if longer > limits::QUEUED_TERM_MS { Self(limits::QUEUED_TERM_MS) } else { Self(longer) }
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_ms(u64::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("a TTL is 1 ms to 24 h"))
    }
}

/// Time for which a ticket keeps its place without being asked for again: 1 s ..= 10 min.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Wait(u64);

impl Wait {
    /// Wait that a client asks for when its user names no other: 30 s.
    pub const DEFAULT: Self = Self(30_000);

    /// The wait of `ms` milliseconds, or `None` outside 1 s ..= 10 min.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Option<Self> {
        if ms >= limits::WAIT_MIN_MS && ms <= limits::WAIT_MAX_MS { Some(Self(ms)) } else { None }
    }

    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// The deadline of a ticket that lives until `deadline` and is asked for at `now`, or `None` if it stays
    /// as it is: what would move it by less than a quarter of the wait is worth no row.
    ///
    /// So whoever asked has at least three quarters of the wait left, and may lose one question
    /// ([refuted](crate::rules::refuted#a-question-in-the-first-third)).
    #[must_use]
    pub const fn moved(self, deadline: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let asked = now.plus_ms(self.0);
        if asked.ms_since(deadline).saturating_mul(4) < self.0 { None } else { Some(asked) }
    }

    /// Time that a waiting client lets pass between two questions: `min(10 s, wait / 3)`.
    ///
    /// Even with a socket: a push may be lost, and the first term of a queued grant is short.
    #[must_use]
    pub const fn poll_ms(self) -> u64 {
        let third = self.0 / 3;
        if third < limits::POLL_MAX_MS { third } else { limits::POLL_MAX_MS }
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_ms(u64::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("a wait is 1 s to 10 min"))
    }
}

/// The clock of an object: host time, shifted so that it never runs backwards and never stands
/// still for long.
///
/// * Object time is `max(floor, host + offset)`: a host with a slower clock un-expires nothing.
/// * A host more than [`limits::REANCHOR_MS`] behind the floor is *re-anchored*: `offset` becomes
///   `floor − host`, and time goes on from the floor. So one event on a host that was a year ahead
///   ends leases early, which nothing can prevent, but does not freeze the workspace for a year.
///
/// Invariant: `floor` never decreases. It advances only in events that write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Clock {
    /// The largest object time at which anything was written.
    pub floor: Timestamp,
    /// Offset that is added to the host's time, in milliseconds.
    pub offset: i64,
}

/// One reading of a [`Clock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Object time of the event.
    pub now: Timestamp,
    /// The host time it was read from; ordinals are anchored in it.
    pub host: HostTime,
    /// The offset after the reading.
    pub offset: i64,
    /// True if this reading moved the offset. Such an event writes the clock, whatever else it does.
    pub reanchored: bool,
}

/// Reason why a host's clock was refused. The event changes nothing (503 `clock`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImplausibleClock(
    /// Time that the host's clock showed.
    pub HostTime,
);

impl Clock {
    /// The object time of an event at `host`.
    ///
    /// # Errors
    /// [`ImplausibleClock`] for a host outside [2024, 2200) or one that would carry object time past
    /// [`Timestamp::MAX`].
    pub fn observe(&self, host: HostTime) -> Result<Observation, ImplausibleClock> {
        let refused = ImplausibleClock(host);
        if !host.is_plausible() {
            return Err(refused);
        }
        let host_ms = i64::try_from(host.0).map_err(|_| refused)?;
        let floor_ms = i64::try_from(self.floor.ms()).map_err(|_| refused)?;
        let shifted = host_ms.saturating_add(self.offset);
        let reanchored = floor_ms.saturating_sub(shifted) > limits::REANCHOR_MS;
        let offset = if reanchored { floor_ms.saturating_sub(host_ms) } else { self.offset };
        let now_ms = host_ms.saturating_add(offset).max(floor_ms);
        let now = u64::try_from(now_ms).ok().and_then(Timestamp::from_ms).ok_or(refused)?;
        Ok(Observation { now, host, offset, reanchored })
    }

    /// The clock after an event at `observation` that wrote.
    #[must_use]
    pub fn advanced_to(&self, observation: &Observation) -> Self {
        Self { floor: self.floor.max(observation.now), offset: observation.offset }
    }

    /// The host time at which object time `at` is reached: what a platform's alarm is set to.
    #[must_use]
    pub fn host_at(&self, at: Timestamp) -> HostTime {
        let at_ms = i64::try_from(at.ms()).unwrap_or(i64::MAX);
        HostTime(u64::try_from(at_ms.saturating_sub(self.offset)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_800_000_000_000;

    fn clock_at(ms: u64) -> Clock {
        Clock { floor: Timestamp(ms), offset: 0 }
    }

    #[test]
    fn a_host_slightly_behind_reads_the_floor() {
        let seen = clock_at(NOON).observe(HostTime(NOON - 60_000)).unwrap();
        assert_eq!((seen.now.ms(), seen.reanchored), (NOON, false));
    }

    #[test]
    fn a_host_more_than_a_minute_behind_is_reanchored_and_time_goes_on() {
        let clock = clock_at(NOON);
        let seen = clock.observe(HostTime(NOON - 60_001)).unwrap();
        assert!(seen.reanchored);
        let clock = clock.advanced_to(&seen);
        let later = clock.observe(HostTime(NOON - 60_001 + 250)).unwrap();
        assert_eq!((later.now.ms(), later.reanchored), (NOON + 250, false));
        assert_eq!(clock.host_at(later.now), HostTime(NOON - 60_001 + 250));
    }

    #[test]
    fn hosts_outside_the_plausible_years_are_refused() {
        for host in [0, HOST_FIRST_MS - 1, HOST_END_MS, u64::MAX] {
            assert_eq!(
                clock_at(NOON).observe(HostTime(host)),
                Err(ImplausibleClock(HostTime(host)))
            );
        }
    }

    #[test]
    fn object_time_past_the_last_timestamp_is_refused() {
        let clock = Clock { floor: Timestamp(NOON), offset: 1 << 42 };
        assert!(clock.observe(HostTime(HOST_END_MS - 1)).is_err());
    }

    #[test]
    fn durations_are_checked_at_both_ends() {
        assert_eq!(Ttl::from_ms(0), None);
        assert!(Ttl::from_ms(1).is_some() && Ttl::from_ms(86_400_000).is_some());
        assert_eq!(Ttl::from_ms(86_400_001), None);
        assert_eq!(Wait::from_ms(999), None);
        assert!(Wait::from_ms(1_000).is_some() && Wait::from_ms(600_000).is_some());
        assert_eq!(Wait::from_ms(600_001), None);
        assert_eq!(Wait::from_ms(1_000).unwrap().poll_ms(), 333);
        assert_eq!(Wait::from_ms(600_000).unwrap().poll_ms(), 10_000);
    }

    #[test]
    fn a_first_term_holds_two_questions_and_the_way_of_their_answers() {
        for wait_ms in [1_000, 12_000, 30_000, 600_000] {
            let wait = Wait::from_ms(wait_ms).unwrap();
            for ttl_ms in [1, 5_000, 86_400_000] {
                let term = Ttl::from_ms(ttl_ms).unwrap().queued_term(Some(wait));
                assert!(3 * wait.poll_ms() <= term.ms() && term.ms() <= limits::QUEUED_TERM_MS);
            }
        }
    }
}
