//! Timeline of a lease: what the object would have said of it at any true instant, computed from
//! its clock and from what it had told until then.

use std::collections::BTreeMap;

use mailbus_spec::time::Clock;
use mailbus_spec::{Holder, HostTime, Ordinal, Timestamp};

use crate::clock::{SkewedClock, TrueTime, host_time};
use crate::judge::history::{BeliefSpan, History};
use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::lease::{Change, EndOfLease, LeaseObserver, Moment};

/// Standing of a lease from an event on, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lives, until this instant by the object's clock.
    Live(Timestamp),
    /// An admin ended it; until its former expiry nothing is promised.
    Forced(Timestamp),
    /// It is over.
    Over,
}

/// The object's leases over true time.
#[derive(Debug)]
pub struct Timeline {
    wall: SkewedClock,
    monotonic: SkewedClock,
    /// The object's clock after each event, and what time the event was told.
    clocks: Vec<(TrueTime, Clock, HostTime)>,
    leases: BTreeMap<Ordinal, (Holder, Vec<(TrueTime, Standing)>)>,
    restores: Vec<TrueTime>,
}

impl Timeline {
    pub(super) fn new(history: &History) -> Self {
        Self {
            wall: history.object_clock.clone(),
            monotonic: history.object_monotonic.clone(),
            clocks: Vec::new(),
            leases: BTreeMap::new(),
            restores: Vec::new(),
        }
    }

    /// Object time of an event that would have happened at `at`.
    #[must_use]
    pub fn object_time(&self, at: TrueTime) -> Timestamp {
        let wall = host_time(&self.wall, at);
        let upto = self.clocks.partition_point(|(from, ..)| *from <= at);
        let (clock, host) = match upto.checked_sub(1).map(|last| self.clocks[last]) {
            None => (Clock::default(), wall),
            // As its host does, at least: time goes on from the last event by the monotonic clock.
            Some((from, clock, told)) => {
                let passed_us = self.monotonic.shows(at) - self.monotonic.shows(from);
                (clock, wall.max(HostTime(told.0.saturating_add_signed(passed_us / 1_000))))
            }
        };
        clock.observe(host).map_or(clock.floor, |seen| seen.now)
    }

    /// Holder of the lease, and how it stood at `at`.
    #[must_use]
    pub fn standing(&self, token: Ordinal, at: TrueTime) -> Option<(&Holder, Standing)> {
        let (holder, standings) = self.leases.get(&token)?;
        let upto = standings.partition_point(|(from, _)| *from <= at);
        let standing = standings.get(upto.checked_sub(1)?)?.1.clone();
        let now = self.object_time(at);
        Some((
            holder,
            match standing {
                Standing::Live(until) | Standing::Forced(until) if until <= now => Standing::Over,
                standing => standing,
            },
        ))
    }

    /// True if a force-release exempts a belief in this lease at `at`.
    #[must_use]
    pub fn is_exempt(&self, token: Ordinal, at: TrueTime) -> bool {
        matches!(self.standing(token, at), Some((_, Standing::Forced(_))))
    }

    /// Time until which anything is promised about a lease: a restore after its grant voids it.
    #[must_use]
    pub fn promised_until(&self, token: Ordinal) -> Option<TrueTime> {
        let granted = self.leases.get(&token).and_then(|(_, standings)| standings.first())?.0;
        self.restores.iter().copied().find(|restore| *restore >= granted)
    }

    /// The instants of a span at which its claim could first be false: its ends, and whatever the
    /// object or its clock did in between.
    #[must_use]
    pub fn instants(&self, span: &BeliefSpan) -> Vec<TrueTime> {
        let until = self.promised_until(span.token).map_or(span.until, |end| end.min(span.until));
        if until <= span.from {
            return Vec::new();
        }
        let from = self.clocks.partition_point(|(at, ..)| *at <= span.from);
        let events = self.clocks[from..].iter().map(|(at, ..)| *at).take_while(|at| *at < until);
        let mut instants: Vec<TrueTime> = events.collect();
        instants.extend(self.wall.breakpoints().filter(|at| span.from < *at && *at < until));
        instants.push(span.from);
        instants.push(TrueTime(until.0 - 1));
        instants.sort();
        instants.dedup();
        instants
    }

    fn stands(&mut self, token: Ordinal, at: TrueTime, standing: Standing) {
        if let Some((_, standings)) = self.leases.get_mut(&token) {
            standings.push((at, standing));
        }
    }
}

impl Timeline {
    fn after(&mut self, moment: &Moment<'_>) {
        let at = moment.event.at;
        self.clocks.push((at, moment.observer.clock, moment.event.host));
        for change in moment.shown {
            match change {
                Change::Granted { lease, .. } => {
                    let entry = (lease.holder.clone(), Vec::new());
                    self.leases.entry(lease.token).or_insert(entry);
                    self.stands(lease.token, at, Standing::Live(lease.expires_at));
                }
                Change::Extended { token, to, .. } => self.stands(*token, at, Standing::Live(*to)),
                Change::Ended { lease, how: EndOfLease::Forced } => {
                    self.stands(lease.token, at, Standing::Forced(lease.expires_at));
                }
                // A lapse is found by comparing, as the object does.
                Change::Ended { how: EndOfLease::Lapsed | EndOfLease::Drained, .. } => {}
                Change::Ended { lease, .. } => self.stands(lease.token, at, Standing::Over),
                _ => {}
            }
        }
    }

    fn restored(&mut self, at: TrueTime, after: &LeaseObserver) {
        self.clocks.push((at, after.clock, host_time(&self.wall, at)));
        self.restores.push(at);
    }
}

/// Invariant of what clients believed, looked at when the object's leases are known.
pub(in crate::judge) struct OfBeliefs {
    timeline: Timeline,
    check: fn(&History, &Timeline, &mut Tally),
}

impl OfBeliefs {
    pub fn new(history: &History, check: fn(&History, &Timeline, &mut Tally)) -> Self {
        Self { timeline: Timeline::new(history), check }
    }
}

impl Invariant<LeaseObserver> for OfBeliefs {
    fn after(&mut self, moment: &Moment<'_>, _tally: &mut Tally) {
        self.timeline.after(moment);
    }

    fn restored(&mut self, at: TrueTime, _before: &LeaseObserver, after: &LeaseObserver) {
        self.timeline.restored(at, after);
    }

    fn finish(&mut self, history: &History, _observer: &LeaseObserver, tally: &mut Tally) {
        (self.check)(history, &self.timeline, tally);
    }
}
