//! Every accepted message is, for each recipient, settled, presumed settled, pending, expired or
//! dead-lettered; never absent.
//!
//! Whoever is subscribed when a message is accepted is a recipient; what is pending is listed; nothing
//! but its own ack settles a delivery; and nobody acks what he has not handled.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, Settled};
use mailbus_spec::{AgentId, Ordinal};

use crate::clock::TrueTime;
use crate::judge::history::{HandlerOutcome, History, SendingEnd};
use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "no_loss";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct NoLoss {
    accepted: BTreeSet<(AgentId, String)>,
    /// Times at which acks settled each delivery.
    settled: BTreeMap<(AgentId, Ordinal), TrueTime>,
}

impl Invariant<MailboxObserver> for NoLoss {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let at = moment.event.at;
        for fact in moment.shown {
            match fact {
                Fact::Accepted { seq, told, least, most, .. } => {
                    let few = u64::try_from(least.len()).unwrap_or(u64::MAX);
                    tally.expect((few..=*most).contains(told), at, || {
                        format!("{seq} was given to {told} agents, and {least:?} want it")
                    });
                    let accepted = moment.observer.messages.get(seq);
                    self.accepted.extend(accepted.and_then(|accepted| {
                        let id = accepted.message.id.as_ref()?;
                        Some((accepted.message.from.clone(), id.as_str().to_owned()))
                    }));
                }
                Fact::Settled { agent, seqs, told, least, most } => {
                    if !names_by_id(&moment.event.event) {
                        let settled = seqs.iter().map(|seq| ((agent.clone(), *seq), at));
                        self.settled.extend(settled);
                    }
                    tally.expect((*least..=*most).contains(told), at, || {
                        format!(
                            "{told} settled for {agent}, where {least} to {most} were asked to be"
                        )
                    });
                }
                Fact::Listed { agent, missing, .. } => {
                    tally.expect(missing.is_empty(), at, || {
                        format!("{missing:?} are pending for {agent} and not in its inbox")
                    });
                }
                _ => {}
            }
        }
    }

    /// Checks that what a client was told was accepted has been, and that it acks what a handler
    /// has done.
    fn finish(&mut self, history: &History, _observer: &MailboxObserver, tally: &mut Tally) {
        for sending in &history.sendings {
            let SendingEnd::Accepted(seq) = sending.end else { continue };
            let key = (sending.agent.clone(), sending.id.clone());
            tally.expect(self.accepted.contains(&key), sending.ended, || {
                format!("{sending:?} was never accepted as {seq}")
            });
        }
        let mut done: BTreeMap<(AgentId, Ordinal), TrueTime> = BTreeMap::new();
        for handling in &history.handlings {
            if let (Some(seq), HandlerOutcome::Done) = (handling.seq, handling.outcome) {
                let first = done.entry((handling.agent.clone(), seq)).or_insert(handling.at);
                *first = handling.at.min(*first);
            }
        }
        for (delivery, at) in &self.settled {
            let handled = done.get(delivery).is_some_and(|done| done <= at);
            let (agent, seq) = delivery;
            tally.expect(handled, *at, || {
                format!("{seq} was settled for {agent} before any of its handlers had done it")
            });
        }
    }
}

/// True if an ack names messages by their id, under which its agent may have handled an earlier one.
fn names_by_id(event: &Event<Command>) -> bool {
    matches!(event, Event::Command(Command { ask: Ask::Ack { what: Settled::Id(_), .. }, .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn check(example: Example) -> Tally {
        example.check(NoLoss::default())
    }

    #[test]
    fn a_recipient_that_is_left_out_breaks_it() {
        let example = Example::new().connected(0, "b", 1);
        assert_eq!(check(example.clone().published(10, "a", "m1", 11, 1)).broken, None);
        assert!(check(example.published(10, "a", "m1", 11, 0)).broken.is_some());
    }

    #[test]
    fn a_pending_message_that_an_inbox_does_not_list_breaks_it() {
        let example = Example::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        assert_eq!(check(example.clone().listed(20, "b", &[11], 11)).broken, None);
        assert!(check(example.clone().listed(20, "b", &[], 11)).broken.is_some());
        let handled = example.handled(12, "b", "1", "a", "m1", 11).acked(15, "b", &[11], 1);
        assert_eq!(check(handled.listed(20, "b", &[], 11)).broken, None);
    }

    #[test]
    fn an_ack_that_settles_more_or_less_than_it_names_breaks_it() {
        let example = Example::new()
            .connected(0, "b", 1)
            .published(10, "a", "m1", 11, 1)
            .published(10, "a", "m2", 12, 1);
        assert!(check(example.clone().acked(15, "b", &[11], 2)).broken.is_some());
        assert!(check(example.acked(15, "b", &[11], 0)).broken.is_some());
    }

    /// Two messages under one id, the first of which is in flight.
    fn namesakes() -> Example {
        Example::new()
            .connected_with(0, "b", 1, (1, 1_000))
            .published(10, "a", "m1", 11, 1)
            .pushed(11, "b", 1, "a", "m1", 11)
            .published(12, "c", "m1", 12, 1)
    }

    #[test]
    fn an_ack_by_id_that_settles_what_was_not_shown_breaks_it() {
        assert!(check(namesakes().acked_by_id(20, "b", "m1", 2)).broken.is_some());
        let one = namesakes().acked_by_id(20, "b", "m1", 1);
        assert_eq!(check(one.clone()).broken, None);
        assert!(check(one.clone().listed(30, "b", &[], 12)).broken.is_some(), "12 is pending");
        let both = one.acked_by_id(30, "b", "m1", 1);
        assert_eq!(check(both.clone().listed(40, "b", &[], 12)).broken, None);
        assert!(check(both.acked_by_id(50, "b", "m1", 1)).broken.is_some());
    }

    #[test]
    fn an_ack_by_id_of_which_nothing_was_shown_settles_all() {
        let example = Example::new()
            .connected_with(0, "b", 1, (1, 1_000))
            .published(10, "a", "m1", 11, 1)
            .published(12, "c", "m1", 12, 1);
        assert!(check(example.clone().acked_by_id(20, "b", "m1", 1)).broken.is_some());
        assert_eq!(check(example.acked_by_id(20, "b", "m1", 2)).broken, None);
    }

    #[test]
    fn an_ack_by_id_after_a_crash_may_settle_all_or_what_was_shown() {
        let example = namesakes().woken(15);
        for (settled, broken) in [(0, true), (1, false), (2, false), (3, true)] {
            let example = example.clone().acked_by_id(20, "b", "m1", settled);
            assert_eq!(check(example).broken.is_some(), broken, "{settled}");
        }
    }

    #[test]
    fn an_ack_of_what_nobody_has_handled_breaks_it() {
        let example = Example::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1).acked(
            30,
            "b",
            &[11],
            1,
        );
        for (handled_ms, broken) in [(20, false), (40, true)] {
            let example = example.clone().handled(handled_ms, "b", "1", "a", "m1", 11);
            assert_eq!(check(example).broken.is_some(), broken);
        }
    }

    #[test]
    fn an_acceptance_that_never_was_breaks_it() {
        let example = Example::new().sent_by_client(5, "a", "m1", 11);
        assert!(check(example).broken.is_some());
    }
}
