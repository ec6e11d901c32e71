//! The object answers what the reference model answers to the same events, word for word.

use std::collections::BTreeMap;
use std::fmt::Debug;

use mailbus_spec::StateMachine;
use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::machine::Step;
use mailbus_spec::mailbox::Connection;

use crate::history::{Entry, History, restore_points};
use crate::invariants::Tally;

/// The name of the invariant.
pub const NAME: &str = "conforms";

/// Its check: a replay, in the object's own order and by the host times it read.
#[must_use]
pub fn check(history: &History) -> Tally {
    replay::<LeaseMachine>(&history.object, |_, _| Vec::new())
}

type StepOf<M> =
    Step<<M as StateMachine>::Outcome, <M as StateMachine>::Rejection, <M as StateMachine>::Push>;

/// Replays the history of an object on its model. What becomes of the model when the object wakes with these
/// sessions is said by `wake`, with what the next event pushes before anything else.
pub(super) fn replay<M>(
    entries: &[Entry<M::Command, StepOf<M>>],
    wake: impl Fn(&mut M, &[Connection]) -> Vec<M::Push>,
) -> Tally
where
    M: StateMachine<Command: Debug, Outcome: Debug + PartialEq, Rejection: Debug + PartialEq>
        + Default,
    M::Push: Debug + PartialEq,
{
    let mut tally = Tally::default();
    let points = restore_points(entries);
    let mut bookmarks = BTreeMap::from([(0, M::default())]);
    let mut model = M::default();
    let mut closings = Vec::new();
    for (entry, length) in entries.iter().zip(1_usize..) {
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
            Entry::Woken { sessions, .. } => closings = wake(&mut model, sessions),
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
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::example::Example;

    #[test]
    fn an_answer_that_the_model_does_not_give_breaks_it() {
        let example = Example::new().granted(0, "a", "r1", "x", 1, 1_000);
        assert!(check(example.history()).broken.is_some(), "the model gives another token");

        let example = Example::new().free(0, "x");
        assert!(check(example.history()).broken.is_some(), "its commit names no written sequence");
    }

    #[test]
    fn a_replay_goes_on_from_where_a_restore_went_back_to() {
        let mut model = LeaseMachine::default();
        let mut example = Example::new();
        for at_ms in [0, 10_000] {
            let (host, event) = Example::acquire(at_ms, "a", &format!("r{at_ms}"), "x");
            let step = model.handle(host, &event);
            example = example.entry(at_ms, host, event, step);
        }
        assert_eq!(check(example.history()).broken, None);
        let (host, event) = Example::acquire(20_000, "b", "r9", "x");
        let step = LeaseMachine::default().handle(host, &event);
        let forgotten =
            example.clone().restored(15_000, 0).entry(20_000, host, event.clone(), step.clone());
        assert_eq!(check(forgotten.history()).broken, None);
        let kept = example.restored(15_000, 1).entry(20_000, host, event, step);
        assert!(check(kept.history()).broken.is_some());
    }
}
