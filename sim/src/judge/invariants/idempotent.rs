//! A request repeated any number of times within its memory is granted at most once.

use std::collections::BTreeMap;

use mailbus_spec::limits::MEMORY_MS;
use mailbus_spec::{Holder, RequestId, Timestamp};

use crate::clock::TrueTime;
use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::lease::{Change, LeaseEvent, LeaseObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "idempotent";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct Idempotent {
    /// Time at which each request that was ever granted or ended is forgotten at the earliest.
    known_until: BTreeMap<(Holder, RequestId), Timestamp>,
}

impl Invariant<LeaseObserver> for Idempotent {
    fn before(
        &mut self,
        _event: &LeaseEvent,
        _now: Timestamp,
        observer: &LeaseObserver,
        _tally: &mut Tally,
    ) {
        for lease in observer.leases.values() {
            if let Some(request) = &lease.request {
                let until = lease.expires_at.plus_ms(MEMORY_MS);
                self.known_until.insert((lease.holder.clone(), request.clone()), until);
            }
        }
        for (key, ended) in &observer.ended {
            self.known_until.insert(key.clone(), ended.at.plus_ms(MEMORY_MS));
        }
    }

    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for change in moment.shown {
            let Change::Granted { lease, .. } = change else { continue };
            let Some(request) = &lease.request else { continue };
            let known = self.known_until.get(&(lease.holder.clone(), request.clone()));
            tally.expect(known.is_none_or(|until| *until <= moment.now), moment.event.at, || {
                format!(
                    "{} {request} was granted again at {} as {}",
                    lease.holder, moment.now, lease.token
                )
            });
        }
    }

    fn restored(&mut self, _at: TrueTime, _before: &LeaseObserver, _after: &LeaseObserver) {
        self.known_until.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::lease::Example;

    fn check(example: Example) -> Tally {
        example.check(Idempotent::default())
    }

    #[test]
    fn a_second_grant_of_a_request_within_its_memory_breaks_it() {
        let example = Example::new().granted(0, "a", "r1", "x", 1, 1_000).released(500, "a", 1);
        assert!(check(example.clone().granted(120_499, "a", "r1", "x", 2, 1_000)).broken.is_some());

        assert_eq!(check(example.granted(120_500, "a", "r1", "x", 2, 1_000)).broken, None);
    }
}
