//! A ticket that is extended in time keeps its place until it is granted, cancelled or over.
//!
//! And no longer: what is over is not granted any more.

use mailbus_spec::Timestamp;

use crate::history::ObjectEvent;
use crate::invariants::Tally;
use crate::observer::lease::{Change, EndOfTicket, LeaseObserver, Moment, Reader};

/// The name of the invariant.
pub const NAME: &str = "no_lost_place";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct NoLostPlace {
    pub(super) tally: Tally,
    /// Object time when the event began: a recovery lets through what waits, and then carries the clock on.
    began: Timestamp,
}

impl Reader for NoLostPlace {
    fn before(&mut self, event: &ObjectEvent, now: Timestamp, observer: &LeaseObserver) {
        self.began = observer.clock.observe(event.host).map_or(now, |seen| seen.now.min(now));
    }

    fn after(&mut self, moment: &Moment<'_>) {
        for change in moment.changes {
            match change {
                Change::AskedAgain { arrival, from, to } => {
                    self.tally.expect(to <= from, moment.event.at, || {
                        format!("ticket {arrival} fell back from position {from} to {to}")
                    });
                }
                Change::TicketEnded { ticket, how, .. } => {
                    self.tally.expect(*how != EndOfTicket::Denied, moment.event.at, || {
                        format!("at {} the object denies {ticket:?}", moment.now)
                    });
                    let late = *how == EndOfTicket::Granted && ticket.deadline <= self.began;
                    self.tally.expect(!late, moment.event.at, || {
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
    use crate::invariants::example::Example;

    #[test]
    fn falling_back_breaks_it() {
        let example = Example::new()
            .granted(0, "a", "r1", "x", 1, 60_000)
            .queued(10, "b", "r2", "x", 0)
            .queued(20, "c", "r3", "x", 1);
        let mut checked = NoLostPlace::default();
        example.clone().queued(30, "b", "r2", "x", 1).read(&mut checked);
        assert!(checked.tally.broken.is_some());

        let mut checked = NoLostPlace::default();
        example.clone().timed_out(30, "b", "r2", "x").read(&mut checked);
        assert!(checked.tally.broken.is_some());

        let mut checked = NoLostPlace::default();
        example.clone().granted_from_queue(700_000, "b", "r2", 2, 500).read(&mut checked);
        assert!(checked.tally.broken.is_some(), "its time was over");

        let mut checked = NoLostPlace::default();
        example.queued(30, "b", "r2", "x", 0).read(&mut checked);
        assert_eq!(checked.tally.broken, None);
    }
    #[test]
    fn a_ticket_may_be_granted_by_a_recovery_that_carries_the_clock_past_its_deadline() {
        let example =
            Example::new().granted(0, "a", "r1", "x", 1, 1_000).queued(10, "b", "r2", "x", 0);
        let mut checked = NoLostPlace::default();
        example.clone().recovered(2_000, 605_000, ("b", "r2", 2)).read(&mut checked);
        assert_eq!(checked.tally.broken, None);

        let mut checked = NoLostPlace::default();
        example.recovered(601_000, 605_000, ("b", "r2", 2)).read(&mut checked);
        assert!(checked.tally.broken.is_some(), "it was over when the recovery began");
    }
}
