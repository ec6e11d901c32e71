//! The invariants, one file each, named as on the pages of [rules](mailbus_spec::rules).
//!
//! Each reads the history along with the observer of [leases](crate::judge::observer::lease) or of
//! [mailboxes](crate::judge::observer::mailbox), and says how often it looked and what it found first. None
//! asks a reference model, but for [`conforms`], which does nothing else.

pub mod accept_once;
pub mod active_is_addressed;
pub mod belief_exclusion;
pub mod belief_within_grant;
pub mod bounded_leases;
pub mod conforms;
pub mod fencing;
pub mod fifo;
pub mod guilty_dead;
pub mod honest_gap;
pub mod idempotent;
pub mod lease_liveness;
pub mod mail_liveness;
pub mod no_delivery_after_settle;
pub mod no_innocent_dead;
pub mod no_loss;
pub mod no_lost_place;
pub mod no_phantom;
pub mod no_stale_effect;
pub mod one_session;
pub mod order;
pub mod retention;
pub mod sender_told;
pub mod server_exclusion;
pub(super) mod timeline;
pub mod ttl_honoured;
mod waits;
pub mod window;

#[cfg(test)]
pub(crate) mod example;

use mailbus_spec::Timestamp;

use crate::clock::TrueTime;
use crate::judge::history::{Happened, History};
use crate::judge::observer::{Moment, Observer, Reader};

/// Number of times that an invariant looked, and what it found first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of times that it looked.
    pub checks: u64,
    /// The first thing that it found broken.
    pub broken: Option<(TrueTime, String)>,
}

impl Tally {
    /// Looks once.
    pub fn expect(&mut self, holds: bool, at: TrueTime, why: impl FnOnce() -> String) {
        self.checks += 1;
        if !holds && self.broken.is_none() {
            self.broken = Some((at, why()));
        }
    }
}

/// Invariant of one object's history: it looks along the way, and once more when all is read.
pub trait Invariant<O: Observer> {
    /// Looks at an event before the observer has taken it in: what time has ended by then is gone.
    fn before(
        &mut self,
        _event: &Happened<O::Service>,
        _now: Timestamp,
        _observer: &O,
        _tally: &mut Tally,
    ) {
    }

    /// Looks at an event after the observer has taken it in.
    fn after(&mut self, _moment: &Moment<'_, O>, _tally: &mut Tally) {}

    /// The object woke: the observer before.
    fn woken(&mut self, _at: TrueTime, _before: &O) {}

    /// The storage was restored: the observer before and after.
    fn restored(&mut self, _at: TrueTime, _before: &O, _after: &O) {}

    /// Looks at everything else that was seen, and at what the observer knows in the end.
    fn finish(&mut self, _history: &History, _observer: &O, _tally: &mut Tally) {}
}

/// Invariant that looks at a history as a whole.
pub(super) struct Finally(pub fn(&History, &mut Tally));

impl<O: Observer> Invariant<O> for Finally {
    fn finish(&mut self, history: &History, _observer: &O, tally: &mut Tally) {
        (self.0)(history, tally);
    }
}

/// Invariant that reads along, with what it has found so far.
pub(super) struct Check<O: Observer> {
    invariant: Box<dyn Invariant<O>>,
    tally: Tally,
}

impl<O: Observer> Check<O> {
    pub fn new(invariant: Box<dyn Invariant<O>>) -> Self {
        Self { invariant, tally: Tally::default() }
    }

    /// Findings, now that all is read.
    pub fn finish(mut self, history: &History, observer: &O) -> Tally {
        self.invariant.finish(history, observer, &mut self.tally);
        self.tally
    }
}

impl<O: Observer> Reader<O> for Check<O> {
    fn before(&mut self, event: &Happened<O::Service>, now: Timestamp, observer: &O) {
        self.invariant.before(event, now, observer, &mut self.tally);
    }

    fn after(&mut self, moment: &Moment<'_, O>) {
        self.invariant.after(moment, &mut self.tally);
    }

    fn woken(&mut self, at: TrueTime, before: &O, _after: &O) {
        self.invariant.woken(at, before);
    }

    fn restored(&mut self, at: TrueTime, before: &O, after: &O) {
        self.invariant.restored(at, before, after);
    }
}
