//! A settled message is never pushed again.
//!
//! Nor one that was given up and not redriven; and a handler that has succeeded is not given the
//! message again in its session.

use std::collections::BTreeMap;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine};

use crate::judge::history::{Entry, HandlerOutcome, History};
use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment, Owing};

/// The name of the invariant.
pub const NAME: &str = "no_delivery_after_settle";

/// Check of the invariant.
#[derive(Debug)]
pub struct NoDeliveryAfterSettle;

impl Invariant<MailboxObserver> for NoDeliveryAfterSettle {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for fact in moment.shown {
            let Fact::Pushed(pushed) = fact else { continue };
            let over = matches!(
                pushed.owing,
                Some(Owing::Settled | Owing::Dead | Owing::Refused | Owing::Gone)
            );
            tally.expect(!over, moment.event.at, || {
                format!("{} was pushed {}, which is {:?}", pushed.to, pushed.seq, pushed.owing)
            });
        }
    }

    /// A message is done once in a session. A restore takes acks back, and a client that is told of one
    /// forgets what it has done.
    fn finish(&mut self, history: &History, _observer: &MailboxObserver, tally: &mut Tally) {
        if history.mail.entries.iter().any(is_of_a_restore) {
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
            tally.expect(!again, handling.at, || {
                format!("{handling:?} began after its session had done it")
            });
            if handling.outcome == HandlerOutcome::Done {
                done.entry(key).or_insert(handling.at);
            }
        }
    }
}

fn is_of_a_restore(entry: &Entry<MailboxMachine>) -> bool {
    match entry {
        Entry::Restored { .. } => true,
        Entry::Woken { .. } => false,
        Entry::Event(event) => {
            matches!(&event.event, Event::Command(Command { ask: Ask::Recover { .. }, .. }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn check(example: Example) -> Tally {
        example.check(NoDeliveryAfterSettle)
    }

    #[test]
    fn a_push_after_the_ack_breaks_it() {
        let example = Example::new()
            .connected(0, "b", 1)
            .published(10, "a", "m1", 11, 1)
            .pushed(11, "b", 1, "a", "m1", 11);
        assert_eq!(check(example.clone()).broken, None);
        let acked = example.acked(20, "b", &[11], 1).pushed(30, "b", 1, "a", "m1", 11);
        assert!(check(acked).broken.is_some());
    }

    #[test]
    fn a_handler_that_does_a_message_twice_breaks_it() {
        let example = Example::new().handled(20, "b", "1", "a", "m1", 11);
        assert_eq!(check(example.clone().handled(30, "b", "2", "a", "m1", 11)).broken, None);
        assert!(check(example.handled(30, "b", "1", "a", "m1", 11)).broken.is_some());
    }
}
