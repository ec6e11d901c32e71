//! Nothing is delivered that was not accepted, to anyone it was not addressed to, or with changed
//! bytes.

use std::collections::BTreeMap;

use mailbus_spec::AgentId;

use crate::clock::TrueTime;
use crate::judge::history::{Handling, History, Sending, SendingEnd};
use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "no_phantom";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct NoPhantom {
    /// Accepted messages: sender, key and payload, and when first. Once its time is over a key is
    /// free again.
    accepted: BTreeMap<(AgentId, String, String), TrueTime>,
}

impl Invariant<MailboxObserver> for NoPhantom {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let at = moment.event.at;
        for fact in moment.shown {
            match fact {
                Fact::Pushed(pushed) => {
                    let owed = pushed.is_genuine && pushed.owing.is_some();
                    tally.expect(owed, at, || {
                        format!("{} was pushed {}, which is not its mail", pushed.to, pushed.seq)
                    });
                }
                Fact::Listed { agent, strange, .. } => {
                    tally.expect(strange.is_empty(), at, || {
                        format!("the inbox of {agent} lists {strange:?}, which it is not owed")
                    });
                }
                Fact::Accepted { seq, .. } => {
                    let accepted = moment.observer.messages.get(seq);
                    let message = accepted.map(|accepted| &accepted.message);
                    if let Some((message, id)) = message.and_then(|m| Some((m, m.id.as_ref()?))) {
                        let payload = message.payload.clone().unwrap_or_default();
                        let sent = (message.from.clone(), id.as_str().to_owned(), payload);
                        self.accepted.entry(sent).or_insert(at);
                    }
                }
                _ => {}
            }
        }
    }

    /// Checks that what a handler was given was accepted, and what a client was told was refused
    /// was not.
    fn finish(&mut self, history: &History, _observer: &MailboxObserver, tally: &mut Tally) {
        for handling in &history.handlings {
            let Handling { from, id, payload, .. } = handling;
            let given = (from.clone(), id.clone(), payload.clone());
            tally.expect(self.accepted.contains_key(&given), handling.at, || {
                format!("{handling:?} was given what nobody sent")
            });
        }
        for sending in &history.sendings {
            let SendingEnd::Refused(_) = &sending.end else { continue };
            let Sending { agent, id, payload, .. } = sending;
            let sent = (agent.clone(), id.clone(), payload.clone());
            let accepted = self.accepted.get(&sent).is_some_and(|at| *at <= sending.ended);
            tally.expect(!accepted, sending.ended, || format!("{sending:?} was accepted"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn check(example: Example) -> Tally {
        example.check(NoPhantom::default())
    }

    #[test]
    fn a_push_of_what_was_not_accepted_or_to_a_stranger_breaks_it() {
        let example =
            Example::new().connected(0, "b", 1).connected(0, "c", 2).sent(10, "a", "b", "m1", 11);
        assert_eq!(check(example.clone().pushed(11, "b", 1, "a", "m1", 11)).broken, None);
        assert!(check(example.clone().pushed(11, "b", 1, "a", "m1", 12)).broken.is_some());
        assert!(check(example.clone().pushed(11, "c", 2, "a", "m1", 11)).broken.is_some());
        assert!(check(example.pushed(11, "b", 1, "a", "m2", 11)).broken.is_some());
    }

    #[test]
    fn a_refusal_of_what_was_accepted_breaks_it() {
        let refused = Example::new().refused_to_client(20, "a", "m1");
        assert_eq!(check(refused.clone()).broken, None);
        let accepted = refused.published(10, "a", "m1", 11, 0);
        assert!(check(accepted).broken.is_some());
    }

    #[test]
    fn a_handler_that_is_given_another_payload_breaks_it() {
        let example = Example::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        assert_eq!(check(example.clone().handled(20, "b", "1", "a", "m1", 11)).broken, None);
        assert!(check(example.handled(20, "b", "1", "a", "m2", 11)).broken.is_some());
    }
}
