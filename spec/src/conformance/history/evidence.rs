//! When something may have happened that nobody saw.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::{History, Invocation};
use crate::conformance::subject::{Shown, Subject};
use crate::time::Timestamp;

/// Instants that answers and pushes give away.
#[derive(Clone, Debug, Default)]
struct Instants {
    /// Of events: anchors of ordinals, beginnings of generations.
    events: BTreeSet<u64>,
    /// Instants plus a duration that was asked for, and those at which that can matter.
    deadlines: BTreeSet<u64>,
}

impl Instants {
    fn add<P>(&mut self, shown: &Shown<P>) {
        self.events.extend(shown.ordinal.map(|ordinal| ordinal.anchor_ms()));
        self.deadlines.extend(shown.deadline.map(Timestamp::ms));
    }
}

/// What all answers and pushes of a history give away about instants.
#[derive(Clone, Debug)]
pub(super) struct Evidence<S: Subject> {
    all: Instants,
    /// Of the events of each party alone.
    of: BTreeMap<S::Party, Instants>,
}

impl<S: Subject> Evidence<S> {
    pub fn of(history: &History<S>) -> Self {
        let mut evidence = Self { all: Instants::default(), of: BTreeMap::new() };
        for invocation in &history.invocations {
            // A client that names a token has been told of it, by whatever nobody saw.
            S::with_ordinals(&invocation.command, &mut |ordinal| {
                evidence.all.events.insert(ordinal.anchor_ms());
                ordinal
            });
            let Some(reply) = invocation.reply() else { continue };
            evidence.all.events.insert(reply.commit.generation);
            // A deadline that nobody was shown matters by which replies came after it.
            evidence.all.deadlines.insert(reply.commit.now.ms());
            for shown in S::shown_in_answer(&reply.answer) {
                evidence.add(&shown, S::speaker(&invocation.command));
            }
        }
        for push in &history.received {
            for shown in S::shown_in_push(push) {
                evidence.add(&shown, None);
            }
        }
        // What ended unseen may have been noticed by what happened unseen.
        let Instants { events, deadlines } = &mut evidence.all;
        deadlines.extend(events.iter().copied());
        evidence
    }

    fn add(&mut self, shown: &Shown<S::Party>, asker: Option<&S::Party>) {
        self.all.add(shown);
        if let Some(party) = shown.party.as_ref().or(asker) {
            self.of.entry(party.clone()).or_default().add(shown);
        }
    }

    /// Object times, the likely first, at which a hidden event on `state` may have happened, not after
    /// `latest`: those that somebody was shown of an event of its party, the earliest possible, then
    /// all others.
    ///
    /// Between two of them its effect differs in nothing that anybody saw: what time changes by itself
    /// changes at a turning point, and what an event derives from its own time is in the evidence if
    /// it was ever shown.
    pub fn candidates(
        &self,
        state: &S,
        hidden: Option<&S::Command>,
        latest: Timestamp,
    ) -> Vec<Timestamp> {
        let floor = state.clock().floor.ms();
        let latest = latest.ms();
        if floor > latest {
            return Vec::new();
        }
        let range = floor..=latest;
        let durations = state.durations(hidden);
        let given_away = |instants: &Instants| -> Vec<u64> {
            let mut found: Vec<u64> = instants.events.range(range.clone()).copied().collect();
            for duration in &durations {
                let later = floor.saturating_add(*duration)..=latest.saturating_add(*duration);
                let deadlines = instants.deadlines.range(later);
                found.extend(deadlines.map(|at| at.saturating_sub(*duration)));
            }
            found
        };
        let affected = state.affected(hidden);
        let of = affected.iter().filter_map(|party| self.of.get(party));
        let mut found: Vec<u64> = of.flat_map(given_away).collect();
        if hidden.is_some() {
            found.push(floor);
        }
        found.extend(given_away(&self.all));
        let turning = state.turning_points();
        found.extend(turning.iter().map(|at| at.ms()).filter(|at| range.contains(at)));
        found.extend([latest, floor]);
        let mut seen = BTreeSet::new();
        found.retain(|at| seen.insert(*at));
        found.into_iter().filter_map(Timestamp::from_ms).collect()
    }
}

impl<S: Subject> Invocation<S> {
    /// Whether both ask the same.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        self.client == other.client && self.command == other.command
    }
}
