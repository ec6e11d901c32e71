//! Unsettled deliveries to a session never exceed its window, a single message excepted.

use crate::invariants::Tally;
use crate::observer::mailbox::{Fact, MailboxMoment, MailboxReader};

/// The name of the invariant.
pub const NAME: &str = "window";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct WindowKept {
    pub(super) tally: Tally,
}

impl MailboxReader for WindowKept {
    fn after(&mut self, moment: &MailboxMoment<'_>) {
        for fact in moment.facts {
            let Fact::Pushed(pushed) = fact else { continue };
            let flying = pushed.flying;
            let Some(window) = flying.window else { continue };
            let kept = flying.deliveries <= 1
                || (flying.deliveries <= window.messages() && flying.bytes <= window.bytes());
            self.tally.expect(kept, moment.event.at, || {
                format!("{} was pushed {}: {flying:?} in flight", pushed.to, pushed.seq)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::mail_example::MailExample;

    fn check(example: MailExample) -> Tally {
        let mut checked = WindowKept::default();
        example.read(&mut checked);
        checked.tally
    }

    fn three(window: (u64, u64)) -> MailExample {
        MailExample::new()
            .connected_with(0, "b", 1, window)
            .published(10, "a", "m1", 11, 1)
            .published(10, "a", "m2", 12, 1)
            .pushed(11, "b", 1, "a", "m1", 11)
    }

    #[test]
    fn a_delivery_too_many_breaks_it() {
        let second = |example: MailExample| example.pushed(12, "b", 1, "a", "m2", 12);
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
