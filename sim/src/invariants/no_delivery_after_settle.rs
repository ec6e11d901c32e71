//! A settled message is never pushed again.
//!
//! Nor one that was given up and not redriven; and a handler that has succeeded is not given the
//! message again in its session.

use std::collections::BTreeMap;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command};

use crate::history::{HandlerOutcome, History, MailEntry};
use crate::invariants::Tally;
use crate::observer::mailbox::{Fact, MailboxMoment, MailboxReader, Owing};

/// The name of the invariant.
pub const NAME: &str = "no_delivery_after_settle";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct NoDeliveryAfterSettle {
    pub(super) tally: Tally,
}

impl MailboxReader for NoDeliveryAfterSettle {
    fn after(&mut self, moment: &MailboxMoment<'_>) {
        for fact in moment.facts {
            let Fact::Pushed(pushed) = fact else { continue };
            let over = matches!(
                pushed.owing,
                Some(Owing::Settled | Owing::Dead | Owing::Refused | Owing::Gone)
            );
            self.tally.expect(!over, moment.event.at, || {
                format!("{} was pushed {}, which is {:?}", pushed.to, pushed.seq, pushed.owing)
            });
        }
    }
}

impl NoDeliveryAfterSettle {
    /// A message is done once in a session. A restore takes acks back, and a client that is told of one
    /// forgets what it has done.
    pub(super) fn check_handlings(&mut self, history: &History) {
        if history.mail.iter().any(is_of_a_restore) {
            return;
        }
        let mut done = BTreeMap::new();
        let mut handlings: Vec<_> = history.handlings.iter().collect();
        handlings.sort_by_key(|handling| handling.at);
        for handling in handlings {
            let Some(seq) = handling.seq else { continue };
            let key = (&handling.agent, &handling.run, seq);
            // What took too long may succeed while its next delivery is under way.
            let again = done.get(&key).is_some_and(|done| *done < handling.began);
            self.tally.expect(!again, handling.at, || {
                format!("{handling:?} began after its session had done it")
            });
            if handling.outcome == HandlerOutcome::Done {
                done.entry(key).or_insert(handling.at);
            }
        }
    }
}

fn is_of_a_restore(entry: &MailEntry) -> bool {
    match entry {
        MailEntry::Restored { .. } => true,
        MailEntry::Woken { .. } => false,
        MailEntry::Event(event) => {
            matches!(&event.event, Event::Command(Command { ask: Ask::Recover { .. }, .. }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::mail_example::MailExample;

    fn check(example: &MailExample) -> Tally {
        let mut checked = NoDeliveryAfterSettle::default();
        example.read(&mut checked);
        checked.check_handlings(example.history());
        checked.tally
    }

    #[test]
    fn a_push_after_the_ack_breaks_it() {
        let example = MailExample::new()
            .connected(0, "b", 1)
            .published(10, "a", "m1", 11, 1)
            .pushed(11, "b", 1, "a", "m1", 11);
        assert_eq!(check(&example).broken, None);
        let acked = example.acked(20, "b", &[11], 1).pushed(30, "b", 1, "a", "m1", 11);
        assert!(check(&acked).broken.is_some());
    }

    #[test]
    fn a_handler_that_does_a_message_twice_breaks_it() {
        let example = MailExample::new().handled(20, "b", "1", "a", "m1", 11);
        assert_eq!(check(&example.clone().handled(30, "b", "2", "a", "m1", 11)).broken, None);
        assert!(check(&example.handled(30, "b", "1", "a", "m1", 11)).broken.is_some());
    }
}
