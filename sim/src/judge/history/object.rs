//! Deeds of an object, in its own order, and its waits in between.

use std::collections::BTreeSet;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::Connection;
use mailbus_spec::service::StepOf;
use mailbus_spec::{HostTime, Service};

use crate::clock::TrueTime;

/// One event that an object committed or answered, in the object's own order.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened<S: Service> {
    /// True time of it.
    pub at: TrueTime,
    /// Time by the host's clock.
    pub host: HostTime,
    /// The event.
    pub event: Event<S::Command>,
    /// Effects of the event.
    pub step: StepOf<S>,
}

/// An entry of an object's history.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<S: Service> {
    /// An event.
    Event(Happened<S>),
    /// The object woke for the next event, and these sessions have an open socket. A lease object has
    /// none.
    Woken {
        /// Time.
        at: TrueTime,
        /// The sessions.
        sessions: Vec<Connection>,
    },
    /// The storage went back to what it was after the first `back_to` entries of the history. A new
    /// life begins, in which only fencing is promised for what was granted before.
    Restored {
        /// Time.
        at: TrueTime,
        /// Number of entries, restores among them, after which the storage was as it is now.
        back_to: usize,
    },
}

/// Wait of an object after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Time at which the event was.
    pub at: TrueTime,
    /// Time that it was told.
    pub told: HostTime,
    /// True if it wrote anything.
    pub wrote: bool,
    /// The alarm that is set after it.
    pub alarm: Option<HostTime>,
}

impl<S: Service> Entry<S> {
    /// The event of an entry that is one.
    #[must_use]
    pub fn as_event(&self) -> Option<&Happened<S>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Woken { .. } | Self::Restored { .. } => None,
        }
    }
}

/// Everything seen of one object.
#[derive(Clone, Debug)]
pub struct Record<S: Service> {
    /// The object's own order of what it did.
    pub entries: Vec<Entry<S>>,
    /// Waits of the object after each event.
    pub waits: Vec<Wait>,
}

impl<S: Service> Default for Record<S> {
    fn default() -> Self {
        Self { entries: Vec::new(), waits: Vec::new() }
    }
}

impl<S: Service> Record<S> {
    /// The events among its entries.
    pub fn events(&self) -> impl Iterator<Item = &Happened<S>> {
        self.entries.iter().filter_map(Entry::as_event)
    }

    /// The lengths that a restore will go back to.
    #[must_use]
    pub fn restore_points(&self) -> BTreeSet<usize> {
        let points = self.entries.iter().filter_map(|entry| match entry {
            Entry::Restored { back_to, .. } => Some(*back_to),
            Entry::Event(_) | Entry::Woken { .. } => None,
        });
        points.collect()
    }

    /// Forgets what was committed after the first `kept` events and lost before anybody saw it.
    pub fn lose_after(&mut self, kept: usize) {
        let mut seen = 0;
        self.entries.retain(|entry| match entry {
            Entry::Event(_) => {
                seen += 1;
                seen <= kept
            }
            Entry::Woken { .. } | Entry::Restored { .. } => true,
        });
    }
}
