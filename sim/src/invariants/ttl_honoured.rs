//! Nobody else is granted a path before its lease's `expires_at` by the object's clock, unless the
//! holder released it or an admin forced it.
//!
//! That includes what the object only says: that a lease which still has time is no more.

use crate::invariants::Tally;
use crate::observer::lease::{Change, EndOfLease, Moment, Reader};

/// The name of the invariant.
pub const NAME: &str = "ttl_honoured";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct TtlHonoured {
    pub(super) tally: Tally,
}

impl Reader for TtlHonoured {
    fn after(&mut self, moment: &Moment<'_>) {
        for change in moment.changes {
            match change {
                Change::Ended { lease, how } => {
                    self.tally.expect(*how != EndOfLease::Denied, moment.event.at, || {
                        format!("at {} the object denies {lease:?}", moment.now)
                    });
                }
                Change::Extended { token, from, to } => {
                    self.tally.expect(from <= to, moment.event.at, || {
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
                    self.tally.expect(taken.is_none(), moment.event.at, || {
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
    use crate::invariants::example::Example;

    #[test]
    fn an_early_end_that_nobody_asked_for_breaks_it() {
        let mut checked = TtlHonoured::default();
        let example = Example::new().granted(0, "a", "r1", "x", 1, 30_000);
        example.clone().free(29_999, "x").read(&mut checked);
        assert!(checked.tally.broken.is_some());

        let mut checked = TtlHonoured::default();
        example.clone().free(30_000, "x").read(&mut checked);
        assert_eq!(checked.tally.broken, None);

        let mut checked = TtlHonoured::default();
        example.released(10, "a", 1).granted(20, "b", "r2", "x", 2, 9).read(&mut checked);
        assert_eq!(checked.tally.broken, None);
    }
}
