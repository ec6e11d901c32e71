//! Nobody else is granted a path before its lease's `expires_at` by the object's clock, unless the
//! holder released it or an admin forced it.
//!
//! That includes what the object only says: that a lease which still has time is no more.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::lease::{Change, EndOfLease, LeaseObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "ttl_honoured";

/// Check of the invariant.
#[derive(Debug)]
pub struct TtlHonoured;

impl Invariant<LeaseObserver> for TtlHonoured {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for change in moment.shown {
            match change {
                Change::Ended { lease, how } => {
                    tally.expect(*how != EndOfLease::Denied, moment.event.at, || {
                        format!("at {} the object denies {lease:?}", moment.now)
                    });
                }
                Change::Extended { token, from, to } => {
                    tally.expect(from <= to, moment.event.at, || {
                        format!("lease {token} was shortened from {from} to {to}")
                    });
                }
                Change::Granted { lease, .. }
                    if moment.observer.leases.contains_key(&lease.token) =>
                {
                    let taken = moment
                        .observer
                        .leases_on(&lease.paths)
                        .find(|live| live.holder != lease.holder && live.expires_at > moment.now);
                    tally.expect(taken.is_none(), moment.event.at, || {
                        format!("{} took the paths of {taken:?} before its time", lease.holder)
                    });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::lease::Example;

    fn check(example: Example) -> Tally {
        example.check(TtlHonoured)
    }

    #[test]
    fn an_early_end_that_nobody_asked_for_breaks_it() {
        let example = Example::new().granted(0, "a", "r1", "x", 1, 30_000);
        assert!(check(example.clone().free(29_999, "x")).broken.is_some());

        assert_eq!(check(example.clone().free(30_000, "x")).broken, None);

        assert_eq!(
            check(example.released(10, "a", 1).granted(20, "b", "r2", "x", 2, 9)).broken,
            None
        );
    }
}
