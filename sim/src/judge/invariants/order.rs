//! The first push ever of a message comes after the first push ever of every earlier one addressed to
//! that agent (messages once dead-lettered are exempt); within a session, pushes of messages that were
//! not nacked or redriven are in `seq` order.
//!
//! And what was nacked does not come before its time.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "order";

/// Check of the invariant.
#[derive(Debug)]
pub struct Order;

impl Invariant<MailboxObserver> for Order {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let at = moment.event.at;
        for fact in moment.shown {
            let Fact::Pushed(pushed) = fact else { continue };
            tally.expect(pushed.overtakes.is_none(), at, || {
                format!("{} was pushed {} before {:?}", pushed.to, pushed.seq, pushed.overtakes)
            });
            tally.expect(!pushed.is_behind, at, || {
                format!("{} was pushed {} after a later one", pushed.to, pushed.seq)
            });
            tally.expect(!pushed.is_early, at, || {
                format!("{} was pushed {} before it was due", pushed.to, pushed.seq)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn two() -> Example {
        Example::new()
            .connected(0, "b", 1)
            .published(10, "a", "m1", 11, 1)
            .published(10, "a", "m2", 12, 1)
    }

    fn check(example: Example) -> Tally {
        example.check(Order)
    }

    #[test]
    fn a_message_that_overtakes_another_breaks_it() {
        let in_order = two().pushed(11, "b", 1, "a", "m1", 11).pushed(12, "b", 1, "a", "m2", 12);
        assert_eq!(check(in_order).broken, None);
        assert!(check(two().pushed(11, "b", 1, "a", "m2", 12)).broken.is_some());
    }

    #[test]
    fn a_push_out_of_order_in_a_later_session_breaks_it() {
        let seen = two()
            .pushed(11, "b", 1, "a", "m1", 11)
            .pushed(12, "b", 1, "a", "m2", 12)
            .connected(20, "b", 3)
            .pushed(21, "b", 3, "a", "m2", 12);
        assert_eq!(check(seen.clone()).broken, None);
        assert!(check(seen.pushed(22, "b", 3, "a", "m1", 11)).broken.is_some());
    }

    #[test]
    fn a_push_before_its_time_breaks_it() {
        let nacked = two().pushed(11, "b", 1, "a", "m1", 11).nacked(12, "b", 11, 5_000);
        let early = nacked.clone().pushed(5_000, "b", 1, "a", "m1", 11);
        assert!(check(early).broken.is_some());
        assert_eq!(check(nacked.pushed(5_012, "b", 1, "a", "m1", 11)).broken, None);
    }
}
