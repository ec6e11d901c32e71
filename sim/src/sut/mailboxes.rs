//! The mailbox machine under test, seen from outside: every event it handles is noted, and with which
//! sessions it woke.

use std::rc::Rc;

use mailbus_conformance::mutants;
use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, Connection, MailboxMachine};
use mailbus_worker::machine::Machine;
use mailbus_worker::mailbox::{Handled, Session, SqlMailboxes};
use mailbus_worker::object::Waking;
use mailbus_worker::storage::{Storage, StorageError};

use crate::judge::history::{Entry, Happened};
use crate::sut::{MailModelRow, Variant};
use crate::world::Context;

/// The mailbox machine that the system under test of a simulation names.
pub struct SutMailboxes {
    context: Rc<Context>,
    awake: Instance,
    /// What sockets kept when it woke; nothing once that is noted.
    woken: Option<Vec<Connection>>,
}

enum Instance {
    Native(Box<SqlMailboxes>),
    Model(MailModelRow),
}

impl SutMailboxes {
    /// A machine that has just woken in this simulation.
    #[must_use]
    pub fn wake(
        context: Rc<Context>,
        pending_alarm: Option<HostTime>,
        sessions: Vec<Session>,
    ) -> Self {
        let woken = sessions.iter().map(Session::connection).collect();
        let awake = match context.sut.mail {
            Variant::Production => {
                Instance::Native(Box::new(SqlMailboxes::wake(pending_alarm, sessions)))
            }
            Variant::Model(mutant) => {
                Instance::Model(MailModelRow::wake(mutants::wake(mutant), pending_alarm, sessions))
            }
        };
        Self { context, awake, woken: Some(woken) }
    }
}

impl Machine for SutMailboxes {
    type Service = MailboxMachine;
    type Kept = Session;

    fn prepare<S: Storage>(&mut self, storage: &mut S) -> Result<Waking, StorageError> {
        match &mut self.awake {
            Instance::Native(mailboxes) => mailboxes.prepare(storage),
            Instance::Model(_) => Ok(Waking::Ready),
        }
    }

    fn footprint(&self) -> u64 {
        match &self.awake {
            Instance::Native(mailboxes) => mailboxes.footprint(),
            Instance::Model(_) => 0,
        }
    }

    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        host: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        let context = Rc::clone(&self.context);
        let at = context.now();
        if let Some(sessions) = self.woken.take() {
            context.mail.note_handled(Entry::Woken { at, sessions }, false);
        }
        let handled = match &mut self.awake {
            Instance::Native(mailboxes) => mailboxes.handle(storage, host, event)?,
            Instance::Model(row) => row.handle(&context, storage, host, event)?,
        };
        let (event, step) = (event.clone(), handled.step.clone());
        let happened = Happened { at, host, event, step };
        context.mail.note_handled(Entry::Event(happened), handled.alarm.is_some());
        Ok(handled)
    }
}
