//! At every commit, no two live leases are on one file, however it is spelled.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::lease::{Change, LeaseObserver, Moment};
use crate::plan::share_a_file;

/// The name of the invariant.
pub const NAME: &str = "server_exclusion";

/// Its check: a lease is live until the object has said something that ends it.
#[derive(Debug)]
pub struct ServerExclusion;

impl Invariant<LeaseObserver> for ServerExclusion {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for change in moment.shown {
            let Change::Granted { lease, .. } = change else { continue };
            if !moment.observer.leases.contains_key(&lease.token) {
                continue;
            }
            let mut others = moment.observer.leases.values();
            let other = others
                .find(|live| live.token != lease.token && share_a_file(&live.paths, &lease.paths));
            tally.expect(other.is_none(), moment.event.at, || {
                format!("{lease:?} was granted beside {other:?}")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::lease::Example;

    #[test]
    fn two_live_leases_on_one_path_break_it() {
        let example = Example::new().granted(0, "a", "r1", "x", 1, 30_000);
        let second = example.clone().granted(5_000, "b", "r2", "x", 2, 30_000);
        assert!(second.check(ServerExclusion).broken.is_some());

        let tally = example.granted(30_000, "b", "r2", "x", 2, 30_000).check(ServerExclusion);
        assert_eq!((tally.checks, tally.broken), (2, None));
    }
}
