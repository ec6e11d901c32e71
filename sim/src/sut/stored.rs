//! A model's state in the object's transaction.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use mailbus_worker::storage::{Storage, StorageError, Value};

const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS model (one INTEGER PRIMARY KEY, version INTEGER NOT NULL) STRICT";
const READ: &str = "SELECT version FROM model WHERE one = 1";
const WRITE: &str = "INSERT INTO model (one, version) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET version = excluded.version";

/// Number of committed states that are kept where power may be lost: more than are committed while a
/// flush runs.
const UNFLUSHED: usize = 1_000;

/// The states of a model by number. The database holds the number; so whatever it undoes, loses or
/// restores, the state goes with it.
pub struct Versions<M> {
    states: RefCell<BTreeMap<i64, Rc<M>>>,
    last: Cell<i64>,
    /// Written in the transaction under way.
    tentative: RefCell<Vec<i64>>,
    /// Committed, the latest last.
    committed: RefCell<VecDeque<i64>>,
    /// What a bookmark may go back to.
    pinned: RefCell<BTreeSet<i64>>,
    keeps: usize,
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
        }
    }

    /// What was written last is committed, or undone.
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

/// The one row of a model.
#[derive(Debug, Default)]
pub(super) struct Stored {
    created: bool,
}

impl Stored {
    /// Reads the state.
    pub fn load<M: Default, S: Storage>(
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
    pub fn store<M: Default, S: Storage>(
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
