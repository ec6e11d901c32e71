//! A model as a machine of production's endpoint: its state lives in the object's transaction, the sessions
//! too.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use mailbus_conformance::mutants::Model;
use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::Connection;
use mailbus_worker::machine::Handled;
use mailbus_worker::storage::{Storage, StorageError, Value};

use crate::sut::Tested;

const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS model (one INTEGER PRIMARY KEY, version INTEGER NOT NULL) STRICT";
const READ: &str = "SELECT version FROM model WHERE one = 1";
const WRITE: &str = "INSERT INTO model (one, version) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET version = excluded.version";

/// Number of committed states that are kept where power may be lost: more than are committed while a
/// flush runs.
const UNFLUSHED: usize = 1_000;

/// The states of a model by number. The database holds the number; so whatever it undoes, loses or
/// restores, the state goes with it.
pub(crate) struct Versions<M> {
    states: RefCell<BTreeMap<i64, Rc<M>>>,
    last: Cell<i64>,
    /// Written in the transaction under way.
    tentative: RefCell<Vec<i64>>,
    /// Committed, the latest last.
    committed: RefCell<VecDeque<i64>>,
    /// Versions that a bookmark may go back to.
    pinned: RefCell<BTreeSet<i64>>,
    keeps: usize,
    /// State that a hasty model has let out of an event that was undone.
    leaked: RefCell<Option<M>>,
}

impl<M: Default> Versions<M> {
    pub(crate) fn new(loses_power: bool) -> Self {
        Self {
            states: RefCell::default(),
            last: Cell::default(),
            tentative: RefCell::default(),
            committed: RefCell::default(),
            pinned: RefCell::default(),
            keeps: if loses_power { UNFLUSHED } else { 1 },
            leaked: RefCell::default(),
        }
    }

    /// Commits the version that was written last, or undoes it.
    pub(crate) fn settle(&self, committed: bool) {
        let mut states = self.states.borrow_mut();
        let mut tentative = std::mem::take(&mut *self.tentative.borrow_mut());
        let latest = tentative.pop_if(|_| committed);
        for undone in tentative {
            states.remove(&undone);
        }
        let mut kept = self.committed.borrow_mut();
        kept.extend(latest);
        while kept.len() > self.keeps {
            let old = kept.pop_front().filter(|old| !self.pinned.borrow().contains(old));
            old.map(|old| states.remove(&old));
        }
    }

    /// Keeps what the database holds now until the end: a bookmark was taken.
    pub(crate) fn pin(&self) {
        self.pinned.borrow_mut().extend(self.committed.borrow().back());
    }

    /// The state with this number.
    pub(crate) fn get(&self, number: i64) -> Rc<M> {
        self.states.borrow().get(&number).cloned().unwrap_or_default()
    }
}

/// A model whose state is one row.
pub(super) struct ModelRow<S: Tested> {
    model: Box<dyn Model<S>>,
    pending: Option<HostTime>,
    /// The state as last seen: what a model that does not look answers from.
    remembered: Option<Rc<S>>,
    stored: Stored,
    /// The sessions that have a socket, until the first event.
    woken: Option<Vec<Connection>>,
}

impl<S: Tested> ModelRow<S> {
    /// A model that has just woken.
    pub fn wake(
        model: Box<dyn Model<S>>,
        pending: Option<HostTime>,
        open: Vec<Connection>,
    ) -> Self {
        let (remembered, stored, woken) = (None, Stored::default(), Some(open));
        Self { model, pending, remembered, stored, woken }
    }

    /// As [`Machine::handle`](mailbus_worker::machine::Machine::handle).
    pub fn handle<T: Storage>(
        &mut self,
        versions: &Versions<S>,
        storage: &mut T,
        host: HostTime,
        event: &Event<S::Command>,
    ) -> Result<Handled<S, S::Kept>, StorageError> {
        let remembered = self.remembered.clone().filter(|_| !self.model.touches_storage());
        let state = match remembered {
            Some(state) => state,
            None => self.stored.load(versions, storage)?,
        };
        let mut next = (*state).clone();
        let mut closings = Vec::new();
        if let Some(open) = self.woken.take() {
            closings = next.wake(&open);
            self.model.woken(&mut next, versions.leaked.take());
        }
        let mut step = self.model.handle(&mut next, host, event);
        step.pushes.splice(0..0, closings);
        if matches!(event, Event::Alarm) {
            self.pending = None;
        }
        let changed = next != *state;
        let next = Rc::new(next);
        let rows = if changed {
            let stored = self.stored.store(versions, storage, Rc::clone(&next));
            stored.inspect_err(|_| drop(versions.leaked.replace(self.model.undone(&next))))?
        } else {
            0
        };
        let due = self.model.next_alarm(&next).map(|at| next.clock().host_at(at));
        let alarm = due.filter(|due| self.pending.is_none_or(|set| *due < set || set < host));
        self.pending = alarm.or(self.pending);
        let kept = next.kept();
        self.remembered = Some(next);
        Ok(Handled { step, rows, alarm, kept })
    }
}

/// The one row of a model.
#[derive(Debug, Default)]
struct Stored {
    created: bool,
}

impl Stored {
    /// Reads the state.
    fn load<M: Default, S: Storage>(
        &mut self,
        versions: &Versions<M>,
        storage: &mut S,
    ) -> Result<Rc<M>, StorageError> {
        if !self.created {
            storage.execute(CREATE, &[])?;
            self.created = true;
        }
        let rows = storage.query(READ, &[])?;
        match rows.first().and_then(|row| row.first()) {
            Some(Value::Integer(version)) => Ok(versions.get(*version)),
            _ => Ok(Rc::default()),
        }
    }

    /// Writes the state, and says how many rows that took.
    fn store<M: Default, S: Storage>(
        &mut self,
        versions: &Versions<M>,
        storage: &mut S,
        state: Rc<M>,
    ) -> Result<u64, StorageError> {
        let number = versions.last.get() + 1;
        let rows = storage.execute(WRITE, &[Value::Integer(number)])?;
        versions.last.set(number);
        versions.states.borrow_mut().insert(number, state);
        versions.tentative.borrow_mut().push(number);
        Ok(rows)
    }
}
