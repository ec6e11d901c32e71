//! One class of objects as the simulated host runs it: its namespace, its databases, its alarm, and
//! what of its history is committed and durable.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use mailbus_spec::{HostTime, Workspace};
use mailbus_worker::native::{Bookmark, Instance, MemoryDatabases, Namespace};
use tokio::sync::Notify;

use crate::clock::TrueTime;
use crate::judge::history::marks::Mark;
use crate::judge::history::{Entry, History, Wait};
use crate::sut::Tested;
use crate::sut::machine::{Lives, SutObject};

/// The one workspace of a simulation.
pub(crate) fn workspace() -> Workspace {
    Workspace::new("sim").expect("a plain name")
}

/// The object of one class, and what of its history is not told yet.
pub(crate) struct Hosted<S: Tested> {
    pub lives: Rc<Lives<S>>,
    pub databases: MemoryDatabases,
    /// While its host runs.
    pub namespace: RefCell<Option<Namespace<SutObject<S>>>>,
    /// The alarm that was left behind in the past, until another is set.
    pub stuck_at: Cell<Option<HostTime>>,
    /// Rung when its alarm shall ring although it is not due.
    pub early_ring: Notify,
    /// Restored to when a restore happens: by the index of its fault, with how long the history was.
    bookmarks: RefCell<BTreeMap<usize, (Bookmark, usize)>>,
    /// Number of events that are durable.
    pub durable: Cell<usize>,
    committed: Cell<usize>,
}

impl<S: Tested> Hosted<S> {
    pub fn new(lives: Lives<S>, loses_power: bool) -> Rc<Self> {
        let databases = if loses_power {
            MemoryDatabases::that_may_lose_power()
        } else {
            MemoryDatabases::new()
        };
        Rc::new(Self {
            lives: Rc::new(lives),
            databases,
            namespace: RefCell::default(),
            stuck_at: Cell::default(),
            early_ring: Notify::new(),
            bookmarks: RefCell::default(),
            durable: Cell::default(),
            committed: Cell::default(),
        })
    }

    /// Number of events that are committed.
    pub fn committed(&self) -> usize {
        self.committed.get()
    }

    /// Commits the entries that were handled last, or drops them.
    pub fn settle(&self, history: &mut History, committed: bool) {
        let (handled, alarm_set) = self.lives.take_handled();
        for _ in 0..self.lives.silenced.take() {
            history.reach(Mark::ZombieSilent);
        }
        if committed {
            if alarm_set {
                // Setting an alarm frees one that was left behind, also if both are of one time.
                self.stuck_at.set(None);
            }
            let events = || handled.iter().filter_map(Entry::as_event);
            self.committed.set(self.committed.get() + events().count());
            let record = S::record_mut(history);
            if let Some(last) = events().last() {
                let wrote = events().any(|event| event.step.wrote);
                let alarm = self.due_alarm();
                record.waits.push(Wait { at: last.at, told: last.host, wrote, alarm });
            }
            record.entries.extend(handled);
        }
        self.lives.models.settle(committed);
    }

    /// The alarm that is set.
    pub fn due_alarm(&self) -> Option<HostTime> {
        self.with(|instance| instance.due_alarm()).flatten()
    }

    /// Works on the object between two of its events; nothing while its host is down.
    pub fn with<T>(&self, work: impl FnOnce(&mut Instance<SutObject<S>>) -> T) -> Option<T> {
        let namespace = self.namespace.borrow().clone()?;
        namespace.with(&workspace(), work).ok()
    }
}

/// Fate that may befall an object of either class.
pub(crate) trait Fate {
    /// Its host is gone.
    fn stop(&self);

    /// Memory and sockets are gone, and everything that was held back.
    fn crash(&self);

    /// Memory is gone, and sockets stay.
    fn evict(&self);

    /// It is elsewhere, where nobody knows when its alarm was set: it meets the clock as it is.
    fn move_away(&self);

    /// Its alarm is left behind in the past.
    fn stick_alarm(&self);

    /// Its alarm rings although it is not due.
    fn ring_early(&self);

    /// A statement fails, this many from now on.
    fn fail_at(&self, statement: u64);

    /// Writes fail, or succeed again.
    fn set_full(&self, full: bool);

    /// Events that were not flushed are lost, and what of them was committed has been seen by nobody.
    fn lose_power(&self, history: &mut History);

    /// State that shall be restored later is remembered, for the fault with this index.
    fn remember(&self, index: usize, history: &History);

    /// Goes back to what was remembered: memory, sockets and everything that was held back are gone; so is
    /// what was written since. True if there was anything.
    fn restore(&self, index: usize, at: TrueTime, history: &mut History) -> bool;
}

impl<S: Tested> Fate for Hosted<S> {
    fn stop(&self) {
        self.namespace.take();
    }

    fn crash(&self) {
        if let Some(namespace) = self.namespace.borrow().as_ref() {
            namespace.crash(&workspace());
        }
    }

    fn evict(&self) {
        self.with(Instance::evict);
    }

    fn move_away(&self) {
        self.with(Instance::forget_when_alarm_was_set);
    }

    fn stick_alarm(&self) {
        self.stuck_at.set(self.due_alarm());
    }

    fn ring_early(&self) {
        self.early_ring.notify_one();
    }

    fn fail_at(&self, statement: u64) {
        self.with(|instance| instance.database().faults().fail_at = Some(statement));
    }

    fn set_full(&self, full: bool) {
        self.with(|instance| instance.database().faults().full = full);
    }

    fn lose_power(&self, history: &mut History) {
        self.databases.lose_power().expect("databases in memory");
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

    fn remember(&self, index: usize, history: &History) {
        if let Some(Ok(bookmark)) = self.with(Instance::bookmark) {
            let length = S::record(history).entries.len();
            self.bookmarks.borrow_mut().insert(index, (bookmark, length));
        }
        self.lives.models.pin();
    }

    fn restore(&self, index: usize, at: TrueTime, history: &mut History) -> bool {
        let Some((bookmark, back_to)) = self.bookmarks.borrow_mut().remove(&index) else {
            return false;
        };
        self.crash();
        let restored = matches!(self.with(|instance| instance.restore(&bookmark)), Some(Ok(())));
        if restored {
            S::record_mut(history).entries.push(Entry::Restored { at, back_to });
        }
        restored
    }
}
