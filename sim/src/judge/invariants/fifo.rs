//! Overlapping tickets are granted in order of arrival.
//!
//! And nobody barges in: what is granted at once overlaps no live ticket.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::lease::{Change, EndOfTicket, LeaseObserver, Moment, Ticket};

/// The name of the invariant.
pub const NAME: &str = "fifo";

/// Check of the invariant.
#[derive(Debug)]
pub struct Fifo;

impl Invariant<LeaseObserver> for Fifo {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for (change, place) in moment.shown.iter().zip(1_usize..) {
            let Change::Granted { lease, from_queue } = change else { continue };
            let own = moment.shown.iter().find_map(|change| match change {
                Change::TicketEnded { ticket, arrival, how: EndOfTicket::Granted }
                    if ticket.holder == lease.holder
                        && Some(&ticket.request) == lease.request.as_ref() =>
                {
                    Some(*arrival)
                }
                _ => None,
            });
            let arrival = if *from_queue { own.unwrap_or(u64::MAX) } else { u64::MAX };
            let waiting = moment.observer.tickets_on(&lease.paths);
            // The same event may have ended this lease and granted another.
            let granted_later = moment.shown.iter().skip(place).filter_map(granted_ticket);
            let overtaken = waiting
                .chain(granted_later.filter(|(_, ticket)| ticket.paths.overlaps(&lease.paths)))
                .find(|(earlier, _)| *earlier < arrival);
            tally.expect(overtaken.is_none(), moment.event.at, || {
                format!("{} {} was granted before {overtaken:?}", lease.holder, lease.token)
            });
        }
    }
}

/// The ticket that became a lease by this change, and its arrival.
fn granted_ticket(change: &Change) -> Option<(u64, &Ticket)> {
    match change {
        Change::TicketEnded { ticket, arrival, how: EndOfTicket::Granted } => {
            Some((*arrival, ticket))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::lease::Example;

    fn check(example: Example) -> Tally {
        example.check(Fifo)
    }

    #[test]
    fn a_later_ticket_that_is_granted_first_breaks_it() {
        let example = Example::new()
            .granted(0, "a", "r1", "x", 1, 1_000)
            .queued(10, "b", "r2", "x", 0)
            .queued(20, "c", "r3", "x", 1);
        assert!(
            check(example.clone().granted_from_queue(1_000, "c", "r3", 2, 500)).broken.is_some()
        );

        assert_eq!(
            check(example.clone().granted_from_queue(1_000, "b", "r2", 2, 500)).broken,
            None
        );

        assert!(check(example.granted(1_000, "d", "r4", "x", 2, 500)).broken.is_some(), "barging");
    }
    #[test]
    fn a_lease_that_its_event_ended_again_must_not_have_overtaken_either() {
        let example = Example::new()
            .granted(0, "a", "r1", "x", 1, 1_000)
            .queued(10, "b", "r2", "x", 0)
            .queued(20, "c", "r3", "x", 1);
        assert_eq!(
            check(example.clone().given_back_at_once(1_000, &[("b", "r2", 2), ("c", "r3", 3)]))
                .broken,
            None
        );

        assert!(
            check(example.given_back_at_once(1_000, &[("c", "r3", 2), ("b", "r2", 3)]))
                .broken
                .is_some()
        );
    }
}
