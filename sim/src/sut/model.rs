//! A model as a lease machine of production's endpoint: its state lives in the object's transaction.

use std::rc::Rc;

use mailbus_conformance::mutants::Model;
use mailbus_spec::HostTime;
use mailbus_spec::lease::{Command, LeaseMachine};
use mailbus_spec::machine::Event;
use mailbus_worker::lease::Handled;
use mailbus_worker::storage::{Storage, StorageError};

use crate::sut::stored::Stored;
use crate::world::Context;

/// A lease model whose state is one row.
pub struct ModelRow {
    model: Box<dyn Model<LeaseMachine>>,
    pending: Option<HostTime>,
    /// The state as last seen: what a model that does not look answers from.
    remembered: Option<Rc<LeaseMachine>>,
    stored: Stored,
}

impl ModelRow {
    /// A model that has just woken.
    #[must_use]
    pub fn wake(model: Box<dyn Model<LeaseMachine>>, pending: Option<HostTime>) -> Self {
        Self { model, pending, remembered: None, stored: Stored::default() }
    }

    /// As [`Machine::handle`](mailbus_worker::machine::Machine::handle).
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed.
    pub fn handle<S: Storage>(
        &mut self,
        context: &Context,
        storage: &mut S,
        host: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        let remembered = self.remembered.clone().filter(|_| !self.model.touches_storage());
        let state = match remembered {
            Some(state) => state,
            None => self.stored.load(&context.lease_models, storage)?,
        };
        let mut next = (*state).clone();
        let step = self.model.handle(&mut next, host, event);
        if matches!(event, Event::Alarm) {
            self.pending = None;
        }
        let changed = next != *state;
        let next = Rc::new(next);
        let rows = if changed {
            self.stored.store(&context.lease_models, storage, Rc::clone(&next))?
        } else {
            0
        };
        let due = self.model.next_alarm(&next).map(|at| next.clock.host_at(at));
        let alarm = due.filter(|due| self.pending.is_none_or(|set| *due < set || set < host));
        self.pending = alarm.or(self.pending);
        self.remembered = Some(next);
        Ok(Handled { step, rows, alarm, kept: Vec::new() })
    }
}
