//! Ordinals: numbers that are never used twice and are anchored in time.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::time::HostTime;

/// A number that is never used twice: `max(last + 1, host_ms << 10)`, at most 2^53 − 1.
///
/// Fencing tokens are ordinals. Anchored in time, they go on increasing through eviction,
/// collection and most restores, and need no counter row; within one millisecond there is room for
/// 1 024 before they run ahead of the clock. JSON and JavaScript carry every value exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Ordinal(u64);

impl Ordinal {
    /// Below every ordinal that was ever issued.
    pub const ZERO: Self = Self(0);
    /// The last ordinal, 2^53 − 1.
    pub const MAX: Self = Self((1 << 53) - 1);
    /// Ordinals per millisecond, as a power of two.
    pub const SHIFT: u32 = 10;

    /// The ordinal `value`, or `None` past [`Ordinal::MAX`].
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The ordinal to issue at `host` after this one, or `None` when none is left.
    #[must_use]
    pub fn next(self, host: HostTime) -> Option<Self> {
        let anchored = host.0.checked_mul(1 << Self::SHIFT)?;
        Self::new(self.0.checked_add(1)?.max(anchored))
    }

    /// The millisecond this ordinal is anchored in.
    #[must_use]
    pub const fn anchor_ms(self) -> u64 {
        self.0 >> Self::SHIFT
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl<'de> Deserialize<'de> for Ordinal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("an ordinal is at most 2^53 − 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_anchored_in_time_and_never_repeat() {
        let first = Ordinal::ZERO.next(HostTime(5)).unwrap();
        assert_eq!(first.get(), 5 << 10);
        assert_eq!(first.next(HostTime(5)).unwrap().get(), (5 << 10) + 1);
        assert_eq!(
            first.next(HostTime(4)).unwrap().get(),
            (5 << 10) + 1,
            "a step back repeats none"
        );
        assert_eq!(first.next(HostTime(6)).unwrap().get(), 6 << 10);
        assert_eq!(first.anchor_ms(), 5);
    }

    #[test]
    fn after_the_last_ordinal_there_is_none() {
        assert_eq!(Ordinal::MAX.next(HostTime(5)), None);
        assert_eq!(Ordinal::ZERO.next(HostTime(u64::MAX)), None);
    }
}
