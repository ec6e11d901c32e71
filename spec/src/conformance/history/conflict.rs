//! From a dead end back to the hidden event that caused it, past choices that had nothing to do with it.
//!
//! Where a server was killed many events may be hidden in one gap, and their choices multiply. But a
//! dead end mostly says what is wrong: the client whose answer does not fit had sent the same command
//! before, so that one was executed; or the answer shows an instant at which something else happened.
//! Such a choice is moved forward, once; nothing is given up for it.

use alloc::collections::BTreeSet;

use super::search::{Choice, Search};
use crate::conformance::subject::{ReplyOf, Subject};
use crate::time::Timestamp;

/// How many choices are looked back at.
const LOOKED_BACK: usize = 400;

/// What a dead end says about its cause.
#[derive(Clone, Debug)]
pub(super) struct Conflict {
    /// The same command of the same client that may have been executed before.
    missing: Option<usize>,
    /// Instants that the answer shows, and the specification does not.
    events: BTreeSet<u64>,
    /// Deadlines that it shows.
    deadlines: BTreeSet<u64>,
}

impl<S: Subject> Search<'_, S> {
    /// What it says that this invocation was not answered as expected.
    pub(super) fn conflict_at(
        &self,
        index: usize,
        expected: Option<&ReplyOf<S>>,
    ) -> Option<Conflict> {
        let invocation = self.history.invocations.get(index)?;
        let actual = S::shown_in_answer(&invocation.reply()?.answer);
        let known = expected.map(|reply| S::shown_in_answer(&reply.answer)).unwrap_or_default();
        let new = || actual.iter().filter(|shown| !known.contains(shown));
        let earlier = self.sorted.unknown.iter().copied().filter(|earlier| {
            let before = self.history.invocations.get(*earlier);
            before.is_some_and(|one| one.started < invocation.started && one.repeats(invocation))
        });
        let unused = |index: &usize| !self.used.get(*index).copied().unwrap_or(true);
        Some(Conflict {
            missing: earlier.filter(unused).last(),
            events: new().filter_map(|shown| Some(shown.ordinal?.anchor_ms())).collect(),
            deadlines: new().filter_map(|shown| Some(shown.deadline?.ms())).collect(),
        })
    }

    /// Goes back to the choice that the conflict names, if there is one and it was not moved before.
    pub(super) fn return_to_cause(&mut self, conflict: &Conflict) {
        let oldest = self.forks.len().saturating_sub(LOOKED_BACK);
        for at in (oldest..self.forks.len()).rev() {
            if let Some(better) = self.better_time(at, conflict)
                && self.promote(at, better)
            {
                return;
            }
        }
        let Some(missing) = conflict.missing else { return };
        for at in oldest..self.forks.len() {
            if let Some(choice) = self.in_its_place(at, missing)
                && self.promote(at, choice)
            {
                return;
            }
        }
    }

    /// The same hidden event at an instant that the answer shows.
    fn better_time(&self, at: usize, conflict: &Conflict) -> Option<Choice> {
        let fork = self.forks.get(at)?;
        let current = fork.current.filter(|current| !matches!(current, Choice::Writer(..)))?;
        let hidden = event_of(current)?;
        let command = hidden.and_then(|index| self.history.invocations.get(index));
        let durations = self.machine.durations(command.map(|one| &one.command));
        let shown = |time: Timestamp| {
            conflict.events.contains(&time.ms())
                || durations.iter().any(|ms| conflict.deadlines.contains(&(time.ms() + ms)))
        };
        let fits = |choice: &&Choice| {
            event_of(**choice) == Some(hidden) && time_of(**choice).is_some_and(shown)
        };
        fork.choices.iter().rev().find(fits).copied()
    }

    /// The missing event where something that began later was taken instead.
    fn in_its_place(&self, at: usize, missing: usize) -> Option<Choice> {
        let fork = self.forks.get(at)?;
        let started = |index: usize| self.history.invocations.get(index).map(|one| one.started);
        let later = match event_of(fork.current?)? {
            Some(taken) => started(taken) > started(missing),
            None => false,
        };
        let is_missing = |choice: &&Choice| event_of(**choice) == Some(Some(missing));
        if later { fork.choices.iter().rev().find(is_missing).copied() } else { None }
    }

    fn promote(&mut self, at: usize, choice: Choice) -> bool {
        let (Some(event), Some(time)) = (event_of(choice), time_of(choice)) else { return false };
        let Some(fork) = self.forks.get_mut(at) else { return false };
        if !self.promoted.insert((fork.trail, event, time)) {
            return false;
        }
        fork.choices.retain(|other| *other != choice);
        fork.choices.extend(fork.current.take());
        fork.choices.push(choice);
        self.forks.truncate(at + 1);
        true
    }
}

/// Which hidden event a choice is: a lost command, or an alarm.
fn event_of(choice: Choice) -> Option<Option<usize>> {
    match choice {
        Choice::Writer(..) => None,
        Choice::Unknown(index, _) => Some(Some(index)),
        Choice::Alarm(_) => Some(None),
    }
}

fn time_of(choice: Choice) -> Option<Timestamp> {
    match choice {
        Choice::Writer(..) => None,
        Choice::Unknown(_, at) | Choice::Alarm(at) => Some(at),
    }
}
