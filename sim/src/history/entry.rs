//! What an object did, in its own order.

use std::collections::BTreeSet;

use mailbus_spec::HostTime;
use mailbus_spec::Step;
use mailbus_spec::lease::{self, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{self, Connection, MailboxStep};

use crate::clock::TrueTime;

/// One event that an object committed or answered, in the object's own order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened<C, S> {
    /// True time of it.
    pub at: TrueTime,
    /// What the host's clock said.
    pub host: HostTime,
    /// The event.
    pub event: Event<C>,
    /// What the object did.
    pub step: S,
}

/// An entry of an object's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<C, S> {
    /// An event.
    Event(Happened<C, S>),
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
        /// After how many entries, restores among them, the storage was as it is now.
        back_to: usize,
    },
}

/// An event of the lease object.
pub type ObjectEvent = Happened<lease::Command, LeaseStep>;
/// An entry of the lease object's history.
pub type ObjectEntry = Entry<lease::Command, LeaseStep>;
/// An event of the mailbox object.
pub type MailEvent = Happened<mailbox::Command, MailboxStep>;
/// An entry of the mailbox object's history.
pub type MailEntry = Entry<mailbox::Command, MailboxStep>;

/// A step that says whether anything became durable.
pub trait Wrote {
    /// True if anything did.
    fn wrote(&self) -> bool;
}

impl<O, R, P> Wrote for Step<O, R, P> {
    fn wrote(&self) -> bool {
        self.wrote
    }
}

impl<C, S> Entry<C, S> {
    /// The event of an entry that is one.
    #[must_use]
    pub fn as_event(&self) -> Option<&Happened<C, S>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Woken { .. } | Self::Restored { .. } => None,
        }
    }

    /// Time at which it was.
    #[must_use]
    pub fn at(&self) -> TrueTime {
        match self {
            Self::Event(happened) => happened.at,
            Self::Woken { at, .. } | Self::Restored { at, .. } => *at,
        }
    }
}

/// The events among entries.
pub fn events<C, S>(entries: &[Entry<C, S>]) -> impl Iterator<Item = &Happened<C, S>> {
    entries.iter().filter_map(Entry::as_event)
}

/// The lengths of a history that a restore will go back to.
#[must_use]
pub fn restore_points<C, S>(entries: &[Entry<C, S>]) -> BTreeSet<usize> {
    let points = entries.iter().filter_map(|entry| match entry {
        Entry::Restored { back_to, .. } => Some(*back_to),
        Entry::Event(_) | Entry::Woken { .. } => None,
    });
    points.collect()
}

/// Forgets what was committed after the first `kept` events and lost before anybody saw it.
pub fn lose_after<C, S>(entries: &mut Vec<Entry<C, S>>, kept: usize) {
    let mut seen = 0;
    entries.retain(|entry| match entry {
        Entry::Event(_) => {
            seen += 1;
            seen <= kept
        }
        Entry::Woken { .. } | Entry::Restored { .. } => true,
    });
}
