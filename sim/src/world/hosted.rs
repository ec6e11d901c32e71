//! One class of objects as the simulated host runs it: its namespace, its databases, its alarm, and
//! what of its history is committed and durable.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use mailbus_spec::HostTime;
use mailbus_worker::native::{Bookmark, Instance, MemoryDatabases, Namespace};
use mailbus_worker::object::Object;
use tokio::sync::Notify;

use crate::judge::history::{Entry, History, Recorded, Wait};
use crate::judge::marks::Mark;
use crate::world::hosts::workspace;

/// The object of one class, and the entries of its history.
pub(crate) struct Hosted<O, S: Recorded> {
    pub databases: MemoryDatabases,
    /// While its host runs.
    pub namespace: RefCell<Option<Namespace<O>>>,
    /// The alarm that was left behind in the past, until another is set.
    pub stuck_at: Cell<Option<HostTime>>,
    /// Rung when its alarm shall ring although it is not due.
    pub early_ring: Notify,
    /// What it waited for after each event.
    pub waits: RefCell<Vec<Wait>>,
    /// Restored to when a restore happens: by the index of its fault, with how long the history was.
    pub bookmarks: RefCell<BTreeMap<usize, (Bookmark, usize)>>,
    /// Number of events that are durable.
    pub durable: Cell<usize>,
    committed: Cell<usize>,
    handled: RefCell<Vec<Entry<S>>>,
    /// True if one of them set an alarm.
    alarm_set: Cell<bool>,
}

impl<O: Object + 'static, S: Recorded> Hosted<O, S> {
    pub fn new(loses_power: bool) -> Self {
        let databases = if loses_power {
            MemoryDatabases::that_may_lose_power()
        } else {
            MemoryDatabases::new()
        };
        Self {
            databases,
            namespace: RefCell::default(),
            stuck_at: Cell::default(),
            early_ring: Notify::new(),
            waits: RefCell::default(),
            bookmarks: RefCell::default(),
            durable: Cell::default(),
            committed: Cell::default(),
            handled: RefCell::default(),
            alarm_set: Cell::default(),
        }
    }

    /// Number of events that are committed.
    pub fn committed(&self) -> usize {
        self.committed.get()
    }

    /// Notes something that may still have to be undone, and whether it set an alarm.
    pub fn note_handled(&self, entry: Entry<S>, alarm_set: bool) {
        self.handled.borrow_mut().push(entry);
        self.alarm_set.set(self.alarm_set.get() || alarm_set);
    }

    /// What was handled last is committed, or undone.
    pub fn settle_handled(&self, history: &mut History, committed: bool) {
        let handled = std::mem::take(&mut *self.handled.borrow_mut());
        let alarm_set = self.alarm_set.replace(false);
        if !committed {
            return;
        }
        if alarm_set {
            // Setting an alarm frees one that was left behind, also if both are of one time.
            self.stuck_at.set(None);
        }
        self.committed
            .set(self.committed.get() + handled.iter().filter_map(Entry::as_event).count());
        self.note_wait(&handled);
        S::record_mut(history).entries.extend(handled);
    }

    /// Notes what the object waits for after events that were handled as one.
    fn note_wait(&self, handled: &[Entry<S>]) {
        let events = || handled.iter().filter_map(Entry::as_event);
        let Some(last) = events().last() else { return };
        let wrote = events().any(|event| event.step.wrote);
        let alarm = self.with(|instance| instance.due_alarm()).flatten();
        self.waits.borrow_mut().push(Wait { at: last.at, told: last.host, wrote, alarm });
    }

    /// Forgets what was committed and not flushed, and which therefore nobody has seen.
    pub fn lose_unflushed(&self, history: &mut History) {
        let durable = self.durable.get();
        let record = S::record_mut(history);
        // Reads after the last durable write have left: they waited for nothing.
        let unseen = record.events().skip(durable).position(|event| event.step.wrote);
        let kept = unseen.map_or(self.committed.get(), |after| durable + after);
        if kept < self.committed.get() {
            record.lose_after(kept);
            history.reach(Mark::UnflushedLost);
        }
        self.committed.set(kept);
    }

    /// Works on the object between two of its events; nothing while its host is down.
    pub fn with<T>(&self, work: impl FnOnce(&mut Instance<O>) -> T) -> Option<T> {
        let namespace = self.namespace.borrow().clone()?;
        namespace.with(&workspace(), work).ok()
    }

    /// Memory and sockets are gone, and everything that was held back.
    pub fn crash(&self) {
        if let Some(namespace) = self.namespace.borrow().as_ref() {
            namespace.crash(&workspace());
        }
    }

    /// What shall be restored later is remembered.
    pub fn remember(&self, index: usize, length: usize) {
        if let Some(Ok(bookmark)) = self.with(Instance::bookmark) {
            self.bookmarks.borrow_mut().insert(index, (bookmark, length));
        }
    }

    /// Goes back to what was remembered, and says how long the history was then. Memory, sockets and
    /// everything that was held back are gone; so is what was written since.
    pub fn restore(&self, index: usize) -> Option<usize> {
        let (bookmark, back_to) = self.bookmarks.borrow_mut().remove(&index)?;
        self.crash();
        let restored = self.with(|instance| instance.restore(&bookmark));
        matches!(restored, Some(Ok(()))).then_some(back_to)
    }
}
