//! Once faults stop, every pending message to a connected agent is delivered and settled, late by at
//! most the largest forward step of the server's clock.
//!
//! A session that negotiated nothing need not settle; and who wants to be connected is. What the object
//! waits for, it does in time although nobody asks it for anything ([`waits`]).

use mailbus_spec::AgentId;

use crate::history::History;
use crate::invariants::{Tally, waits};
use crate::observer::mailbox::{Mailbox, MailboxObserver};

/// The name of the invariant.
pub const NAME: &str = "mail_liveness";

/// Its check, on what the observer has when the healing is over.
#[must_use]
pub fn check(history: &History, observer: &MailboxObserver) -> Tally {
    let mut tally = Tally::default();
    waits::check(history, &history.mail_waits, &mut tally);
    if !history.alarms_ring {
        return tally;
    }
    for agent in &history.listening {
        let open = open_mail(observer, agent);
        tally.expect(open.is_none(), history.healing_ended, || {
            format!("{agent} is not done when the healing is over: {}", open.unwrap_or_default())
        });
    }
    tally
}

/// What an agent that wants its mail still waits for.
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
    use crate::invariants::mail_example::MailExample;
    use crate::invariants::order::Order;

    fn check_healed(example: MailExample) -> Tally {
        let observer = example.read(&mut Order::default());
        let listening = [AgentId::new("b").unwrap()].into();
        let history = History { listening, alarms_ring: true, ..History::default() };
        check(&history, &observer)
    }

    #[test]
    fn a_message_that_is_not_settled_or_an_agent_without_a_session_breaks_it() {
        let example = MailExample::new().published(0, "a", "m1", 11, 0);
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
            MailExample::new().connected_as_original(0, "b", 1).published(10, "a", "m1", 11, 1);
        assert!(check_healed(example.clone()).broken.is_some());
        assert_eq!(check_healed(example.pushed(11, "b", 1, "a", "m1", 11)).broken, None);
    }
}
