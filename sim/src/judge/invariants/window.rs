//! Unsettled deliveries to a session never exceed its window, a single message excepted.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "window";

/// Check of the invariant.
#[derive(Debug)]
pub struct WindowKept;

impl Invariant<MailboxObserver> for WindowKept {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for fact in moment.shown {
            let Fact::Pushed(pushed) = fact else { continue };
            let flying = pushed.flying;
            let Some(window) = flying.window else { continue };
            let kept = flying.deliveries <= 1
                || (flying.deliveries <= window.messages() && flying.bytes <= window.bytes());
            tally.expect(kept, moment.event.at, || {
                format!("{} was pushed {}: {flying:?} in flight", pushed.to, pushed.seq)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn three(window: (u64, u64)) -> Example {
        Example::new()
            .connected_with(0, "b", 1, window)
            .published(10, "a", "m1", 11, 1)
            .published(10, "a", "m2", 12, 1)
            .pushed(11, "b", 1, "a", "m1", 11)
    }

    fn check(example: Example) -> Tally {
        example.check(WindowKept)
    }

    #[test]
    fn a_delivery_too_many_breaks_it() {
        let second = |example: Example| example.pushed(12, "b", 1, "a", "m2", 12);
        assert_eq!(check(second(three((2, 1_000)))).broken, None);
        assert!(check(second(three((1, 1_000)))).broken.is_some());
        assert!(check(second(three((2, 10)))).broken.is_some(), "bytes count too");
        assert_eq!(check(three((1, 1))).broken, None, "a single message may exceed them");
    }

    #[test]
    fn a_message_that_is_pushed_twice_counts_twice() {
        let example = three((1, 1_000)).pushed(12, "b", 1, "a", "m1", 11);
        assert!(check(example).broken.is_some());
    }
}
