//! A ticket that is extended in time keeps its place until it is granted, cancelled or over.
//!
//! And no longer: what is over is not granted any more.

use mailbus_spec::Timestamp;

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::lease::{Change, EndOfTicket, LeaseEvent, LeaseObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "no_lost_place";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct NoLostPlace {
    /// Object time when the event began: a recovery lets through what waits, and then carries the clock on.
    began: Timestamp,
}

impl Invariant<LeaseObserver> for NoLostPlace {
    fn before(
        &mut self,
        event: &LeaseEvent,
        now: Timestamp,
        observer: &LeaseObserver,
        _tally: &mut Tally,
    ) {
        self.began = observer.clock.observe(event.host).map_or(now, |seen| seen.now.min(now));
    }

    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for change in moment.shown {
            match change {
                Change::AskedAgain { arrival, from, to } => {
                    tally.expect(to <= from, moment.event.at, || {
                        format!("ticket {arrival} fell back from position {from} to {to}")
                    });
                }
                Change::TicketEnded { ticket, how, .. } => {
                    tally.expect(*how != EndOfTicket::Denied, moment.event.at, || {
                        format!("at {} the object denies {ticket:?}", moment.now)
                    });
                    let late = *how == EndOfTicket::Granted && ticket.deadline <= self.began;
                    tally.expect(!late, moment.event.at, || {
                        format!("granted at {}, when it was over: {ticket:?}", self.began)
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
        example.check(NoLostPlace::default())
    }

    #[test]
    fn falling_back_breaks_it() {
        let example = Example::new()
            .granted(0, "a", "r1", "x", 1, 60_000)
            .queued(10, "b", "r2", "x", 0)
            .queued(20, "c", "r3", "x", 1);
        assert!(check(example.clone().queued(30, "b", "r2", "x", 1)).broken.is_some());

        assert!(check(example.clone().timed_out(30, "b", "r2", "x")).broken.is_some());

        assert!(
            check(example.clone().granted_from_queue(700_000, "b", "r2", 2, 500)).broken.is_some(),
            "its time was over"
        );

        assert_eq!(check(example.queued(30, "b", "r2", "x", 0)).broken, None);
    }

    #[test]
    fn an_admin_ends_the_ticket_that_was_named_and_no_other() {
        let example = Example::new()
            .granted(0, "a", "r1", "x", 1, 60_000)
            .queued(10, "b", "r2", "x", 0)
            .queued(20, "c", "r3", "x", 1)
            .listed(30, "b", "r2", "x", 7);
        let forced = example.clone().forced_ticket(40, 7, 1);
        assert_eq!(check(forced.clone().timed_out(50, "b", "r2", "x")).broken, None);
        assert!(check(forced.timed_out(50, "c", "r3", "x")).broken.is_some());
        let other_generation = example.forced_ticket(40, 7, 2);
        assert!(check(other_generation.timed_out(50, "b", "r2", "x")).broken.is_some());
    }

    #[test]
    fn a_ticket_may_be_granted_by_a_recovery_that_carries_the_clock_past_its_deadline() {
        let example =
            Example::new().granted(0, "a", "r1", "x", 1, 1_000).queued(10, "b", "r2", "x", 0);
        assert_eq!(check(example.clone().recovered(2_000, 605_000, ("b", "r2", 2))).broken, None);

        assert!(
            check(example.recovered(601_000, 605_000, ("b", "r2", 2))).broken.is_some(),
            "it was over when the recovery began"
        );
    }
}
