//! The replay, and the bounded search for hidden events.

use std::collections::BTreeSet;

use super::hints::{Hints, hosts_of};
use super::order::Sorted;
use super::report::Contradiction;
use super::ways::{Choice, Conflict, Fork};
use super::{Explained, Explanation, History, Invocation, pushes};
use crate::subject::{ReplyOf, Subject};
use mailbus_spec::machine::Event;
use mailbus_spec::time::{HostTime, Timestamp};

/// Events between two copies of the state. Going back replays at most this many.
const CHECKPOINT_EVERY: usize = 256;

/// A search that has gone wrong early in a gap seldom recovers: after so many choices the gap is begun
/// anew, with another idea of which command came first.
const TRIES_IN_A_GAP: u64 = 20_000;

/// The replay, and where it can be taken up again.
pub(super) struct Search<'a, S: Subject> {
    pub(super) history: &'a History<S>,
    pub(super) sorted: Sorted,
    pub(super) hints: Hints<S>,
    pub(super) machine: S,
    pub(super) group: usize,
    /// The reply that wrote the present group's sequence: it is not a read.
    writer: Option<usize>,
    pub(super) trail: Vec<Explained<S>>,
    hosts: Vec<HostTime>,
    pub(super) checkpoints: Vec<(usize, S)>,
    pub(super) used: Vec<bool>,
    pub(super) forks: Vec<Fork>,
    /// Places from which nothing leads to the end.
    pub(super) dead: BTreeSet<u64>,
    remembers_dead: bool,
    /// The last dead end.
    pub(super) conflict: Option<Conflict<S::Peer>>,
    /// Events moved forward because of one: by trail, event and time.
    pub(super) promoted: BTreeSet<(usize, Option<usize>, Timestamp)>,
    /// True if hidden events are looked for at unlikely instants, too.
    pub(super) thorough: bool,
    /// Number of times that a gap was begun anew.
    pub(super) attempt: u64,
    /// Number of choices that had been tried by then.
    pub(super) tried_before: u64,
    pub(super) tried: u64,
    tries: u64,
    furthest: Option<(usize, usize, Contradiction)>,
}

impl<'a, S: Subject> Search<'a, S> {
    pub fn new(history: &'a History<S>, sorted: Sorted, tries: u64, thorough: bool) -> Self {
        Self {
            history,
            hints: Hints::of(history),
            sorted,
            machine: S::default(),
            group: 0,
            writer: None,
            trail: Vec::new(),
            hosts: Vec::new(),
            checkpoints: vec![(0, S::default())],
            used: vec![false; history.invocations.len()],
            forks: Vec::new(),
            dead: BTreeSet::new(),
            remembers_dead: true,
            conflict: None,
            promoted: BTreeSet::new(),
            thorough,
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
                match pushes::unexplained(self.history, &self.trail) {
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
        let exhaustive = self.tried == 0 || (self.thorough && self.tried < self.tries);
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

    pub(super) fn sequence(&self) -> u64 {
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
        if self.trail.len().is_multiple_of(CHECKPOINT_EVERY) {
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

    pub(super) fn no_way(&mut self) {
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
}
