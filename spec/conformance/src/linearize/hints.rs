//! Hints at when something may have happened that nobody saw.

use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

use super::{History, Invocation};
use crate::subject::{ReplyOf, Shown, StepOf, Subject};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::{HostTime, Timestamp};

/// Instants that answers and pushes give away.
#[derive(Clone, Debug, Default)]
struct Instants {
    /// Of events: anchors of ordinals, beginnings of generations.
    events: BTreeSet<u64>,
    /// Instants plus a duration that was asked for, and those at which that can matter.
    deadlines: BTreeSet<u64>,
    ordinals: BTreeSet<Ordinal>,
}

impl Instants {
    fn add<P>(&mut self, shown: &Shown<P>) {
        self.ordinals.extend(shown.ordinal);
        self.events.extend(shown.ordinal.map(|ordinal| ordinal.anchor_ms()));
        self.deadlines.extend(shown.deadline.map(Timestamp::ms));
    }
}

/// Degree to which what a hidden event would do agrees with what was seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Support {
    /// It would issue ordinals, and those were seen with their peers.
    Seen,
    /// It would issue none.
    Neutral,
    /// It would issue an ordinal that nobody ever saw.
    Unseen,
    /// It would issue an ordinal to somebody who was seen with another, or come too late for one; or it would
    /// write a commit that was seen to be somebody else's.
    Misplaced,
}

/// Hints that all answers and pushes of a history give about instants.
#[derive(Clone, Debug)]
pub(super) struct Hints<S: Subject> {
    all: Instants,
    /// Of the events of each peer alone.
    of: BTreeMap<S::Peer, Instants>,
    /// Peers whose events made a commit, by its generation and sequence.
    authors: BTreeMap<(u64, u64), S::Peer>,
}

impl<S: Subject> Hints<S> {
    pub fn of(history: &History<S>) -> Self {
        let mut hints =
            Self { all: Instants::default(), of: BTreeMap::new(), authors: BTreeMap::new() };
        for invocation in &history.invocations {
            // A client that names a token has been told of it, by whatever nobody saw.
            S::with_ordinals(&invocation.command, &mut |ordinal| {
                hints.all.events.insert(ordinal.anchor_ms());
                ordinal
            });
            let Some(reply) = invocation.reply() else { continue };
            hints.all.events.insert(reply.commit.generation);
            // A deadline that nobody was shown matters by which replies came after it.
            hints.all.deadlines.insert(reply.commit.now.ms());
            for shown in S::shown_in_answer(&reply.answer) {
                hints.add(&shown, S::speaker(&invocation.command));
                if let (Some(sequence), Some(peer)) = (shown.sequence, shown.peer) {
                    hints.authors.insert((reply.commit.generation, sequence), peer);
                }
            }
        }
        for push in &history.received {
            for shown in S::shown_in_push(push) {
                hints.add(&shown, None);
            }
        }
        // What ended unseen may have been noticed by what happened unseen.
        let Instants { events, deadlines, .. } = &mut hints.all;
        deadlines.extend(events.iter().copied());
        hints
    }

    fn add(&mut self, shown: &Shown<S::Peer>, asker: Option<&S::Peer>) {
        self.all.add(shown);
        if let Some(peer) = shown.peer.as_ref().or(asker) {
            self.of.entry(peer.clone()).or_default().add(shown);
        }
    }

    /// True if a step from `last` would go past an ordinal that somebody was shown without issuing it:
    /// nothing could issue it later.
    pub fn skips(&self, last: Ordinal, after: &S, issued: &[Ordinal]) -> bool {
        let passed = (Bound::Excluded(last), Bound::Included(after.last_ordinal().max(last)));
        self.all.ordinals.range(passed).any(|shown| !issued.contains(shown))
    }

    /// True if it is later than an ordinal that is still to come, which only a clock that steps back
    /// explains.
    fn is_late(&self, after: &S) -> bool {
        let to_come = (Bound::Excluded(after.last_ordinal()), Bound::Unbounded);
        let next = self.all.ordinals.range(to_come).next();
        let host = after.clock().host_at(after.clock().floor);
        next.is_some_and(|next| next.anchor_ms() < host.0)
    }

    /// Degree to which what a hidden event would do agrees with what was seen of it.
    pub fn support(
        &self,
        speaker: Option<&S::Peer>,
        step: &StepOf<S>,
        after: &S,
        latest: Timestamp,
    ) -> Support {
        let answer = step.reply.iter().flat_map(|reply| S::shown_in_answer(&reply.answer));
        let pushes = step.pushes.iter().flat_map(S::shown_in_push);
        let mut support = Support::Neutral;
        let author = self.authors.get(&after.position());
        if self.is_late(after) || author.is_some_and(|author| Some(author) != speaker) {
            return Support::Misplaced;
        }
        let has_another = |instants: &Instants, ordinal: Ordinal| {
            let later = (Bound::Excluded(ordinal), Bound::Unbounded);
            instants
                .ordinals
                .range(later)
                .next()
                .is_some_and(|next| next.anchor_ms() <= latest.ms())
        };
        for shown in answer.chain(pushes) {
            let Some(ordinal) = shown.ordinal else { continue };
            let Some(peer) = shown.peer.as_ref().or(speaker) else { continue };
            let found = match self.of.get(peer) {
                Some(seen) if seen.ordinals.contains(&ordinal) => Support::Seen,
                Some(seen) if has_another(seen, ordinal) => return Support::Misplaced,
                _ => Support::Unseen,
            };
            support = match (support, found) {
                (Support::Unseen, _) => Support::Unseen,
                (_, found) => found,
            };
        }
        support
    }

    /// Object times, the likely first, at which a hidden event on `state` may have happened, not after
    /// `latest`.
    ///
    /// Likely are those that somebody was shown of an event of its peer, the earliest possible, and
    /// those at which time alone changes something. A `thorough` search takes also those that relate
    /// it to everything else that was seen: between two of all these its effect differs in nothing
    /// that anybody saw.
    pub fn candidates(
        &self,
        state: &S,
        hidden: Option<&S::Command>,
        latest: Timestamp,
        thorough: bool,
    ) -> Vec<Timestamp> {
        let (floor, latest) = (state.clock().floor.ms(), latest.ms());
        if floor > latest {
            return Vec::new();
        }
        let durations = state.durations(hidden);
        let given_away = |instants: &Instants| -> Vec<u64> {
            let mut found: Vec<u64> = instants.events.range(floor..=latest).copied().collect();
            for duration in &durations {
                let later = floor.saturating_add(*duration)..=latest.saturating_add(*duration);
                let deadlines = instants.deadlines.range(later);
                found.extend(deadlines.map(|at| at.saturating_sub(*duration)));
            }
            found
        };
        let affected = state.affected(hidden);
        let of = affected.iter().filter_map(|peer| self.of.get(peer));
        let mut found: Vec<u64> = of.flat_map(given_away).collect();
        let turning: Vec<u64> = state.turning_points().into_iter().map(Timestamp::ms).collect();
        // What is extended later than it was begun has to be extended by something.
        found.extend([floor, floor + 1]);
        found.extend(turning.iter().copied());
        if thorough {
            let extended = |at: &u64| -> Vec<u64> {
                durations.iter().map(|ms| at.saturating_sub(*ms) + 1).collect()
            };
            found.extend(turning.iter().flat_map(extended));
            found.extend(given_away(&self.all));
        }
        // The latest is when the first answer after it came; what was cut off with its server had been
        // executed before.
        found.retain(|at| (floor..latest).contains(at));
        found.push(latest);
        let mut seen = BTreeSet::new();
        found.retain(|at| seen.insert(*at));
        found.into_iter().filter_map(Timestamp::from_ms).collect()
    }
}

impl<S: Subject> Invocation<S> {
    /// True if both ask the same.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        self.client == other.client && self.command == other.command
    }
}

/// Host times that read as the reply's object time: by the clock, or by the anchor of a token it
/// shows, where the host was behind the floor.
pub(super) fn hosts_of<S: Subject>(machine: &S, reply: &ReplyOf<S>) -> Vec<HostTime> {
    let clock = machine.clock();
    let now = reply.commit.now;
    let mut hosts = vec![clock.host_at(now)];
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
