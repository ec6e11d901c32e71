//! Once faults stop, every pending message to a connected agent is delivered and settled, late by at
//! most the largest forward step of the server's clock.
//!
//! A session that negotiated nothing need not settle; and who wants to be connected is. What the object
//! waits for, it does in time although nobody asks it for anything ([`waits`]).

use mailbus_spec::{AgentId, Timestamp};

use crate::clock::TrueTime;
use crate::judge::history::History;
use crate::judge::invariants::{Invariant, Tally, waits};
use crate::judge::observer::mailbox::{MailEvent, Mailbox, MailboxObserver};

/// The name of the invariant.
pub const NAME: &str = "mail_liveness";

/// Check of the invariant, on what the observer has when the healing is over.
#[derive(Debug)]
pub struct MailLiveness {
    healing_ended: TrueTime,
    healed: Option<MailboxObserver>,
}

impl MailLiveness {
    pub(in crate::judge) fn new(history: &History) -> Self {
        Self { healing_ended: history.healing_ended, healed: None }
    }

    fn reach(&mut self, at: TrueTime, observer: &MailboxObserver) {
        if self.healing_ended <= at && self.healed.is_none() {
            self.healed = Some(observer.clone());
        }
    }
}

impl Invariant<MailboxObserver> for MailLiveness {
    fn before(
        &mut self,
        event: &MailEvent,
        _now: Timestamp,
        observer: &MailboxObserver,
        _tally: &mut Tally,
    ) {
        self.reach(event.at, observer);
    }

    fn woken(&mut self, at: TrueTime, before: &MailboxObserver) {
        self.reach(at, before);
    }

    fn restored(&mut self, at: TrueTime, before: &MailboxObserver, _after: &MailboxObserver) {
        self.reach(at, before);
    }

    fn finish(&mut self, history: &History, observer: &MailboxObserver, tally: &mut Tally) {
        waits::check(history, &history.mail.waits, tally);
        if !history.alarms_ring {
            return;
        }
        let healed = self.healed.as_ref().unwrap_or(observer);
        for agent in &history.listening {
            let open = open_mail(healed, agent);
            tally.expect(open.is_none(), history.healing_ended, || {
                let open = open.unwrap_or_default();
                format!("{agent} is not done when the healing is over: {open}")
            });
        }
    }
}

/// Mail that an agent that wants it still waits for.
#[must_use]
pub fn open_mail(observer: &MailboxObserver, agent: &AgentId) -> Option<String> {
    let Some(live) = observer.agents.get(agent).and_then(|mailbox| mailbox.live.as_ref()) else {
        return Some("it has no session".to_owned());
    };
    let delivered_is_done = live.window.is_none();
    let now = observer.clock.floor;
    let mut owed = observer.certainly_owed(agent, now);
    let open =
        owed.find(|seq| !delivered_is_done || !is_delivered(observer.agents.get(agent), *seq));
    open.map(|seq| format!("{seq} is pending"))
}

fn is_delivered(mailbox: Option<&Mailbox>, seq: mailbus_spec::Ordinal) -> bool {
    mailbox.and_then(|mailbox| mailbox.live.as_ref()).is_some_and(|live| live.has(seq))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn check_healed(example: Example) -> Tally {
        let example = example.healed(1_000, "b");
        example.check(MailLiveness::new(example.history()))
    }

    #[test]
    fn a_message_that_is_not_settled_or_an_agent_without_a_session_breaks_it() {
        let example = Example::new().published(0, "a", "m1", 11, 0);
        assert!(check_healed(example.clone()).broken.is_some());
        let example = example.connected(5, "b", 1);
        assert_eq!(check_healed(example.clone()).broken, None);
        let example = example.published(10, "a", "m2", 12, 1).pushed(11, "b", 1, "a", "m2", 12);
        assert!(check_healed(example.clone()).broken.is_some());
        assert_eq!(check_healed(example.acked(20, "b", &[12], 1)).broken, None);
    }

    #[test]
    fn a_session_that_negotiated_nothing_is_done_with_what_it_was_pushed() {
        let example =
            Example::new().connected_as_original(0, "b", 1).published(10, "a", "m1", 11, 1);
        assert!(check_healed(example.clone()).broken.is_some());
        assert_eq!(check_healed(example.pushed(11, "b", 1, "a", "m1", 11)).broken, None);
    }
}
