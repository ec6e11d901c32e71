//! Nothing is delivered that was not accepted, to anyone it was not addressed to, or with changed
//! bytes.

use std::collections::BTreeMap;

use mailbus_spec::AgentId;

use crate::clock::TrueTime;
use crate::history::{Handling, History, Sending, SendingEnd};
use crate::invariants::Tally;
use crate::observer::mailbox::{Fact, MailboxMoment, MailboxReader};

/// The name of the invariant.
pub const NAME: &str = "no_phantom";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct NoPhantom {
    pub(super) tally: Tally,
    /// What was accepted: sender, key and payload, and when first. Once its time is over a key is free
    /// again.
    accepted: BTreeMap<(AgentId, String, String), TrueTime>,
}

impl MailboxReader for NoPhantom {
    fn after(&mut self, moment: &MailboxMoment<'_>) {
        let at = moment.event.at;
        for fact in moment.facts {
            match fact {
                Fact::Pushed(pushed) => {
                    let owed = pushed.is_genuine && pushed.owing.is_some();
                    self.tally.expect(owed, at, || {
                        format!("{} was pushed {}, which is not its mail", pushed.to, pushed.seq)
                    });
                }
                Fact::Listed { agent, strange, .. } => {
                    self.tally.expect(strange.is_empty(), at, || {
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
}

impl NoPhantom {
    /// What a handler was given is what was accepted.
    pub(super) fn check_handlings(&mut self, history: &History) {
        for handling in &history.handlings {
            let Handling { from, id, payload, .. } = handling;
            let given = (from.clone(), id.clone(), payload.clone());
            self.tally.expect(self.accepted.contains_key(&given), handling.at, || {
                format!("{handling:?} was given what nobody sent")
            });
        }
    }

    /// What a client was told was refused was not accepted.
    pub(super) fn check_sendings(&mut self, history: &History) {
        for sending in &history.sendings {
            let SendingEnd::Refused(_) = &sending.end else { continue };
            let Sending { agent, id, payload, .. } = sending;
            let sent = (agent.clone(), id.clone(), payload.clone());
            let accepted = self.accepted.get(&sent).is_some_and(|at| *at <= sending.ended);
            self.tally.expect(!accepted, sending.ended, || format!("{sending:?} was accepted"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::mail_example::MailExample;

    fn check(example: &MailExample) -> Tally {
        let mut checked = NoPhantom::default();
        example.read(&mut checked);
        checked.check_handlings(example.history());
        checked.tally
    }

    #[test]
    fn a_push_of_what_was_not_accepted_or_to_a_stranger_breaks_it() {
        let example = MailExample::new()
            .connected(0, "b", 1)
            .connected(0, "c", 2)
            .sent(10, "a", "b", "m1", 11);
        assert_eq!(check(&example.clone().pushed(11, "b", 1, "a", "m1", 11)).broken, None);
        assert!(check(&example.clone().pushed(11, "b", 1, "a", "m1", 12)).broken.is_some());
        assert!(check(&example.clone().pushed(11, "c", 2, "a", "m1", 11)).broken.is_some());
        assert!(check(&example.pushed(11, "b", 1, "a", "m2", 11)).broken.is_some());
    }

    #[test]
    fn a_refusal_of_what_was_accepted_breaks_it() {
        let refused = MailExample::new().refused_to_client(20, "a", "m1");
        let mut checked = NoPhantom::default();
        checked.check_sendings(refused.history());
        assert_eq!(checked.tally.broken, None);
        let accepted = refused.published(10, "a", "m1", 11, 0);
        accepted.read(&mut checked);
        checked.check_sendings(accepted.history());
        assert!(checked.tally.broken.is_some());
    }

    #[test]
    fn a_handler_that_is_given_another_payload_breaks_it() {
        let example = MailExample::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        assert_eq!(check(&example.clone().handled(20, "b", "1", "a", "m1", 11)).broken, None);
        assert!(check(&example.handled(20, "b", "1", "a", "m2", 11)).broken.is_some());
    }
}
