//! A model as a mailbox machine of production's endpoint: its state lives in the object's transaction,
//! the sessions too.

use std::rc::Rc;

use mailbus_conformance::mutants::Model;
use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, Connection, MailboxMachine};
use mailbus_worker::mailbox::{Handled, Session};
use mailbus_worker::storage::{Storage, StorageError};

use crate::judge::history::Recorded;
use crate::sut::stored::Stored;
use crate::world::Context;

/// A mailbox model whose state is one row.
pub struct MailModelRow {
    model: Box<dyn Model<MailboxMachine>>,
    pending: Option<HostTime>,
    stored: Stored,
    /// The sessions that have a socket, until the first event.
    woken: Option<Vec<Connection>>,
}

impl MailModelRow {
    /// A model that has just woken.
    #[must_use]
    pub fn wake(
        model: Box<dyn Model<MailboxMachine>>,
        pending: Option<HostTime>,
        sessions: Vec<Session>,
    ) -> Self {
        let woken = Some(sessions.iter().map(Session::connection).collect());
        Self { model, pending, stored: Stored::default(), woken }
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
        let state = self.stored.load(&context.mail_models, storage)?;
        let mut next = (*state).clone();
        let mut closings = Vec::new();
        if let Some(open) = self.woken.take() {
            closings = next.wake(&open);
            self.model.woken(&mut next, context.leaked_mail.take());
        }
        let mut step = self.model.handle(&mut next, host, event);
        step.pushes.splice(0..0, closings);
        if matches!(event, Event::Alarm) {
            self.pending = None;
        }
        let changed = next != *state;
        let sessions = sessions_of(&next);
        let due = self.model.next_alarm(&next).map(|at| next.clock.host_at(at));
        let next = Rc::new(next);
        let rows = if changed {
            let stored = self.stored.store(&context.mail_models, storage, Rc::clone(&next));
            stored.inspect_err(|_| drop(context.leaked_mail.replace(self.model.undone(&next))))?
        } else {
            0
        };
        let alarm = due.filter(|due| self.pending.is_none_or(|set| *due < set || set < host));
        self.pending = alarm.or(self.pending);
        Ok(Handled { step, rows, alarm, kept: sessions })
    }
}

/// What sockets have to keep so that a model knows them again: whose they are.
fn sessions_of(state: &MailboxMachine) -> Vec<Session> {
    let live = state.agents.iter().filter_map(|(name, agent)| Some((name, agent.live.as_ref()?)));
    let sessions = live.map(|(name, live)| Session {
        agent: name.clone(),
        session: live.session.clone(),
        epoch: live.epoch,
        window: live.window.map(|window| (window.messages(), window.bytes())),
        since: live.since,
        sent_through: mailbus_spec::Ordinal::ZERO,
        counted_through: mailbus_spec::Ordinal::ZERO,
        again: Vec::new(),
        working: live.working,
    });
    sessions.collect()
}
