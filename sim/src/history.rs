//! What was seen of one simulation, from outside: the judge's only evidence.

mod entry;
mod mail;
mod wait;

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::{AgentId, Holder, LeasePath, Ordinal, PathSet};

use crate::clock::{SkewedClock, TrueTime};
use crate::marks::{Mark, Marks};

pub use entry::{
    Entry, Happened, MailEntry, MailEvent, ObjectEntry, ObjectEvent, Wrote, events, lose_after,
    restore_points,
};
pub use mail::{HandlerOutcome, Handling, Sending, SendingEnd};
pub use wait::Wait;

/// A stretch of true time in which a client would have said that it holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeliefSpan {
    /// Agent that believes.
    pub holder: Holder,
    /// The lease.
    pub token: Ordinal,
    /// What it covers.
    pub paths: PathSet,
    /// The first instant.
    pub from: TrueTime,
    /// The first instant at which it no longer believes.
    pub until: TrueTime,
}

/// A write of a holder that has arrived at the resource behind a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Time at which it arrived.
    pub at: TrueTime,
    /// Holder of it.
    pub holder: Holder,
    /// Addressee of it.
    pub path: LeasePath,
    /// The token it showed.
    pub token: Ordinal,
    /// True if the resource took it: it refuses tokens smaller than the largest it has seen.
    pub accepted: bool,
}

/// A claim of the healing phase that has to succeed, or one that waited when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Holder that asks.
    pub holder: Holder,
    /// For what.
    pub paths: PathSet,
    /// Since when, truly.
    pub asked: TrueTime,
    /// Time at which the client knew that it holds the set.
    pub learned: Option<TrueTime>,
    /// Time at which the client stopped asking, if it did so without holding the set.
    pub gave_up: Option<TrueTime>,
    /// What the largest TTL asked for so far is, in ms.
    pub largest_ttl_ms: u64,
}

/// What storage holds at the very end, when everything must be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residue {
    /// Rows of the lease object.
    pub rows: u64,
    /// Messages of the mailbox object.
    pub logged: u64,
    /// True if alarms rang at all at the end.
    pub alarms_rang: bool,
}

/// Everything seen of one simulation.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The lease object's own order of what it did.
    pub object: Vec<ObjectEntry>,
    /// The mailbox object's own order of what it did.
    pub mail: Vec<MailEntry>,
    /// What handlers of clients did, in no order.
    pub handlings: Vec<Handling>,
    /// What clients sent, and what they were told of it.
    pub sendings: Vec<Sending>,
    /// What clients believed, in no order.
    pub beliefs: Vec<BeliefSpan>,
    /// What arrived at resources.
    pub writes: Vec<Write>,
    /// Claims that the healing has to let through.
    pub claims: Vec<Claim>,
    /// What storage held at the end.
    pub residue: Option<Residue>,
    /// Time at which faults stopped.
    pub healed: TrueTime,
    /// Time at which everybody had had what the healing has to let through, or the time for it was over.
    pub healing_ended: TrueTime,
    /// Time at which the simulation ended.
    pub ended: TrueTime,
    /// Agents whose mail has to come through: they want to be connected when the world has healed.
    pub listening: BTreeSet<AgentId>,
    /// True if alarms ring after the healing.
    pub alarms_ring: bool,
    /// The wall clock of the object's host.
    pub object_clock: SkewedClock,
    /// Its monotonic clock.
    pub object_monotonic: SkewedClock,
    /// What the lease object waited for after each event.
    pub lease_waits: Vec<Wait>,
    /// The same of the mailbox object.
    pub mail_waits: Vec<Wait>,
    /// Times at which alarms could be late or lost through something else than clocks.
    pub alarm_troubles: Vec<(TrueTime, TrueTime)>,
    /// Operations begun.
    pub operations: u64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Marks reached.
    pub marks: Marks,
    /// One line for everything else that is worth telling: faults, crashes, outcomes.
    pub notes: Vec<(TrueTime, String)>,
}

impl History {
    /// The lease object's events.
    pub fn events(&self) -> impl Iterator<Item = &ObjectEvent> {
        events(&self.object)
    }

    /// The mailbox object's events.
    pub fn mail_events(&self) -> impl Iterator<Item = &MailEvent> {
        events(&self.mail)
    }

    /// Number of events, of both objects.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.events().count() + self.mail_events().count()
    }

    /// Lets each resource take or refuse the writes that arrived at it, in the order of true time: it
    /// refuses a token smaller than the largest it has seen.
    pub fn decide_writes(&mut self) {
        self.writes.sort_by_key(|write| write.at);
        let mut largest: BTreeMap<LeasePath, Ordinal> = BTreeMap::new();
        for write in &mut self.writes {
            let seen = largest.entry(write.path.clone()).or_default();
            write.accepted = *seen <= write.token;
            *seen = write.token.max(*seen);
            if !write.accepted {
                self.marks.reach(Mark::FencedOff);
            }
        }
    }

    /// Notes that a mark was reached.
    pub fn reach(&mut self, mark: Mark) {
        self.marks.reach(mark);
    }

    /// Notes a line.
    pub fn note(&mut self, at: TrueTime, line: String) {
        self.notes.push((at, line));
    }
}
