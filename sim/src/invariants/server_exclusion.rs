//! At every commit, no two live leases overlap.

use crate::invariants::Tally;
use crate::observer::lease::{Change, Moment, Reader};

/// The name of the invariant.
pub const NAME: &str = "server_exclusion";

/// Its check: a lease is live until the object has said something that ends it.
#[derive(Debug, Default)]
pub struct ServerExclusion {
    pub(super) tally: Tally,
}

impl Reader for ServerExclusion {
    fn after(&mut self, moment: &Moment<'_>) {
        for change in moment.changes {
            let Change::Granted { lease, .. } = change else { continue };
            if !moment.observer.leases.contains_key(&lease.token) {
                continue;
            }
            let other =
                moment.observer.leases_on(&lease.paths).find(|live| live.token != lease.token);
            self.tally.expect(other.is_none(), moment.event.at, || {
                format!("{lease:?} was granted beside {other:?}")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::example::Example;

    #[test]
    fn two_live_leases_on_one_path_break_it() {
        let mut checked = ServerExclusion::default();
        let example = Example::new().granted(0, "a", "r1", "x", 1, 30_000);
        example.clone().granted(5_000, "b", "r2", "x", 2, 30_000).read(&mut checked);
        assert!(checked.tally.broken.is_some());

        let mut checked = ServerExclusion::default();
        example.granted(30_000, "b", "r2", "x", 2, 30_000).read(&mut checked);
        assert_eq!((checked.tally.checks, checked.tally.broken), (2, None));
    }
}
