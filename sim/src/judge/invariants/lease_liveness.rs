//! Once faults stop and the holders ahead stop renewing, a ticket whose holder keeps asking is granted
//! within (overlapping claims ahead, transitively) × (longest term + alarm or poll lateness) +
//! 60 s, and its holder learns of it; a path that no live lease or ticket overlaps is acquirable at once.
//!
//! And nobody is let wait for himself, through leases and earlier tickets: that wait has no end. What the
//! object waits for, it does in time although nobody asks it for anything (`waits`).

use std::collections::BTreeSet;

use mailbus_spec::lease::{Command, Rejection};
use mailbus_spec::limits::{POLL_MAX_MS, REANCHOR_MS};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, PathSet, Timestamp};

use crate::judge::history::{Claim, History};
use crate::judge::invariants::{Invariant, Tally, waits};
use crate::judge::observer::lease::{Change, LeaseEvent, LeaseObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "lease_liveness";

/// Time after the object's decision at which a client may learn of its grant: an answer takes less
/// than 20 s, and after the healing much less.
const ANSWER_MS: u64 = 20_000;

/// Check of the invariant.
#[derive(Debug)]
pub struct LeaseLiveness {
    /// For each claim of the healing phase, how many claims were ahead of it.
    ahead: Vec<(Claim, Option<usize>)>,
}

impl LeaseLiveness {
    pub(in crate::judge) fn new(history: &History) -> Self {
        let ahead = history.claims.iter().map(|claim| (claim.clone(), None)).collect();
        Self { ahead }
    }
}

/// Number of live claims that stand before a claim on `paths`, those before them included.
fn claims_ahead(observer: &LeaseObserver, paths: &PathSet) -> usize {
    let leases = observer.leases.values().map(|lease| &lease.paths);
    let mut others: Vec<&PathSet> =
        leases.chain(observer.tickets.values().map(|ticket| &ticket.paths)).collect();
    let mut reached = vec![paths];
    let mut next = 0;
    while let Some(from) = reached.get(next).copied() {
        next += 1;
        let (found, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|other| other.overlaps(from));
        others = rest;
        reached.extend(found);
    }
    reached.len() - 1
}

/// True if a holder stands before itself: it waits for somebody's lease or earlier ticket, who waits,
/// at last, for one of its own.
fn waits_for_itself(observer: &LeaseObserver, holder: &Holder) -> bool {
    let before = |waiting: &Holder| -> Vec<Holder> {
        let own = observer.tickets.iter().filter(|(_, ticket)| ticket.holder == *waiting);
        let before = own.flat_map(|(arrival, ticket)| {
            let leases = observer.leases_on(&ticket.paths).map(|lease| lease.holder.clone());
            let tickets = observer.tickets_on(&ticket.paths).filter(|(other, _)| *other < *arrival);
            leases.chain(tickets.map(|(_, ticket)| ticket.holder.clone()))
        });
        before.collect()
    };
    let mut reached = BTreeSet::new();
    let mut next = before(holder);
    while let Some(found) = next.pop() {
        if found == *holder {
            return true;
        }
        if reached.insert(found.clone()) {
            next.extend(before(&found));
        }
    }
    false
}

impl Invariant<LeaseObserver> for LeaseLiveness {
    fn before(
        &mut self,
        event: &LeaseEvent,
        _now: Timestamp,
        observer: &LeaseObserver,
        _tally: &mut Tally,
    ) {
        for (claim, ahead) in &mut self.ahead {
            if event.at >= claim.asked && ahead.is_none() {
                *ahead = Some(claims_ahead(observer, &claim.paths));
            }
        }
    }

    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let (Event::Command(Command::Acquire(acquire)), Some(reply)) =
            (&moment.event.event, &moment.event.step.reply)
        else {
            return;
        };
        let leases = moment.observer.leases_on(acquire.paths());
        let others = leases.filter(|lease| lease.holder != *acquire.holder()).count();
        let queue = moment.observer.tickets_on(acquire.paths()).count();
        let refused = matches!(reply.answer, Err(Rejection::Held(_) | Rejection::Deadlock { .. }));
        let own = moment.observer.leases_on(acquire.paths()).count() > others;
        tally.expect(!refused || own || others + queue > 0, moment.event.at, || {
            format!("{:?} although nothing is in the way of {acquire:?}", reply.answer)
        });
        if moment.shown.iter().any(|change| matches!(change, Change::Queued { .. })) {
            let endless = waits_for_itself(moment.observer, acquire.holder());
            tally.expect(!endless, moment.event.at, || {
                format!("{acquire:?} was let wait for its own holder")
            });
        }
    }

    fn finish(&mut self, history: &History, _observer: &LeaseObserver, tally: &mut Tally) {
        for (claim, ahead) in &self.ahead {
            let term_ms = claim.longest_term_ms + POLL_MAX_MS;
            // Its own turn counts too: what it meets when it asks may have come before it.
            let turns = u64::try_from(ahead.unwrap_or(0)).unwrap_or(0) + 1;
            let bound_ms = turns * term_ms + REANCHOR_MS.unsigned_abs() + ANSWER_MS;
            let due = claim.asked.plus_ms(bound_ms);
            let in_time = match (claim.learned, claim.gave_up) {
                (Some(learned), _) => learned <= due,
                (None, Some(gave_up)) => gave_up <= due,
                (None, None) => history.ended <= due,
            };
            tally.expect(in_time, due, || {
                format!("{claim:?} with {turns} turns was not granted within {bound_ms} ms")
            });
        }
        waits::check(history, &history.leases.waits, tally);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::lease::Example;

    fn check(example: Example) -> Tally {
        example.check(LeaseLiveness::new(example.history()))
    }

    fn check_learned(learned_ms: Option<u64>) -> Tally {
        let example = Example::new()
            .granted(0, "a", "r1", "x", 1, 1_000)
            .claimed(10, learned_ms, "b", "x", 1_000)
            .queued(20, "b", "r2", "x", 0)
            .ended(400_000);
        check(example)
    }

    #[test]
    fn a_claim_that_is_never_granted_or_too_late_breaks_it() {
        assert!(check_learned(None).broken.is_some());
        assert!(check_learned(Some(300_000)).broken.is_some());
        assert_eq!(check_learned(Some(5_000)).broken, None);
    }

    #[test]
    fn a_refusal_without_a_reason_breaks_it() {
        let example = Example::new().granted(0, "a", "r1", "x", 1, 1_000);
        assert_eq!(check(example.clone().held(999, "b", "r2", "x")).broken, None);
        assert!(check(example.held(1_000, "b", "r2", "x")).broken.is_some());
    }

    #[test]
    fn two_who_wait_for_one_another_break_it() {
        let example = Example::new()
            .granted(0, "a", "r1", "x", 1, 60_000)
            .granted(0, "b", "r2", "y", 2, 60_000)
            .queued(10, "a", "r3", "y", 0);
        assert_eq!(check(example.clone().queued(20, "c", "r4", "x", 0)).broken, None);
        assert!(check(example.queued(20, "b", "r4", "x", 0)).broken.is_some());
    }
}
