//! From a dead end back to the hidden event that caused it, past choices that had nothing to do with it.
//!
//! Where a server was killed many events may be hidden in one gap, and their choices multiply. But a
//! dead end mostly says what is wrong: the client whose answer does not fit had sent the same command
//! before, so that one was executed; or the answer shows an instant at which something else happened.
//! Such a choice is moved forward, once; nothing is given up for it.

use super::search::Search;
use super::ways::{Choice, Conflict, Way};
use crate::subject::{ReplyOf, Shown, Subject};
use mailbus_spec::time::Timestamp;

/// Number of choices that are looked back at.
const LOOKED_BACK: usize = 400;

impl<S: Subject> Search<'_, S> {
    /// Conflict that shows when this invocation was not answered as expected.
    pub(super) fn conflict_at(
        &self,
        index: usize,
        expected: Option<&ReplyOf<S>>,
    ) -> Option<Conflict<S::Peer>> {
        let invocation = self.history.invocations.get(index)?;
        let asker = S::speaker(&invocation.command);
        let mut shown = S::shown_in_answer(&invocation.reply()?.answer);
        let known = expected.map(|reply| S::shown_in_answer(&reply.answer)).unwrap_or_default();
        shown.retain(|one| !known.contains(one));
        for one in &mut shown {
            one.peer = one.peer.take().or_else(|| asker.cloned());
        }
        let earlier = self.sorted.unknown.iter().copied().filter(|earlier| {
            let before = self.history.invocations.get(*earlier);
            before.is_some_and(|one| one.started < invocation.started && one.repeats(invocation))
        });
        let unused = |index: &usize| !self.used.get(*index).copied().unwrap_or(true);
        Some(Conflict { missing: earlier.filter(unused).last(), shown })
    }

    /// Goes back to the choice that the conflict names, if there is one and it was not moved before.
    pub(super) fn return_to_cause(&mut self, conflict: &Conflict<S::Peer>) {
        let oldest = self.forks.len().saturating_sub(LOOKED_BACK);
        for at in (oldest..self.forks.len()).rev() {
            for way in self.ways_that_show(at, conflict) {
                if self.promote(at, &way) {
                    return;
                }
            }
        }
        let Some(missing) = conflict.missing else { return };
        for at in oldest..self.forks.len() {
            if let Some(way) = self.in_its_place(at, missing)
                && self.promote(at, &way)
            {
                return;
            }
        }
    }

    /// Untried choices that lead to what the answer shows: by the ordinal they issue, or by the
    /// deadline of their peer's own.
    fn ways_that_show(&self, at: usize, conflict: &Conflict<S::Peer>) -> Vec<Way> {
        let Some(fork) = self.forks.get(at) else { return Vec::new() };
        let issues = |way: &Way| {
            let issued = |shown: &Shown<S::Peer>| {
                shown.ordinal.is_some_and(|ordinal| way.1.contains(&ordinal))
            };
            conflict.shown.iter().any(issued)
        };
        let fits = |way: &Way| issues(way) || self.sets_deadline(way.0, conflict);
        fork.choices.iter().rev().filter(|way| fits(way)).cloned().collect()
    }

    fn sets_deadline(&self, choice: Choice, conflict: &Conflict<S::Peer>) -> bool {
        let Choice::Unknown(index, at) = choice else { return false };
        let Some(invocation) = self.history.invocations.get(index) else { return false };
        let speaker = S::speaker(&invocation.command);
        let durations = self.machine.durations(Some(&invocation.command));
        conflict.shown.iter().any(|shown| {
            let Some(deadline) = shown.deadline else { return false };
            let sets = |ms: &u64| at.plus_ms(*ms) == deadline;
            shown.peer.as_ref() == speaker && durations.iter().any(sets)
        })
    }

    /// The missing event where something that began later was taken instead.
    fn in_its_place(&self, at: usize, missing: usize) -> Option<Way> {
        let fork = self.forks.get(at)?;
        let started = |index: usize| self.history.invocations.get(index).map(|one| one.started);
        let later = match event_of(fork.current.as_ref()?.0)? {
            Some(taken) => started(taken) > started(missing),
            None => false,
        };
        let is_missing = |way: &&Way| event_of(way.0) == Some(Some(missing));
        if later { fork.choices.iter().rev().find(is_missing).cloned() } else { None }
    }

    fn promote(&mut self, at: usize, way: &Way) -> bool {
        let (Some(event), Some(time)) = (event_of(way.0), time_of(way.0)) else { return false };
        let Some(fork) = self.forks.get_mut(at) else { return false };
        if !self.promoted.insert((fork.trail, event, time)) {
            return false;
        }
        fork.choices.retain(|other| other.0 != way.0);
        fork.choices.extend(fork.current.take());
        fork.choices.push(way.clone());
        self.forks.truncate(at + 1);
        true
    }
}

/// Hidden event that a choice is: a lost command, or an alarm.
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
