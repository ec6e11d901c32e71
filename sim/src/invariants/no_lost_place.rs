//! A ticket that is extended in time keeps its place until it is granted, cancelled or over.
//!
//! And no longer: what is over is not granted any more.

use crate::invariants::Tally;
use crate::ledger::{Change, EndOfTicket, Moment, Reader};

/// The name of the invariant.
pub const NAME: &str = "no_lost_place";

/// Its check.
#[derive(Debug, Default)]
pub struct NoLostPlace {
    pub(super) tally: Tally,
}

impl Reader for NoLostPlace {
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
                    let late = *how == EndOfTicket::Granted && ticket.deadline <= moment.now;
                    self.tally.expect(!late, moment.event.at, || {
                        format!("granted at {}, when it was over: {ticket:?}", moment.now)
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
}
