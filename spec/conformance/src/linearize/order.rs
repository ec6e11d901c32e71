//! Replies in the object's order, and whether that order agrees with real time.

use super::report::Contradiction;
use super::{History, Invocation};
use crate::subject::Subject;
use mailbus_spec::machine::Commit;
use mailbus_spec::time::Timestamp;

/// Place of a reply in the object's order.
pub(super) type Position = (u64, u64);

fn position(commit: &Commit) -> Position {
    (commit.generation, commit.sequence)
}

/// All replies of one sequence: its write, if it was answered, and the reads after it.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub sequence: u64,
    /// Invocations, by index.
    pub members: Vec<usize>,
    /// Object time may not have passed this when the group's sequence was written: the smallest `now`
    /// of this and all later groups.
    pub latest: Timestamp,
    /// The first end of this and all later groups: what wrote the sequence had begun by then.
    pub first_end: u64,
    /// The last start of all earlier groups: what wrote the sequence had not ended before.
    pub last_start: u64,
}

/// The replies of a history by group, in the object's order.
#[derive(Clone, Debug)]
pub(super) struct Sorted {
    pub groups: Vec<Group>,
    /// Invocations of unknown outcome, by their start.
    pub unknown: Vec<usize>,
}

impl Sorted {
    pub fn of<S: Subject>(history: &History<S>) -> Self {
        let mut replied: Vec<(Position, usize)> = Vec::new();
        let mut unknown: Vec<(u64, usize)> = Vec::new();
        for (index, invocation) in history.invocations.iter().enumerate() {
            match invocation.reply() {
                Some(reply) => replied.push((position(&reply.commit), index)),
                None => unknown.push((invocation.started, index)),
            }
        }
        replied.sort_unstable();
        unknown.sort_unstable();
        let mut groups: Vec<Group> = Vec::new();
        let mut last = None;
        for (at, index) in replied {
            match groups.last_mut().filter(|_| last == Some(at)) {
                Some(group) => group.members.push(index),
                None => groups.push(Group {
                    sequence: at.1,
                    members: vec![index],
                    latest: Timestamp::MAX,
                    first_end: u64::MAX,
                    last_start: 0,
                }),
            }
            last = Some(at);
        }
        let mut sorted = Self { groups, unknown: unknown.into_iter().map(|(_, i)| i).collect() };
        sorted.bound(history);
        sorted
    }

    fn bound<S: Subject>(&mut self, history: &History<S>) {
        let members = |group: &Group| -> Vec<&Invocation<S>> {
            group.members.iter().filter_map(|index| history.invocations.get(*index)).collect()
        };
        let (mut latest, mut first_end) = (Timestamp::MAX, u64::MAX);
        for group in self.groups.iter_mut().rev() {
            for invocation in members(group) {
                first_end = first_end.min(invocation.ended.unwrap_or(u64::MAX));
                let now = invocation.reply().map_or(Timestamp::MAX, |reply| reply.commit.now);
                latest = latest.min(now);
            }
            (group.latest, group.first_end) = (latest, first_end);
        }
        let mut last_start = 0;
        for group in &mut self.groups {
            group.last_start = last_start;
            for invocation in members(group) {
                last_start = last_start.max(invocation.started);
            }
        }
    }

    /// Order of real time: what ended before something else began must not stand after it.
    pub fn check_real_time<S: Subject>(&self, history: &History<S>) -> Result<(), Contradiction> {
        // At one instant, starts come first: what touches is concurrent.
        let mut moments: Vec<(u64, bool, usize)> = Vec::new();
        for index in self.groups.iter().flat_map(|group| &group.members) {
            let Some(invocation) = history.invocations.get(*index) else { continue };
            moments.push((invocation.started, false, *index));
            moments.extend(invocation.ended.map(|ended| (ended, true, *index)));
        }
        moments.sort_unstable();
        let mut seen: Option<(Position, usize)> = None;
        for (_, is_end, index) in moments {
            let invocation = history.invocations.get(index);
            let Some(reply) = invocation.and_then(Invocation::reply) else { continue };
            let here = position(&reply.commit);
            if is_end {
                seen = seen.max(Some((here, index)));
            } else if let Some((before, earlier)) = seen
                && before > here
            {
                let why = format!(
                    "it began after the other had been answered, and is ordered before it \
                     (generation and sequence {here:?} against {before:?})"
                );
                return Err(Contradiction::between(history, earlier, index, why));
            }
        }
        Ok(())
    }

    /// The members of a group that may have written its sequence: none that began after another member
    /// had been answered, and none later than another by the object's time, which a write sets the
    /// floor of.
    pub fn writers<S: Subject>(&self, history: &History<S>, group: &Group) -> Vec<usize> {
        let of = |index: &usize| history.invocations.get(*index);
        let now = |one: &Invocation<S>| one.reply().map(|reply| reply.commit.now);
        let members = || group.members.iter().filter_map(of);
        let first_end = members().filter_map(|one| one.ended).min();
        let first_now = members().filter_map(now).min();
        let may_write = |one: &Invocation<S>| {
            first_end.is_none_or(|end| one.started <= end) && now(one) == first_now
        };
        let fits = |index: &usize| of(index).is_some_and(may_write);
        let mut writers: Vec<usize> = group.members.iter().copied().filter(fits).collect();
        let reads = |index: &usize| {
            let reply = of(index).and_then(Invocation::reply);
            !reply.is_some_and(|reply| S::usually_writes(&reply.answer))
        };
        writers.sort_by_key(reads);
        writers
    }
}
