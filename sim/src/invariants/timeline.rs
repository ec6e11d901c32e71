//! What the object would have said of a lease at any true instant: computed from its clock and from
//! what it had told until then.

use std::collections::BTreeMap;

use mailbus_spec::time::Clock;
use mailbus_spec::{Holder, Ordinal, Timestamp};

use crate::clock::{SkewedClock, TrueTime, host_time};
use crate::history::{BeliefSpan, History, ObjectEvent};
use crate::ledger::{Change, EndOfLease, Ledger, Moment, Reader};

/// What is known of a lease from an event on.
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
    host: SkewedClock,
    clocks: Vec<(TrueTime, Clock)>,
    leases: BTreeMap<Ordinal, (Holder, Vec<(TrueTime, Standing)>)>,
    restores: Vec<TrueTime>,
}

impl Timeline {
    pub(super) fn new(history: &History) -> Self {
        Self {
            host: history.object_clock.clone(),
            clocks: vec![(TrueTime(0), Clock::default())],
            leases: BTreeMap::new(),
            restores: Vec::new(),
        }
    }

    /// Object time of an event that would have happened at `at`.
    #[must_use]
    pub fn object_time(&self, at: TrueTime) -> Timestamp {
        let upto = self.clocks.partition_point(|(from, _)| *from <= at);
        let clock = upto.checked_sub(1).map_or_else(Clock::default, |last| self.clocks[last].1);
        clock.observe(host_time(&self.host, at)).map_or(clock.floor, |seen| seen.now)
    }

    /// Whose lease it was, and how it stood at `at`.
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

    /// Whether a force-release exempts a belief in this lease at `at`.
    #[must_use]
    pub fn is_exempt(&self, token: Ordinal, at: TrueTime) -> bool {
        matches!(self.standing(token, at), Some((_, Standing::Forced(_))))
    }

    /// Until when anything is promised about a lease: a restore after its grant voids it.
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
        let from = self.clocks.partition_point(|(at, _)| *at <= span.from);
        let events = self.clocks[from..].iter().map(|(at, _)| *at).take_while(|at| *at < until);
        let mut instants: Vec<TrueTime> = events.collect();
        instants.extend(self.host.breakpoints().filter(|at| span.from < *at && *at < until));
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

impl Reader for Timeline {
    fn before(&mut self, _event: &ObjectEvent, _now: Timestamp, _ledger: &Ledger) {}

    fn after(&mut self, moment: &Moment<'_>) {
        let at = moment.event.at;
        self.clocks.push((at, moment.ledger.clock));
        for change in moment.changes {
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

    fn restored(&mut self, at: TrueTime, ledger: &Ledger) {
        self.clocks.push((at, ledger.clock));
        self.restores.push(at);
    }
}
