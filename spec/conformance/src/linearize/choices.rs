//! The ways on: what may have written the next sequence, the likely first.

use core::hash::{Hash, Hasher};
use std::collections::BTreeSet;
use std::hash::DefaultHasher;

use super::Invocation;
use super::hints::{Support, hosts_of};
use super::order::Group;
use super::search::Search;
use super::ways::{Choice, Fork, Way};
use crate::subject::{StepOf, Subject};
use mailbus_spec::machine::Event;
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::Timestamp;

impl<S: Subject> Search<'_, S> {
    /// Opens the choices by which the next sequence may have been written.
    pub(super) fn fork(&mut self) {
        let Some(group) = self.sorted.groups.get(self.group) else { return };
        let mut choices = Vec::new();
        if self.sequence() + 1 == group.sequence {
            for index in self.sorted.writers(self.history, group) {
                let reply = self.history.invocations.get(index).and_then(Invocation::reply);
                let Some(reply) = reply else { continue };
                let hosts = hosts_of(&self.machine, reply).into_iter();
                choices.extend(hosts.map(|host| (Choice::Writer(index, host), Vec::new())));
            }
        }
        choices.reverse();
        let complete = !self.may_be_hidden();
        let fork = Fork {
            group: self.group,
            trail: self.trail.len(),
            choices,
            current: None,
            complete,
            place: None,
        };
        self.forks.push(fork);
    }

    /// Goes back to where lost commands were first taken for a gap: the last one, and now and then one
    /// before.
    pub(super) fn begin_gap_anew(&mut self) {
        self.attempt += 1;
        self.tried_before = self.tried;
        self.promoted.clear();
        self.conflict = None;
        let mut gaps: Vec<(usize, usize)> = Vec::new();
        for (at, fork) in self.forks.iter().enumerate() {
            let takes_lost = matches!(fork.current, Some((Choice::Unknown(..), _)));
            if takes_lost && gaps.last().is_none_or(|(group, _)| *group != fork.group) {
                gaps.push((fork.group, at));
            }
        }
        let back = (self.attempt.trailing_zeros() / 2) as usize;
        let Some((_, at)) = gaps.iter().rev().nth(back).or(gaps.first()).copied() else { return };
        self.forks.truncate(at + 1);
        if let Some(fork) = self.forks.last_mut() {
            fork.choices.clear();
            fork.complete = false;
            fork.place = None;
        }
    }

    pub(super) fn open_hidden_choices(&mut self) {
        let place = digest(&(self.group, &self.machine, &self.used));
        let choices = if self.dead.contains(&place) { Vec::new() } else { self.hidden_choices() };
        if choices.is_empty() {
            self.no_way();
            return;
        }
        // Many will be tried from here.
        if self.checkpoints.last().is_none_or(|(at, _)| *at != self.trail.len()) {
            self.checkpoints.push((self.trail.len(), self.machine.clone()));
        }
        if let Some(fork) = self.forks.last_mut() {
            fork.choices = choices;
            fork.place = Some(place);
        }
    }

    /// True if there are hidden events that might write here.
    fn may_be_hidden(&self) -> bool {
        let Some(group) = self.sorted.groups.get(self.group) else { return false };
        self.machine.next_alarm().is_some_and(|due| due <= group.latest)
            || self.sorted.unknown.iter().any(|index| self.may_be_here(*index, group))
    }

    /// True if a command of unknown outcome may have written the group's sequence.
    fn may_be_here(&self, index: usize, group: &Group) -> bool {
        let used = self.used.get(index).copied().unwrap_or(true);
        let in_time = |one: &Invocation<S>| {
            one.started <= group.first_end
                && one.ended.is_none_or(|ended| ended >= group.last_start)
        };
        !used && self.history.invocations.get(index).is_some_and(in_time)
    }

    /// Hidden events that would write here, the likely last.
    fn hidden_choices(&mut self) -> Vec<Way> {
        let Some(group) = self.sorted.groups.get(self.group) else { return Vec::new() };
        let mut possible = Vec::new();
        if self.machine.next_alarm().is_some_and(|due| due <= group.latest) {
            let times = self.times(None, group);
            possible.extend(times.into_iter().map(Choice::Alarm));
        }
        for index in &self.sorted.unknown {
            let Some(invocation) = self.history.invocations.get(*index) else { continue };
            if !self.may_be_here(*index, group) {
                continue;
            }
            let command = Some(&invocation.command);
            let times = self.times(command, group);
            possible.extend(times.into_iter().map(|at| Choice::Unknown(*index, at)));
        }
        let latest = group.latest;
        self.ranked(possible, latest)
    }

    fn times(&self, hidden: Option<&S::Command>, group: &Group) -> Vec<Timestamp> {
        self.hints.candidates(&self.machine, hidden, group.latest, self.thorough)
    }

    /// Time after its beginning at which a command is taken to have arrived: nothing at first, and
    /// something else in each search that starts again.
    fn disorder(&self, index: Option<usize>) -> u64 {
        match index {
            Some(index) if self.attempt > 0 => digest(&(index, self.attempt)) % (self.attempt * 8),
            _ => 0,
        }
    }

    /// Those that would write and do more than an alarm; what agrees best with what was seen is last.
    fn ranked(&mut self, possible: Vec<Choice>, latest: Timestamp) -> Vec<Way> {
        let mut settled = BTreeSet::new();
        let mut ranked = Vec::new();
        for (order, choice) in possible.into_iter().enumerate() {
            let (index, at) = match choice {
                Choice::Writer(..) => continue,
                Choice::Unknown(index, at) => (Some(index), at),
                Choice::Alarm(at) => (None, at),
            };
            self.tried += 1;
            let invocation = index.and_then(|index| self.history.invocations.get(index));
            let event = invocation.map_or(Event::Alarm, |one| Event::Command(one.command.clone()));
            let mut after = self.machine.clone();
            let step = after.handle(self.machine.clock().host_at(at), &event);
            let state = digest(&after);
            let is_new =
                if index.is_none() { settled.insert(state) } else { !settled.contains(&state) };
            if !step.wrote || !is_new {
                continue;
            }
            let issued = issued::<S>(&step);
            if self.hints.skips(self.machine.last_ordinal(), &after, &issued) {
                continue;
            }
            let speaker = invocation.and_then(|one| S::speaker(&one.command));
            let support = self.hints.support(speaker, &step, &after, latest);
            let time = if support == Support::Seen { at } else { Timestamp::ZERO };
            let began = invocation.map_or(0, |one| one.started) + self.disorder(index);
            let rank = (support.max(Support::Neutral), began, support, time, order);
            ranked.push((rank, (choice, issued)));
        }
        ranked.sort_unstable_by_key(|(rank, _)| core::cmp::Reverse(*rank));
        ranked.into_iter().map(|(_, way)| way).collect()
    }
}

/// The ordinals that a step shows in its answer and pushes.
fn issued<S: Subject>(step: &StepOf<S>) -> Vec<Ordinal> {
    let answer = step.reply.iter().flat_map(|reply| S::ordinals_in_answer(&reply.answer));
    answer.chain(step.pushes.iter().flat_map(S::ordinals_in_push)).collect()
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
