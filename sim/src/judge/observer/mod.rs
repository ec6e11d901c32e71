//! Observers: what somebody who only hears an object knows of it, event by event.
//!
//! | module | what it holds |
//! |---|---|
//! | [`lease`] | leases and tickets, by the lease object's own words |
//! | [`mailbox`] | messages, agents and deliveries, by the mailbox object's own words |

pub mod lease;
pub mod mailbox;

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::mailbox::Connection;
use mailbus_spec::{Clock, Timestamp};

use crate::clock::TrueTime;
use crate::judge::history::{Entry, Happened, History, Record, Recorded};

/// Somebody who only hears an object, and knows nothing yet of one that was never used.
pub trait Observer: Clone + Default {
    /// Service of the object.
    type Service: Recorded;
    /// One thing that an event shows.
    type Shown;

    /// The object's clock, as its answers move it.
    fn clock(&self) -> &Clock;

    /// The same, to be moved.
    fn clock_mut(&mut self) -> &mut Clock;

    /// Time has passed, by the object's clock, when an event begins.
    fn pass_to(&mut self, _now: Timestamp, _shown: &mut Vec<Self::Shown>) {}

    /// Takes an event in, and says what it shows.
    fn take_in(
        &mut self,
        event: &Happened<Self::Service>,
        now: Timestamp,
        shown: &mut Vec<Self::Shown>,
    );

    /// The sockets of all other sessions are gone.
    fn keep_sessions(&mut self, _open: &[Connection]) {}

    /// Object time of an event: what its reply says, else what the clock makes of the host's.
    fn object_time(&self, event: &Happened<Self::Service>) -> Timestamp {
        let told = event.step.reply.as_ref().map(|reply| reply.commit.now);
        let seen = self.clock().observe(event.host).ok();
        told.or(seen.map(|seen| seen.now)).unwrap_or(self.clock().floor)
    }

    /// Moves the clock as an event at `now` did.
    fn advance(&mut self, event: &Happened<Self::Service>, now: Timestamp) {
        if event.step.wrote
            && let Ok(seen) = self.clock().observe(event.host)
        {
            let clock = self.clock().advanced_to(&seen);
            *self.clock_mut() = Clock { floor: clock.floor.max(now), ..clock };
        }
    }
}

/// One event, when it has been read.
#[derive(Debug)]
pub struct Moment<'a, O: Observer> {
    /// The event.
    pub event: &'a Happened<O::Service>,
    /// Object time.
    pub now: Timestamp,
    /// The observer after it.
    pub observer: &'a O,
    /// Facts or changes that it shows, in order.
    pub shown: &'a [O::Shown],
}

/// Somebody who reads a history along with an observer.
pub trait Reader<O: Observer> {
    /// Looks at an event before the observer has taken it in: what time has ended by then is gone.
    fn before(&mut self, _event: &Happened<O::Service>, _now: Timestamp, _observer: &O) {}

    /// Looks at an event after the observer has taken it in.
    fn after(&mut self, _moment: &Moment<'_, O>) {}

    /// The object woke: the observer before and after.
    fn woken(&mut self, _at: TrueTime, _before: &O, _after: &O) {}

    /// The storage was restored: the observer before and after.
    fn restored(&mut self, _at: TrueTime, _before: &O, _after: &O) {}
}

/// A reading under way. After a restore the observer goes on from where the storage went back to.
#[derive(Clone, Debug)]
pub struct Walker<O> {
    /// The observer after what was read.
    pub observer: O,
    points: BTreeSet<usize>,
    bookmarks: BTreeMap<usize, O>,
    length: usize,
}

impl<O: Observer> Walker<O> {
    /// At the beginning of a record, which may grow but for what its restores go back to.
    #[must_use]
    pub fn new(record: &Record<O::Service>) -> Self {
        let bookmarks = BTreeMap::from([(0, O::default())]);
        let points = record.restore_points();
        Self { observer: O::default(), points, bookmarks, length: 0 }
    }

    /// Reads whatever has not been read yet.
    pub fn read(&mut self, record: &Record<O::Service>, readers: &mut [&mut dyn Reader<O>]) {
        for entry in record.entries.iter().skip(self.length) {
            self.length += 1;
            self.read_entry(entry, readers);
            if self.points.contains(&self.length) {
                self.bookmarks.insert(self.length, self.observer.clone());
            }
        }
    }

    fn read_entry(&mut self, entry: &Entry<O::Service>, readers: &mut [&mut dyn Reader<O>]) {
        match entry {
            Entry::Event(event) => {
                let mut shown = Vec::new();
                let now = self.observer.object_time(event);
                self.observer.pass_to(now, &mut shown);
                for reader in readers.iter_mut() {
                    reader.before(event, now, &self.observer);
                }
                self.observer.take_in(event, now, &mut shown);
                self.observer.advance(event, now);
                let moment = Moment { event, now, observer: &self.observer, shown: &shown };
                for reader in readers.iter_mut() {
                    reader.after(&moment);
                }
            }
            Entry::Woken { at, sessions } => {
                let before = self.observer.clone();
                self.observer.keep_sessions(sessions);
                for reader in readers.iter_mut() {
                    reader.woken(*at, &before, &self.observer);
                }
            }
            Entry::Restored { at, back_to } => {
                let restored = self.bookmarks.get(back_to).cloned().unwrap_or_default();
                let before = std::mem::replace(&mut self.observer, restored);
                for reader in readers.iter_mut() {
                    reader.restored(*at, &before, &self.observer);
                }
            }
        }
    }
}

/// Reads a whole history, and gives what the observer then knows.
pub fn walk<O: Observer>(history: &History, readers: &mut [&mut dyn Reader<O>]) -> O {
    let record = O::Service::record(history);
    let mut walker = Walker::new(record);
    walker.read(record, readers);
    walker.observer
}
