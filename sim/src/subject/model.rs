//! A model as a lease machine of production's endpoint: its state lives in the object's transaction.

use std::rc::Rc;

use mailbus_spec::HostTime;
use mailbus_spec::lease::{Command, LeaseMachine};
use mailbus_spec::machine::Event;
use mailbus_worker::lease::Handled;
use mailbus_worker::storage::{Storage, StorageError, Value};

use crate::engine::Stage;
use crate::subject::Model;

const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS model (one INTEGER PRIMARY KEY, version INTEGER NOT NULL) STRICT";
const READ: &str = "SELECT version FROM model WHERE one = 1";
const WRITE: &str = "INSERT INTO model (one, version) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET version = excluded.version";

/// The one row of a model. The database holds the number of a state; the stage keeps the states. So
/// whatever the database undoes, loses or restores, the state goes with it.
pub struct ModelRow {
    model: Box<dyn Model>,
    pending: Option<HostTime>,
    /// The state as last seen: what a model that does not look answers from.
    remembered: Option<Rc<LeaseMachine>>,
    created: bool,
}

impl ModelRow {
    /// A model that has just woken.
    #[must_use]
    pub fn wake(model: Box<dyn Model>, pending: Option<HostTime>) -> Self {
        Self { model, pending, remembered: None, created: false }
    }

    /// As [`Leases::handle`](mailbus_worker::lease::Leases::handle).
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed.
    pub fn handle<S: Storage>(
        &mut self,
        stage: &Stage,
        storage: &mut S,
        host: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        let remembered = self.remembered.clone().filter(|_| !self.model.touches_storage());
        let state = match remembered {
            Some(state) => state,
            None => self.load(stage, storage)?,
        };
        let mut next = (*state).clone();
        let step = self.model.handle(&mut next, host, event);
        if matches!(event, Event::Alarm) {
            self.pending = None;
        }
        let mut rows = 0;
        if next != *state {
            let version = stage.keep_model(next.clone());
            rows += storage.execute(WRITE, &[Value::Integer(version)])?;
        }
        let due = self.model.next_alarm(&next).map(|at| next.clock.host_at(at));
        let alarm = due.filter(|due| self.pending.is_none_or(|set| *due < set || set < host));
        self.pending = alarm.or(self.pending);
        self.remembered = Some(Rc::new(next));
        Ok(Handled { step, rows, alarm })
    }

    fn load<S: Storage>(
        &mut self,
        stage: &Stage,
        storage: &mut S,
    ) -> Result<Rc<LeaseMachine>, StorageError> {
        if !self.created {
            storage.execute(CREATE, &[])?;
            self.created = true;
        }
        let rows = storage.query(READ, &[])?;
        match rows.first().and_then(|row| row.first()) {
            Some(Value::Integer(version)) => Ok(stage.model(*version)),
            _ => Ok(Rc::default()),
        }
    }
}
