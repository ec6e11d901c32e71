//! Services as the simulator tests them: production's machine and endpoint of each.

use std::convert::Infallible;

use mailbus_conformance::Sessions;
use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::mailbox::{Connection, MailboxMachine};
use mailbus_spec::{HostTime, Ordinal, lease, mailbox};
use mailbus_worker::lease::{LeaseObject, SqlLeases};
use mailbus_worker::machine::Machine;
use mailbus_worker::mailbox::{MailboxObject, Session, SqlMailboxes};
use mailbus_worker::object::{Object, Woken};

use crate::judge::history::Recorded;

/// Service whose object can be put under test.
pub trait Tested: Recorded + Sessions {
    /// State of its session that a socket keeps while the object is not in memory.
    type Kept: 'static;
    /// Production's machine.
    type Production: Machine<Service = Self, Kept = Self::Kept>;
    /// Production's endpoint over a machine.
    type Object<M: Machine<Service = Self, Kept = Self::Kept> + 'static>: Object + 'static;

    /// An endpoint that has just woken.
    fn object<M: Machine<Service = Self, Kept = Self::Kept> + 'static>(
        woken: Woken,
        machine: impl FnOnce(Option<HostTime>, Vec<Self::Kept>) -> M,
    ) -> Self::Object<M>;

    /// Production's machine, just woken.
    fn production(pending: Option<HostTime>, kept: Vec<Self::Kept>) -> Self::Production;

    /// True if a command changes nothing.
    fn is_question(command: &Self::Command) -> bool;

    /// The sessions that sockets keep.
    fn connections(_kept: &[Self::Kept]) -> Vec<Connection> {
        Vec::new()
    }

    /// State that sockets have to keep so that a model knows their sessions again.
    fn kept(&self) -> Vec<Self::Kept> {
        Vec::new()
    }
}

impl Tested for LeaseMachine {
    type Kept = Infallible;
    type Production = SqlLeases;
    type Object<M: Machine<Service = Self, Kept = Infallible> + 'static> = LeaseObject<M>;

    fn object<M: Machine<Service = Self, Kept = Infallible> + 'static>(
        woken: Woken,
        machine: impl FnOnce(Option<HostTime>, Vec<Infallible>) -> M,
    ) -> LeaseObject<M> {
        LeaseObject::over(woken, machine)
    }

    fn production(pending: Option<HostTime>, kept: Vec<Infallible>) -> SqlLeases {
        SqlLeases::wake(pending, kept)
    }

    fn is_question(command: &lease::Command) -> bool {
        use lease::Command::{List, Status, Verify};
        matches!(command, Status { .. } | List { .. } | Verify { .. })
    }
}

impl Tested for MailboxMachine {
    type Kept = Session;
    type Production = SqlMailboxes;
    type Object<M: Machine<Service = Self, Kept = Session> + 'static> = MailboxObject<M>;

    fn object<M: Machine<Service = Self, Kept = Session> + 'static>(
        woken: Woken,
        machine: impl FnOnce(Option<HostTime>, Vec<Session>) -> M,
    ) -> MailboxObject<M> {
        MailboxObject::over(woken, machine)
    }

    fn production(pending: Option<HostTime>, kept: Vec<Session>) -> SqlMailboxes {
        SqlMailboxes::wake(pending, kept)
    }

    fn is_question(command: &mailbox::Command) -> bool {
        use mailbox::Ask::{Agents, DeadLetters, Inbox};
        matches!(command.ask, Inbox { .. } | DeadLetters { .. } | Agents { .. })
    }

    fn connections(kept: &[Session]) -> Vec<Connection> {
        kept.iter().map(Session::connection).collect()
    }

    fn kept(&self) -> Vec<Session> {
        let live =
            self.agents.iter().filter_map(|(name, agent)| Some((name, agent.live.as_ref()?)));
        let sessions = live.map(|(name, live)| Session {
            agent: name.clone(),
            session: live.session.clone(),
            epoch: live.epoch,
            window: live.window.map(|window| (window.messages(), window.bytes())),
            since: live.since,
            sent_through: Ordinal::ZERO,
            counted_through: Ordinal::ZERO,
            again: Vec::new(),
            working: live.working,
        });
        sessions.collect()
    }
}
