//! The mailbox object answers and pushes what the reference model does on the same events, word for
//! word.

use mailbus_spec::mailbox::MailboxMachine;

use crate::history::History;
use crate::invariants::{Tally, conforms};
use crate::sut::mail_model::break_all_but;

/// The name of the invariant.
pub const NAME: &str = "mail_conforms";

/// Its check: a replay, in which sessions end with their sockets.
#[must_use]
pub fn check(history: &History) -> Tally {
    conforms::replay::<MailboxMachine>(&history.mail, |model, sessions| {
        break_all_but(model, &sessions.iter().cloned().collect())
    })
}

#[cfg(test)]
mod tests {
    use mailbus_spec::StateMachine;
    use mailbus_spec::mailbox::{CloseReason, Connection, MailboxStep, Notice, Push};

    use super::*;
    use crate::invariants::mail_example::MailExample;

    #[test]
    fn an_answer_that_the_model_does_not_give_breaks_it() {
        let example = MailExample::new().connected(0, "b", 1);
        assert!(check(example.history()).broken.is_some(), "the model gives another epoch");
    }

    #[test]
    fn what_the_model_does_does_not_break_it_and_sessions_end_with_their_sockets() {
        let mut model = MailboxMachine::default();
        let mut example = MailExample::new();
        for (at_ms, command) in MailExample::some_commands() {
            let (host, event) = MailExample::event(at_ms, command);
            let step = model.handle(host, &event);
            example = example.entry(at_ms, host, event, step);
        }
        assert_eq!(check(example.history()).broken, None);
        let woken = example.woken(50_000);
        let (host, event) = MailExample::event(60_000, MailExample::a_publish("m9"));
        let mut broken = model.clone();
        broken.break_sessions();
        let step = broken.handle(host, &event);
        assert_eq!(
            check(woken.clone().entry(60_000, host, event.clone(), step).history()).broken,
            None
        );
        let step = model.handle(host, &event);
        assert!(check(woken.entry(60_000, host, event, step).history()).broken.is_some());
    }

    #[test]
    fn a_superseded_session_without_its_live_one_is_told_to_come_back_before_anything_else() {
        let mut model = MailboxMachine::default();
        let mut example = MailExample::new();
        for at_ms in [0, 10_000] {
            let (host, event) = MailExample::event(at_ms, MailExample::a_session("b", None));
            let step = model.handle(host, &event);
            example = example.entry(at_ms, host, event, step);
        }
        let (agent, mailbox) = model.agents.first_key_value().unwrap();
        let first = Connection { agent: agent.clone(), epoch: mailbox.superseded[0] };
        let example = example.woken_with(20_000, vec![first.clone()]);
        model.break_sessions();
        let (host, event) = MailExample::event(30_000, MailExample::a_publish("m1"));
        let silent = model.handle(host, &event);
        let closed = Push { to: first, notice: Notice::Closed(CloseReason::Reopen) };
        let told = MailboxStep { pushes: vec![closed], ..silent.clone() };
        let after =
            |step| check(example.clone().entry(30_000, host, event.clone(), step).history());
        assert_eq!(after(told).broken, None);
        assert!(after(silent).broken.is_some());
    }
}
