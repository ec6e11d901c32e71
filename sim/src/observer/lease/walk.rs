//! Reading the object's history along with the observer.

use std::collections::BTreeMap;

use mailbus_spec::Timestamp;

use crate::clock::TrueTime;
use crate::history::{History, ObjectEntry, ObjectEvent, restore_points};
use crate::observer::lease::{Change, LeaseObserver};

/// One event, when it has been read.
#[derive(Debug)]
pub struct Moment<'a> {
    /// Its place among the object's events.
    pub index: usize,
    /// Number of times that the storage had been restored.
    pub life: usize,
    /// The event.
    pub event: &'a ObjectEvent,
    /// Object time.
    pub now: Timestamp,
    /// The observer after it.
    pub observer: &'a LeaseObserver,
    /// What changed, in order.
    pub changes: &'a [Change],
}

/// Somebody who reads along.
pub trait Reader {
    /// Looks at an event before the observer has taken it in: what time has ended by then is gone.
    fn before(&mut self, _event: &ObjectEvent, _now: Timestamp, _observer: &LeaseObserver) {}

    /// Looks at an event after the observer has taken it in.
    fn after(&mut self, _moment: &Moment<'_>) {}

    /// The storage was restored.
    fn restored(&mut self, _at: TrueTime, _observer: &LeaseObserver) {}
}

/// Reads a history. After a restore the observer goes on from where the storage went back to.
pub fn walk(history: &History, readers: &mut [&mut dyn Reader]) {
    let points = restore_points(&history.object);
    let mut bookmarks = BTreeMap::from([(0, LeaseObserver::default())]);
    let mut observer = LeaseObserver::default();
    let (mut index, mut life) = (0, 0);
    for (entry, length) in history.object.iter().zip(1_usize..) {
        match entry {
            ObjectEntry::Event(event) => {
                let mut changes = Vec::new();
                let now = observer.object_time(event);
                observer.end_leases(now, &mut changes);
                observer.forget_tickets(now);
                for reader in readers.iter_mut() {
                    reader.before(event, now, &observer);
                }
                observer.read(event, now, &mut changes);
                let moment =
                    Moment { index, life, event, now, observer: &observer, changes: &changes };
                for reader in readers.iter_mut() {
                    reader.after(&moment);
                }
                index += 1;
            }
            ObjectEntry::Woken { .. } => {}
            ObjectEntry::Restored { back_to, at } => {
                life += 1;
                observer = bookmarks.get(back_to).cloned().unwrap_or_default();
                for reader in readers.iter_mut() {
                    reader.restored(*at, &observer);
                }
            }
        }
        if points.contains(&length) {
            bookmarks.insert(length, observer.clone());
        }
    }
}
