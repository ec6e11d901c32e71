//! Time to let pass before trying again.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Exponential pauses with a cap, each shortened at random by up to a half, so that clients that
/// failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// No pause is longer.
    pub most: Duration,
}

impl Backoff {
    /// 100 ms, doubled up to 5 s.
    pub const DEFAULT: Self =
        Self { first: Duration::from_millis(100), most: Duration::from_secs(5) };

    /// The pause after `failures` failures in a row: between a half and the whole of
    /// `min(most, first · 2^(failures − 1))`.
    #[must_use]
    pub fn pause(&self, failures: u32, jitter: &mut impl Rng) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.most);
        let half = whole.checked_div(2).unwrap_or_default();
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        half.saturating_add(Duration::from_micros(jitter.random_range(0..=spread)))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_cap_and_are_shortened_by_at_most_a_half() {
        let mut jitter = ChaCha8Rng::seed_from_u64(1);
        for (failures, whole_ms) in [(1, 100), (2, 200), (3, 400), (7, 5_000), (u32::MAX, 5_000)] {
            let whole = Duration::from_millis(whole_ms);
            for _ in 0..100 {
                let pause = Backoff::DEFAULT.pause(failures, &mut jitter);
                assert!(whole / 2 <= pause && pause <= whole, "{failures}: {pause:?}");
            }
        }
    }
}
