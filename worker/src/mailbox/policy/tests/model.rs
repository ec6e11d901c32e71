//! The reference model behind the endpoint. Its state outlives an object's memory, as storage does, and
//! is the thread's: one workspace a test.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use mailbus_spec::machine::{Event, StateMachine};
use mailbus_spec::mailbox::state::{Agent, Session as Live};
use mailbus_spec::mailbox::{Command, Connection, MailboxMachine};
use mailbus_spec::{AgentId, HostTime, Ordinal};

use crate::machine::Machine;
use crate::mailbox::{Handled, Session};
use crate::storage::{Storage, StorageError};

thread_local! {
    static STORED: RefCell<MailboxMachine> = RefCell::default();
    static ASKED: RefCell<Vec<Command>> = RefCell::default();
    static FAILS: Cell<bool> = const { Cell::new(false) };
}

/// Begins with an empty workspace.
pub fn forget_all() {
    STORED.take();
    ASKED.take();
}

/// The commands since this was asked last.
pub fn take_asked() -> Vec<Command> {
    ASKED.take()
}

/// True if the storage fails from now on.
pub fn let_fail(fails: bool) {
    FAILS.set(fails);
}

/// The epoch of an agent's live session.
pub fn live(agent: &str) -> Option<Ordinal> {
    let agent = AgentId::new(agent).unwrap();
    STORED.with_borrow(|stored| Some(stored.agents.get(&agent)?.live.as_ref()?.epoch))
}

pub struct Model;

impl Model {
    pub fn wake(_: Option<HostTime>, sessions: Vec<Session>) -> Self {
        let there: BTreeSet<Connection> = sessions.iter().map(Session::connection).collect();
        let is_there =
            |agent: &AgentId, epoch| there.contains(&Connection { agent: agent.clone(), epoch });
        STORED.with_borrow_mut(|stored| {
            for (name, agent) in &mut stored.agents {
                agent.live = agent.live.take().filter(|live| is_there(name, live.epoch));
                agent.superseded.retain(|epoch| is_there(name, *epoch));
            }
        });
        Self
    }
}

impl Machine for Model {
    type Service = MailboxMachine;
    type Kept = Session;

    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        host: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        storage.query("SELECT 1", &[])?;
        if FAILS.get() {
            return Err(StorageError("asked to".to_owned()));
        }
        if let Event::Command(command) = event {
            ASKED.with_borrow_mut(|asked| asked.push(command.clone()));
        }
        Ok(STORED.with_borrow_mut(|stored| {
            let before = stored.clone();
            let step = stored.handle(host, event);
            let changed = |(name, agent): (&AgentId, &Agent)| {
                let live = agent.live.as_ref()?;
                let old = before.agents.get(name).and_then(|agent| agent.live.as_ref());
                (old != Some(live)).then(|| kept(name, live))
            };
            let sessions = stored.agents.iter().filter_map(changed).collect();
            Handled { rows: u64::from(step.wrote), alarm: None, kept: sessions, step }
        }))
    }
}

/// A session in the form that sockets keep; the model knows the rest by itself.
fn kept(name: &AgentId, live: &Live) -> Session {
    let through = live.flights.keys().next_back().copied().unwrap_or_default();
    Session {
        agent: name.clone(),
        session: live.session.clone(),
        epoch: live.epoch,
        window: live.window.map(|window| (window.messages(), window.bytes())),
        since: live.since,
        sent_through: through,
        counted_through: Ordinal::ZERO,
        again: Vec::new(),
        working: live.working,
    }
}
