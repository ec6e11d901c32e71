//! One `seq` per `(from, id)` within the window, under any number of retries; and no `seq` twice.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "accept_once";

/// Check of the invariant.
#[derive(Debug)]
pub struct AcceptOnce;

impl Invariant<MailboxObserver> for AcceptOnce {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let at = moment.event.at;
        for fact in moment.shown {
            match fact {
                Fact::Accepted { seq, last, repeats, .. } => {
                    tally.expect(repeats.is_none(), at, || {
                        format!("{seq} has the sender and key of {repeats:?}")
                    });
                    tally.expect(seq > last, at, || format!("{seq} was given out after {last}"));
                }
                Fact::Repeated { seq, known, .. } => {
                    tally.expect(*known, at, || format!("{seq} is no earlier copy of it"));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn check(example: Example) -> Tally {
        example.check(AcceptOnce)
    }

    #[test]
    fn a_key_that_is_accepted_twice_in_its_time_breaks_it() {
        let example = Example::new().published(0, "a", "m1", 11, 0);
        assert!(check(example.clone().published(119_999, "a", "m1", 12, 0)).broken.is_some());
        assert_eq!(check(example.clone().published(120_000, "a", "m1", 12, 0)).broken, None);
        assert_eq!(check(example.published(10, "b", "m1", 12, 0)).broken, None);
    }

    #[test]
    fn a_place_that_is_given_out_twice_breaks_it() {
        let example = Example::new().published(0, "a", "m1", 11, 0);
        assert!(check(example.published(10, "a", "m2", 11, 0)).broken.is_some());
    }
}
