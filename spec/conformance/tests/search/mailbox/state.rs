//! One state of a world: object, clients, what is under way, and what the checks remember.

use std::sync::Arc;

use mailbus_spec::mailbox::{Fence, MailboxMachine};
use mailbus_spec::{AgentId, HostTime, Ordinal, Timestamp};

use crate::harness::Violation;
use crate::mailbox::past::Past;
use crate::mailbox::scenario::{BEGIN_MS, Budget, Scenario};

/// A moment of a world. Equality of moments for the search is that of their views (see `view`).
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub host_ms: u64,
    pub object: Arc<MailboxMachine>,
    pub clients: Vec<Client>,
    /// Number of the world's messages that were sent, in order.
    pub sent: u8,
    pub budget: Budget,
    pub past: Past,
    /// Requests that have arrived and may arrive once more.
    pub copies: Vec<Copied>,
    pub backup: Option<Backup>,
    pub violation: Option<Violation>,
    pub scale: Scale,
}

/// Scale by which a view tells what can still matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub back_ms: u64,
    pub exact: bool,
    /// Agents whose processes there are.
    pub names: Arc<[AgentId]>,
}

/// Knowledge of a process, and what is under way to and from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The session that it takes to be its own.
    pub epoch: Option<Ordinal>,
    /// Its session was replaced by another one: it does not come back.
    pub is_done: bool,
    /// It was never there, or died: nobody may count on it.
    pub is_gone: bool,
    /// Sockets that it left and whose close the object has not seen.
    pub closing: Vec<Ordinal>,
    /// Pushes under way to it.
    pub pipe: Vec<Ordinal>,
    /// Messages that its session was given and it has not answered, sorted.
    pub in_hand: Vec<Ordinal>,
    /// Frames under way to the object, with the session they are sent over.
    pub outbox: Vec<(Ordinal, Frame)>,
}

/// A frame under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    Ack(Ordinal),
    UpTo(Ordinal),
    /// Return of a message: of which attempt, with the number of one of the world's delays.
    Nack(Ordinal, u64, u8),
    Working(Ordinal),
}

/// Request of which the network may have another copy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Copied {
    /// Return of a message, with the number of one of the world's delays.
    Nack(AgentId, Ordinal, Fence, u8),
    Forget(AgentId, Ordinal),
}

/// Backup that a restore goes back to.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    pub object: Arc<MailboxMachine>,
    pub past: Past,
}

impl State {
    pub fn initial(scenario: &Scenario) -> Self {
        Self {
            host_ms: BEGIN_MS,
            object: Arc::new(MailboxMachine::default()),
            clients: vec![Client { is_gone: true, ..Client::default() }; scenario.processes.len()],
            sent: 0,
            budget: scenario.budget,
            past: Past::default(),
            copies: Vec::new(),
            backup: None,
            violation: None,
            scale: Scale {
                back_ms: scenario.back_ms,
                exact: scenario.exact,
                names: scenario.processes.iter().map(|process| process.agent.clone()).collect(),
            },
        }
    }

    pub fn host(&self) -> HostTime {
        HostTime(self.host_ms)
    }

    /// Time by the object's clock now.
    pub fn now(&self) -> Timestamp {
        self.object.clock.observe(self.host()).expect("worlds keep to plausible years").now
    }

    /// Process with the socket of a session: one that is in it, or that left it.
    pub fn client_in(&self, scenario: &Scenario, name: &AgentId, epoch: Ordinal) -> Option<usize> {
        (0..self.clients.len()).find(|at| {
            scenario.processes[*at].agent == *name && self.clients[*at].epoch == Some(epoch)
        })
    }

    pub fn violate(&mut self, scenario: &Scenario, invariant: &'static str, why: String) {
        let watched = scenario.only.is_none_or(|only| only == invariant);
        if watched && self.violation.is_none() {
            self.violation = Some(Violation { invariant, why });
        }
    }
}

impl Client {
    /// The process is in no session any more.
    pub fn leave(&mut self) {
        self.epoch = None;
        self.pipe.clear();
        self.in_hand.clear();
    }

    pub fn take(&mut self, seq: Ordinal) {
        if let Err(at) = self.in_hand.binary_search(&seq) {
            self.in_hand.insert(at, seq);
        }
    }

    pub fn put_down(&mut self, seq: Ordinal) {
        self.in_hand.retain(|held| *held != seq);
    }
}

impl Frame {
    pub fn seq(self) -> Ordinal {
        match self {
            Self::Ack(seq) | Self::UpTo(seq) | Self::Nack(seq, ..) | Self::Working(seq) => seq,
        }
    }
}
