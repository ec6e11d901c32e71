//! Reading the mailbox object's history along with the ledger.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::Timestamp;

use crate::clock::TrueTime;
use crate::history::{History, MailEntry, MailEvent, restore_points};
use crate::mail_ledger::{Fact, MailLedger};

/// One event, when it has been read.
#[derive(Debug)]
pub struct MailMoment<'a> {
    /// The event.
    pub event: &'a MailEvent,
    /// Object time.
    pub now: Timestamp,
    /// The ledger after it.
    pub ledger: &'a MailLedger,
    /// What it shows, in order.
    pub facts: &'a [Fact],
}

/// Somebody who reads along.
pub trait MailReader {
    /// Looks at an event before the ledger has taken it in.
    fn before(&mut self, _event: &MailEvent, _ledger: &MailLedger) {}

    /// Looks at an event after the ledger has taken it in.
    fn after(&mut self, moment: &MailMoment<'_>);

    /// The object woke, or its storage was restored: the ledger before and after.
    fn broken(&mut self, _at: TrueTime, _before: &MailLedger, _after: &MailLedger) {}
}

/// A reading under way. After a restore the ledger goes on from where the storage went back to.
#[derive(Clone, Debug)]
pub struct Walker {
    /// The ledger after what was read.
    pub ledger: MailLedger,
    points: BTreeSet<usize>,
    bookmarks: BTreeMap<usize, MailLedger>,
    length: usize,
}

impl Walker {
    /// At the beginning of a history that will go back to these lengths.
    #[must_use]
    pub fn new(points: BTreeSet<usize>) -> Self {
        let bookmarks = BTreeMap::from([(0, MailLedger::default())]);
        Self { ledger: MailLedger::default(), points, bookmarks, length: 0 }
    }

    /// How many entries were read.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Reads one more entry.
    pub fn read(&mut self, entry: &MailEntry, readers: &mut [&mut dyn MailReader]) {
        self.length += 1;
        match entry {
            MailEntry::Event(event) => {
                for reader in readers.iter_mut() {
                    reader.before(event, &self.ledger);
                }
                let now = self.ledger.object_time(event);
                let facts = self.ledger.read(event, now);
                let moment = MailMoment { event, now, ledger: &self.ledger, facts: &facts };
                for reader in readers.iter_mut() {
                    reader.after(&moment);
                }
            }
            MailEntry::Woken { at, sessions } => {
                let before = self.ledger.clone();
                self.ledger.keep_sessions(sessions);
                for reader in readers.iter_mut() {
                    reader.broken(*at, &before, &self.ledger);
                }
            }
            MailEntry::Restored { at, back_to } => {
                let restored = self.bookmarks.get(back_to).cloned().unwrap_or_default();
                let before = std::mem::replace(&mut self.ledger, restored);
                for reader in readers.iter_mut() {
                    reader.broken(*at, &before, &self.ledger);
                }
            }
        }
        if self.points.contains(&self.length) {
            self.bookmarks.insert(self.length, self.ledger.clone());
        }
    }
}

/// Reads a whole history.
pub fn walk_mail(history: &History, readers: &mut [&mut dyn MailReader]) -> MailLedger {
    let mut walker = Walker::new(restore_points(&history.mail));
    for entry in &history.mail {
        walker.read(entry, readers);
    }
    walker.ledger
}
