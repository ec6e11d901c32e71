//! Tokens strictly increase over grants under any clock; a resource that remembers the largest token
//! it saw never accepts a smaller one.
//!
//! Across a restore: if the host clock at the first grant after it, in ms, is greater than
//! `largest token before >> 10`.

use std::collections::BTreeMap;

use mailbus_spec::{LeasePath, Ordinal};

use crate::clock::TrueTime;
use crate::judge::history::History;
use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::lease::{Change, LeaseObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "fencing";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct Fencing {
    largest: Ordinal,
    first_after_restore: bool,
    /// The order of grants: the place of each token.
    order: BTreeMap<Ordinal, usize>,
    /// True if a restore happened whose condition did not hold: order is then not promised.
    void: bool,
}

impl Invariant<LeaseObserver> for Fencing {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for change in moment.shown {
            let Change::Granted { lease, .. } = change else { continue };
            if std::mem::take(&mut self.first_after_restore)
                && moment.event.host.0 <= self.largest.anchor_ms()
            {
                self.void = true;
                self.largest = Ordinal::ZERO;
                self.order.clear();
            }
            let largest = self.largest;
            tally.expect(lease.token > largest, moment.event.at, || {
                format!("{} was granted {} after {largest} had been", lease.holder, lease.token)
            });
            self.largest = largest.max(lease.token);
            self.order.insert(lease.token, self.order.len());
        }
    }

    fn restored(&mut self, _at: TrueTime, _before: &LeaseObserver, _after: &LeaseObserver) {
        self.first_after_restore = true;
    }

    /// No resource takes a write of an earlier grant after one of a later grant.
    fn finish(&mut self, history: &History, _observer: &LeaseObserver, tally: &mut Tally) {
        if self.void {
            return;
        }
        let mut writes: Vec<_> = history.writes.iter().filter(|write| write.accepted).collect();
        writes.sort_by_key(|write| write.at);
        let mut latest: BTreeMap<&LeasePath, usize> = BTreeMap::new();
        for write in writes {
            let Some(place) = self.order.get(&write.token) else { continue };
            let before = latest.insert(&write.path, *place);
            tally.expect(before.is_none_or(|before| before <= *place), write.at, || {
                format!("{} took {write:?} after one of a later grant", write.path)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::lease::Example;

    fn check(example: Example) -> Tally {
        example.check(Fencing::default())
    }

    #[test]
    fn a_token_that_does_not_increase_breaks_it() {
        assert!(
            check(
                Example::new()
                    .granted(0, "a", "r1", "x", 9, 10)
                    .granted(5_000, "b", "r2", "x", 8, 10)
            )
            .broken
            .is_some()
        );
    }

    #[test]
    fn across_a_restore_it_is_claimed_only_if_the_host_was_past_the_largest_token() {
        let example = Example::new().granted(0, "a", "r1", "x", 9, 10).restored(100, 0);
        assert!(
            check(example.granted(200, "b", "r2", "x", 8, 10)).broken.is_some(),
            "the example's host is far past its small tokens"
        );

        let far = Example::ahead_of_host();
        let example = Example::new().granted(0, "a", "r1", "x", far, 10).restored(100, 0);
        assert_eq!(check(example.granted(200, "b", "r2", "x", 8, 10)).broken, None);
    }

    #[test]
    fn a_resource_that_takes_an_older_grant_after_a_newer_breaks_it() {
        let example = Example::new()
            .granted(0, "a", "r1", "x", 1, 10)
            .granted(20, "b", "r2", "x", 2, 10)
            .wrote(30, "b", "x", 2, true)
            .wrote(40, "a", "x", 1, true);
        assert!(check(example).broken.is_some());
    }
}
