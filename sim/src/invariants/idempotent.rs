//! A request repeated any number of times within its memory is granted at most once.

use std::collections::BTreeMap;

use mailbus_spec::limits::MEMORY_MS;
use mailbus_spec::{Holder, RequestId, Timestamp};

use crate::clock::TrueTime;
use crate::history::ObjectEvent;
use crate::invariants::Tally;
use crate::observer::lease::{Change, LeaseObserver, Moment, Reader};

/// The name of the invariant.
pub const NAME: &str = "idempotent";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct Idempotent {
    pub(super) tally: Tally,
    /// Time at which each request that was ever granted or ended is forgotten at the earliest.
    known_until: BTreeMap<(Holder, RequestId), Timestamp>,
}

impl Reader for Idempotent {
    fn before(&mut self, _event: &ObjectEvent, _now: Timestamp, observer: &LeaseObserver) {
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

    fn after(&mut self, moment: &Moment<'_>) {
        for change in moment.changes {
            let Change::Granted { lease, .. } = change else { continue };
            let Some(request) = &lease.request else { continue };
            let known = self.known_until.get(&(lease.holder.clone(), request.clone()));
            self.tally.expect(
                known.is_none_or(|until| *until <= moment.now),
                moment.event.at,
                || {
                    format!(
                        "{} {request} was granted again at {} as {}",
                        lease.holder, moment.now, lease.token
                    )
                },
            );
        }
    }

    fn restored(&mut self, _at: TrueTime, _observer: &LeaseObserver) {
        self.known_until.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::example::Example;

    #[test]
    fn a_second_grant_of_a_request_within_its_memory_breaks_it() {
        let example = Example::new().granted(0, "a", "r1", "x", 1, 1_000).released(500, "a", 1);
        let mut checked = Idempotent::default();
        example.clone().granted(120_499, "a", "r1", "x", 2, 1_000).read(&mut checked);
        assert!(checked.tally.broken.is_some());

        let mut checked = Idempotent::default();
        example.granted(120_500, "a", "r1", "x", 2, 1_000).read(&mut checked);
        assert_eq!(checked.tally.broken, None);
    }
}
