//! The mailbox object answers and pushes what the reference model does on the same events, word for
//! word.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::StateMachine;
use mailbus_spec::mailbox::MailboxMachine;

use crate::history::{History, MailEntry, restore_points};
use crate::invariants::Tally;
use crate::sut::mail_model::break_all_but;

/// The name of the invariant.
pub const NAME: &str = "mail_conforms";

/// Its check: a replay, in the object's own order and by the host times it read.
#[must_use]
pub fn check(history: &History) -> Tally {
    let mut tally = Tally::default();
    let points = restore_points(&history.mail);
    let mut bookmarks = BTreeMap::from([(0, MailboxMachine::default())]);
    let mut model = MailboxMachine::default();
    let mut closings = Vec::new();
    for (entry, length) in history.mail.iter().zip(1_usize..) {
        match entry {
            MailEntry::Event(event) => {
                let mut step = model.handle(event.host, &event.event);
                step.pushes.splice(0..0, std::mem::take(&mut closings));
                tally.expect(step == event.step, event.at, || {
                    let (asked, host, did) = (&event.event, event.host.0, &event.step);
                    format!(
                        "at host {host} {asked:?}: the model does {step:?}, the object did {did:?}"
                    )
                });
            }
            MailEntry::Woken { sessions, .. } => {
                let open: BTreeSet<_> = sessions.iter().cloned().collect();
                closings = break_all_but(&mut model, &open);
            }
            MailEntry::Restored { back_to, .. } => {
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
    tally
}

#[cfg(test)]
mod tests {
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
}
