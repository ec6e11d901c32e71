//! The object answers and pushes what the reference model does on the same events, word for word. For mail
//! it is called `mail_conforms`.

use std::collections::BTreeMap;

use crate::judge::history::{Entry, History, Recorded};
use crate::judge::invariants::Tally;

/// The name of the invariant of leases.
pub const NAME: &str = "conforms";
/// The name of the invariant of mail.
pub const MAIL_NAME: &str = "mail_conforms";

/// Check of both: a replay, in the object's own order and by the host times it read, in which sessions end
/// with their sockets.
pub(in crate::judge) fn check<S: Recorded>(history: &History, tally: &mut Tally) {
    let record = S::record(history);
    let points = record.restore_points();
    let mut bookmarks = BTreeMap::from([(0, S::default())]);
    let mut model = S::default();
    let mut closings = Vec::new();
    for (entry, length) in record.entries.iter().zip(1_usize..) {
        match entry {
            Entry::Event(event) => {
                let mut step = model.handle(event.host, &event.event);
                step.pushes.splice(0..0, std::mem::take(&mut closings));
                tally.expect(step == event.step, event.at, || {
                    let (asked, host, did) = (&event.event, event.host.0, &event.step);
                    format!(
                        "at host {host} {asked:?}: the model does {step:?}, the object did {did:?}"
                    )
                });
            }
            Entry::Woken { sessions, .. } => closings = model.wake(sessions),
            Entry::Restored { back_to, .. } => {
                model = bookmarks.get(back_to).cloned().unwrap_or_default();
            }
        }
        if points.contains(&length) {
            bookmarks.insert(length, model.clone());
        }
        if tally.broken.is_some() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::Finally;
    use crate::judge::invariants::example::{lease, mailbox};
    use mailbus_spec::StateMachine;
    use mailbus_spec::lease::LeaseMachine;
    use mailbus_spec::mailbox::{
        CloseReason, Connection, MailboxMachine, MailboxStep, Notice, Push,
    };

    fn check_leases(example: &lease::Example) -> Tally {
        example.check(Finally(check::<LeaseMachine>))
    }

    fn check_mail(example: &mailbox::Example) -> Tally {
        example.check(Finally(check::<MailboxMachine>))
    }

    #[test]
    fn an_answer_that_the_model_does_not_give_breaks_it() {
        let example = lease::Example::new().granted(0, "a", "r1", "x", 1, 1_000);
        assert!(check_leases(&example).broken.is_some(), "the model gives another token");

        let example = lease::Example::new().free(0, "x");
        assert!(check_leases(&example).broken.is_some(), "its commit names no written sequence");
    }

    #[test]
    fn a_replay_goes_on_from_where_a_restore_went_back_to() {
        let mut model = LeaseMachine::default();
        let mut example = lease::Example::new();
        for at_ms in [0, 10_000] {
            let (host, event) = lease::Example::acquire(at_ms, "a", &format!("r{at_ms}"), "x");
            let step = model.handle(host, &event);
            example = example.entry(at_ms, host, event, step);
        }
        assert_eq!(check_leases(&example).broken, None);
        let (host, event) = lease::Example::acquire(20_000, "b", "r9", "x");
        let step = LeaseMachine::default().handle(host, &event);
        let forgotten =
            example.clone().restored(15_000, 0).entry(20_000, host, event.clone(), step.clone());
        assert_eq!(check_leases(&forgotten).broken, None);
        let kept = example.restored(15_000, 1).entry(20_000, host, event, step);
        assert!(check_leases(&kept).broken.is_some());
    }

    #[test]
    fn an_answer_or_push_that_the_model_does_not_give_breaks_it() {
        let example = mailbox::Example::new().connected(0, "b", 1);
        assert!(check_mail(&example).broken.is_some(), "the model gives another epoch");
    }

    #[test]
    fn what_the_model_does_does_not_break_it_and_sessions_end_with_their_sockets() {
        let mut model = MailboxMachine::default();
        let mut example = mailbox::Example::new();
        for (at_ms, command) in mailbox::Example::some_commands() {
            let (host, event) = mailbox::Example::event(at_ms, command);
            let step = model.handle(host, &event);
            example = example.entry(at_ms, host, event, step);
        }
        assert_eq!(check_mail(&example).broken, None);
        let woken = example.woken(50_000);
        let (host, event) = mailbox::Example::event(60_000, mailbox::Example::a_publish("m9"));
        let mut broken = model.clone();
        broken.break_sessions();
        let step = broken.handle(host, &event);
        assert_eq!(
            check_mail(&woken.clone().entry(60_000, host, event.clone(), step)).broken,
            None
        );
        let step = model.handle(host, &event);
        assert!(check_mail(&woken.entry(60_000, host, event, step)).broken.is_some());
    }

    #[test]
    fn a_superseded_session_without_its_live_one_is_told_to_come_back_before_anything_else() {
        let mut model = MailboxMachine::default();
        let mut example = mailbox::Example::new();
        for at_ms in [0, 10_000] {
            let (host, event) =
                mailbox::Example::event(at_ms, mailbox::Example::a_session("b", None));
            let step = model.handle(host, &event);
            example = example.entry(at_ms, host, event, step);
        }
        let (agent, mailbox) = model.agents.first_key_value().unwrap();
        let first = Connection { agent: agent.clone(), epoch: mailbox.superseded[0] };
        let example = example.woken_with(20_000, vec![first.clone()]);
        model.break_sessions();
        let (host, event) = mailbox::Example::event(30_000, mailbox::Example::a_publish("m1"));
        let silent = model.handle(host, &event);
        let closed = Push { to: first, notice: Notice::Closed(CloseReason::Reopen) };
        let told = MailboxStep { pushes: vec![closed], ..silent.clone() };
        let after = |step| check_mail(&example.clone().entry(30_000, host, event.clone(), step));
        assert_eq!(after(told).broken, None);
        assert!(after(silent).broken.is_some());
    }
}
