//! The replay, and the bounded search for hidden events.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;

use super::conflict::Conflict;
use super::evidence::{Evidence, Support};
use super::order::{Group, Sorted};
use super::report::Contradiction;
use super::{Explained, Explanation, History, Invocation};
use crate::conformance::subject::{ReplyOf, StepOf, Subject};
use crate::machine::{Event, Reply};
use crate::ordinal::Ordinal;
use crate::time::{HostTime, Timestamp};

/// Events between two copies of the state. Going back replays at most this many.
const CHECKPOINT_EVERY: usize = 256;

/// A search that has gone wrong early in a gap seldom recovers: after so many choices the gap is begun
/// anew, with another idea of which command came first.
const TRIES_IN_A_GAP: u64 = 20_000;

/// A way to get from one sequence to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// A reply of the group wrote it.
    Writer(usize, HostTime),
    /// A command of unknown outcome did, at this object time.
    Unknown(usize, Timestamp),
    /// An alarm did.
    Alarm(Timestamp),
}

/// A choice, and the ordinals that it would issue.
pub(super) type Way = (Choice, Vec<Ordinal>);

/// A point to go back to.
#[derive(Debug)]
pub(super) struct Fork {
    group: usize,
    pub(super) trail: usize,
    /// Not tried yet; the next one is last.
    pub(super) choices: Vec<Way>,
    /// What was tried last.
    pub(super) current: Option<Way>,
    /// Whether hidden events are among the choices already.
    complete: bool,
    /// Once hidden events are among them: where this is, to know it again.
    place: Option<u64>,
}

pub(super) struct Search<'a, S: Subject> {
    pub(super) history: &'a History<S>,
    pub(super) sorted: Sorted,
    evidence: Evidence<S>,
    pub(super) machine: S,
    group: usize,
    /// The reply that wrote the present group's sequence: it is not a read.
    writer: Option<usize>,
    trail: Vec<Explained<S>>,
    hosts: Vec<HostTime>,
    checkpoints: Vec<(usize, S)>,
    pub(super) used: Vec<bool>,
    pub(super) forks: Vec<Fork>,
    /// Places from which nothing leads to the end.
    dead: BTreeSet<u64>,
    remembers_dead: bool,
    /// The last dead end.
    conflict: Option<Conflict<S::Party>>,
    /// What was moved forward because of one: by trail, event and time.
    pub(super) promoted: BTreeSet<(usize, Option<usize>, Timestamp)>,
    /// How often a gap was begun anew.
    attempt: u64,
    /// How many choices had been tried by then.
    tried_before: u64,
    tried: u64,
    tries: u64,
    furthest: Option<(usize, usize, Contradiction)>,
}

impl<'a, S: Subject> Search<'a, S> {
    pub fn new(history: &'a History<S>, sorted: Sorted, tries: u64) -> Self {
        Self {
            history,
            evidence: Evidence::of(history),
            sorted,
            machine: S::default(),
            group: 0,
            writer: None,
            trail: Vec::new(),
            hosts: Vec::new(),
            checkpoints: alloc::vec![(0, S::default())],
            used: alloc::vec![false; history.invocations.len()],
            forks: Vec::new(),
            dead: BTreeSet::new(),
            remembers_dead: true,
            conflict: None,
            promoted: BTreeSet::new(),
            attempt: 0,
            tried_before: 0,
            tried: 0,
            tries,
            furthest: None,
        }
    }

    pub fn run(mut self) -> Result<Explanation<S>, Contradiction> {
        loop {
            if self.forward() {
                match self.unexplained_push() {
                    None => {
                        let (order, last) = (self.trail, self.machine);
                        return Ok(Explanation { order, last, tried: self.tried });
                    }
                    Some(contradiction) => {
                        self.note(contradiction);
                        // What was pushed on the way is no part of a place.
                        self.remembers_dead = false;
                        self.dead.clear();
                    }
                }
            }
            if !self.next_choice() {
                return Err(self.contradiction());
            }
        }
    }

    fn contradiction(self) -> Contradiction {
        let exhaustive = self.tried < self.tries;
        let found = self.furthest.map(|(_, _, contradiction)| contradiction);
        let mut contradiction = found.unwrap_or_else(|| Contradiction {
            what: "  nothing was tried".into(),
            before: Vec::new(),
            exhaustive,
        });
        contradiction.exhaustive = exhaustive;
        contradiction
    }

    /// Goes on while there is one way only. True at the end of the history, false where nothing fits or
    /// several ways fork.
    fn forward(&mut self) -> bool {
        while let Some(group) = self.sorted.groups.get(self.group) {
            let sequence = group.sequence;
            if self.sequence() < sequence {
                self.fork();
                return false;
            }
            if !self.read_group() {
                return false;
            }
            self.group += 1;
            self.writer = None;
        }
        true
    }

    fn sequence(&self) -> u64 {
        self.machine.position().1
    }

    /// All replies of the group but its write change nothing.
    fn read_group(&mut self) -> bool {
        let Some(group) = self.sorted.groups.get(self.group) else { return false };
        for index in group.members.clone() {
            if self.writer == Some(index) {
                continue;
            }
            if !self.reads(index) {
                return false;
            }
        }
        true
    }

    fn reads(&mut self, index: usize) -> bool {
        let Some(invocation) = self.history.invocations.get(index) else { return false };
        let Some(reply) = invocation.reply() else { return false };
        let mut expected = None;
        for host in hosts_of(&self.machine, reply) {
            let event = Event::Command(invocation.command.clone());
            let step = self.machine.handle(host, &event);
            let fits = step.reply.as_ref() == Some(reply) && !step.wrote;
            let wrote = step.wrote;
            expected = expected.or_else(|| step.reply.clone());
            if fits {
                self.record(Some(index), host, reply.commit.now, false, step.pushes);
                return true;
            }
            if wrote {
                self.rebuild();
            }
        }
        self.refused(index, expected);
        false
    }

    /// Opens the choices by which the next sequence may have been written.
    fn fork(&mut self) {
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

    /// Takes the next choice that fits; false when there is none.
    fn next_choice(&mut self) -> bool {
        if self.tried - self.tried_before > TRIES_IN_A_GAP {
            self.begin_gap_anew();
        } else if let Some(conflict) = self.conflict.take() {
            self.return_to_cause(&conflict);
        }
        while let Some(fork) = self.forks.last_mut() {
            let (group, trail) = (fork.group, fork.trail);
            if let Some(way) = fork.choices.pop() {
                let choice = way.0;
                fork.current = Some(way);
                self.return_to(group, trail);
                if self.take(choice) {
                    return true;
                }
            } else if fork.complete {
                let place = fork.place.filter(|_| self.remembers_dead);
                self.dead.extend(place);
                self.forks.pop();
                if self.furthest.is_none() {
                    self.return_to(group, trail);
                    self.no_way();
                }
            } else {
                fork.complete = true;
                self.tried += 1;
                self.return_to(group, trail);
                self.open_hidden_choices();
            }
            if self.tried >= self.tries {
                return false;
            }
        }
        false
    }

    /// Goes back to where lost commands were first taken for a gap: the last one, and now and then one
    /// before.
    fn begin_gap_anew(&mut self) {
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

    fn open_hidden_choices(&mut self) {
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

    /// Whether there are hidden events that might write here.
    fn may_be_hidden(&self) -> bool {
        let Some(group) = self.sorted.groups.get(self.group) else { return false };
        self.machine.next_alarm().is_some_and(|due| due <= group.latest)
            || self.sorted.unknown.iter().any(|index| self.may_be_here(*index, group))
    }

    /// Whether a command of unknown outcome may have written the group's sequence.
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
            let times = self.evidence.candidates(&self.machine, None, group.latest);
            possible.extend(times.into_iter().map(Choice::Alarm));
        }
        for index in &self.sorted.unknown {
            let Some(invocation) = self.history.invocations.get(*index) else { continue };
            if !self.may_be_here(*index, group) {
                continue;
            }
            let command = Some(&invocation.command);
            let times = self.evidence.candidates(&self.machine, command, group.latest);
            possible.extend(times.into_iter().map(|at| Choice::Unknown(*index, at)));
        }
        let latest = group.latest;
        self.ranked(possible, latest)
    }

    /// How much later than it began a command is taken to have arrived: nothing at first, and something
    /// else in each search that starts again.
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
            if self.evidence.skips(self.machine.last_ordinal(), &after, &issued) {
                continue;
            }
            let speaker = invocation.and_then(|one| S::speaker(&one.command));
            let support = self.evidence.support(speaker, &step, &after, latest);
            let time = if support == Support::Seen { at } else { Timestamp::ZERO };
            let began = invocation.map_or(0, |one| one.started) + self.disorder(index);
            let rank = (support.max(Support::Neutral), began, support, time, order);
            ranked.push((rank, (choice, issued)));
        }
        ranked.sort_unstable_by_key(|(rank, _)| core::cmp::Reverse(*rank));
        ranked.into_iter().map(|(_, way)| way).collect()
    }

    /// Does a choice; it fits if it wrote and, where its reply was seen, is answered by it.
    fn take(&mut self, choice: Choice) -> bool {
        let clock = self.machine.clock();
        let (index, host) = match choice {
            Choice::Writer(index, host) => (Some(index), host),
            Choice::Unknown(index, at) => (Some(index), clock.host_at(at)),
            Choice::Alarm(at) => (None, clock.host_at(at)),
        };
        let invocation = index.and_then(|index| self.history.invocations.get(index));
        let event = invocation.map_or(Event::Alarm, |one| Event::Command(one.command.clone()));
        let hidden = !matches!(choice, Choice::Writer(..));
        let now = self.machine.clock().observe(host).map(|seen| seen.now);
        let step = self.machine.handle(host, &event);
        let seen = invocation.and_then(Invocation::reply);
        let fits = step.wrote && (hidden || step.reply.as_ref() == seen);
        if !fits {
            if step.wrote {
                self.rebuild();
            }
            if let Choice::Writer(index, _) = choice {
                self.refused(index, step.reply);
            }
            return false;
        }
        let commit_now = seen.map(|reply| reply.commit.now);
        let now = commit_now.or_else(|| now.ok()).unwrap_or(self.machine.clock().floor);
        self.record(index, host, now, hidden, step.pushes);
        if hidden {
            self.mark(index, true);
        } else {
            self.writer = index;
        }
        true
    }

    fn mark(&mut self, index: Option<usize>, used: bool) {
        if let Some(slot) = index.and_then(|index| self.used.get_mut(index)) {
            *slot = used;
        }
    }

    fn record(
        &mut self,
        invocation: Option<usize>,
        host: HostTime,
        now: Timestamp,
        hidden: bool,
        pushes: Vec<S::Push>,
    ) {
        let sequence = self.machine.position().1;
        self.trail.push(Explained { invocation, now, sequence, hidden, pushes });
        self.hosts.push(host);
        if self.trail.len() % CHECKPOINT_EVERY == 0 {
            self.checkpoints.push((self.trail.len(), self.machine.clone()));
        }
    }

    /// Goes back to where the trail had this length.
    fn return_to(&mut self, group: usize, length: usize) {
        self.group = group;
        self.writer = None;
        if self.trail.len() == length {
            return;
        }
        for event in self.trail.split_off(length) {
            if event.hidden {
                self.mark(event.invocation, false);
            }
        }
        self.hosts.truncate(length);
        self.rebuild();
    }

    /// The state at the end of the trail, anew.
    fn rebuild(&mut self) {
        let length = self.trail.len();
        self.checkpoints.retain(|(at, _)| *at <= length);
        let (from, machine) = match self.checkpoints.last() {
            Some((at, machine)) => (*at, machine.clone()),
            None => (0, S::default()),
        };
        self.machine = machine;
        for (event, host) in self.trail.iter().zip(&self.hosts).skip(from) {
            let invocation = event.invocation.and_then(|index| self.history.invocations.get(index));
            let again = invocation.map_or(Event::Alarm, |one| Event::Command(one.command.clone()));
            self.machine.handle(*host, &again);
        }
    }

    fn refused(&mut self, index: usize, expected: Option<ReplyOf<S>>) {
        self.conflict = self.conflict_at(index, expected.as_ref());
        if self.is_further() {
            let trail = &self.trail;
            self.note(Contradiction::unexplained(self.history, trail, index, expected.as_ref()));
        }
    }

    fn no_way(&mut self) {
        let first = self.sorted.groups.get(self.group).and_then(|group| group.members.first());
        if let Some(index) = first.copied() {
            self.refused(index, None);
        }
    }

    fn is_further(&self) -> bool {
        let here = (self.group, self.trail.len());
        self.furthest.as_ref().is_none_or(|(group, trail, _)| (*group, *trail) < here)
    }

    fn note(&mut self, contradiction: Contradiction) {
        if self.is_further() {
            self.furthest = Some((self.group, self.trail.len(), contradiction));
        }
    }

    /// A push that was received and never sent, or was sent and must have been received.
    fn unexplained_push(&self) -> Option<Contradiction> {
        let mut sent: Vec<&S::Push> = self.trail.iter().flat_map(|event| &event.pushes).collect();
        for push in &self.history.received {
            match sent.iter().position(|one| *one == push) {
                Some(at) => {
                    sent.remove(at);
                }
                None => {
                    let why = "this was received, and nothing sent it";
                    return Some(Contradiction::pushes(self.history, &self.trail, why, push));
                }
            }
        }
        let until = self.history.complete_until;
        let heard = |push: &&S::Push| self.history.listening.contains(S::addressee(push));
        let due = self.trail.iter().filter(|event| event.sequence <= until);
        let due: Vec<&S::Push> = due.flat_map(|event| &event.pushes).filter(heard).collect();
        let mut received: Vec<&S::Push> = self.history.received.iter().collect();
        for push in due {
            match received.iter().position(|one| *one == push) {
                Some(at) => {
                    received.remove(at);
                }
                None => {
                    let why = "this was sent, and nobody received it";
                    return Some(Contradiction::pushes(self.history, &self.trail, why, push));
                }
            }
        }
        None
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

/// Host times that read as the reply's object time: by the clock, or by the anchor of a token it
/// shows, where the host was behind the floor.
fn hosts_of<S: Subject>(machine: &S, reply: &Reply<S::Outcome, S::Rejection>) -> Vec<HostTime> {
    let clock = machine.clock();
    let now = reply.commit.now;
    let mut hosts = alloc::vec![clock.host_at(now)];
    for ordinal in S::ordinals_in_answer(&reply.answer) {
        let host = HostTime(ordinal.anchor_ms());
        let reads = clock.observe(host).is_ok_and(|seen| seen.now == now && !seen.reanchored);
        if reads && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    // What begins a generation may itself have moved object time ahead of the host's.
    let began = HostTime(reply.commit.generation);
    if machine.position().0 != reply.commit.generation && !hosts.contains(&began) {
        hosts.push(began);
    }
    hosts
}
