//! Reading the mailbox object's history along with the observer.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::Timestamp;

use crate::clock::TrueTime;
use crate::history::{History, MailEntry, MailEvent, restore_points};
use crate::observer::mailbox::{Fact, MailboxObserver};

/// One event, when it has been read.
#[derive(Debug)]
pub struct MailboxMoment<'a> {
    /// The event.
    pub event: &'a MailEvent,
    /// Object time.
    pub now: Timestamp,
    /// The observer after it.
    pub observer: &'a MailboxObserver,
    /// Facts that it shows, in order.
    pub facts: &'a [Fact],
}

/// Somebody who reads along.
pub trait MailboxReader {
    /// Looks at an event before the observer has taken it in.
    fn before(&mut self, _event: &MailEvent, _observer: &MailboxObserver) {}

    /// Looks at an event after the observer has taken it in.
    fn after(&mut self, moment: &MailboxMoment<'_>);

    /// The object woke, or its storage was restored: the observer before and after.
    fn broken(&mut self, _at: TrueTime, _before: &MailboxObserver, _after: &MailboxObserver) {}
}

/// A reading under way. After a restore the observer goes on from where the storage went back to.
#[derive(Clone, Debug)]
pub struct Walker {
    /// The observer after what was read.
    pub observer: MailboxObserver,
    points: BTreeSet<usize>,
    bookmarks: BTreeMap<usize, MailboxObserver>,
    length: usize,
}

impl Walker {
    /// At the beginning of a history that will go back to these lengths.
    #[must_use]
    pub fn new(points: BTreeSet<usize>) -> Self {
        let bookmarks = BTreeMap::from([(0, MailboxObserver::default())]);
        Self { observer: MailboxObserver::default(), points, bookmarks, length: 0 }
    }

    /// Number of entries that were read.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Reads one more entry.
    pub fn read(&mut self, entry: &MailEntry, readers: &mut [&mut dyn MailboxReader]) {
        self.length += 1;
        match entry {
            MailEntry::Event(event) => {
                for reader in readers.iter_mut() {
                    reader.before(event, &self.observer);
                }
                let now = self.observer.object_time(event);
                let facts = self.observer.read(event, now);
                let moment = MailboxMoment { event, now, observer: &self.observer, facts: &facts };
                for reader in readers.iter_mut() {
                    reader.after(&moment);
                }
            }
            MailEntry::Woken { at, sessions } => {
                let before = self.observer.clone();
                self.observer.keep_sessions(sessions);
                for reader in readers.iter_mut() {
                    reader.broken(*at, &before, &self.observer);
                }
            }
            MailEntry::Restored { at, back_to } => {
                let restored = self.bookmarks.get(back_to).cloned().unwrap_or_default();
                let before = std::mem::replace(&mut self.observer, restored);
                for reader in readers.iter_mut() {
                    reader.broken(*at, &before, &self.observer);
                }
            }
        }
        if self.points.contains(&self.length) {
            self.bookmarks.insert(self.length, self.observer.clone());
        }
    }
}

/// Reads a whole history.
pub fn walk_mailbox(history: &History, readers: &mut [&mut dyn MailboxReader]) -> MailboxObserver {
    let mut walker = Walker::new(restore_points(&history.mail));
    for entry in &history.mail {
        walker.read(entry, readers);
    }
    walker.observer
}
