//! One event on the mailbox machine: [`Turn`](crate::sql::Turn) with what only mailboxes ask of it.

use std::collections::BTreeSet;

use mailbus_spec::mailbox::{Connection, MailboxMachine, Message, Notice, Push, Rejection};
use mailbus_spec::{AgentId, Ordinal, limits};

use super::rows;
use super::state::MailboxMemory;
use crate::mailbox::Session;
use crate::sql::{self, Header, Rows};
use crate::storage::{Storage, StorageError, Value};

/// One event on the mailbox machine.
pub(super) type Turn<'s> = sql::Turn<'s, MailboxMemory>;

/// Outcome of a command, or the reason why there is none.
pub(super) type Answer = sql::Answer<MailboxMachine>;

/// Reason why a command came to no outcome.
pub(super) type Stop = sql::Stop<Rejection>;

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Most runs that a round of collection writes.
const ROUND_RUNS: usize = 8;

/// State that an event on mailboxes gathers besides rows and pushes.
#[derive(Debug)]
pub struct Gathered {
    /// Messages, and bytes of them, that it may still push.
    budget: (u64, u64),
    /// The message that is accepted: its row is not there yet.
    accepted: Option<(Ordinal, Message)>,
    /// The message that was last read.
    message: Option<(Ordinal, Message)>,
    /// Agents whose rows are written as they will be.
    agents: BTreeSet<AgentId>,
    /// Agents whose live sessions began or changed.
    sessions: BTreeSet<AgentId>,
    lost: BTreeSet<AgentId>,
    /// Number of runs that may be written.
    runs: usize,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            budget: (limits::PUSH_BUDGET_MESSAGES, limits::PUSH_BUDGET_BYTES),
            accepted: None,
            message: None,
            agents: BTreeSet::new(),
            sessions: BTreeSet::new(),
            lost: BTreeSet::new(),
            runs: 1,
        }
    }
}

impl Gathered {
    /// Lets as many runs be written as an event may that nobody waits for.
    pub(super) fn writes_more_runs(&mut self) {
        self.runs = ROUND_RUNS;
    }

    /// Notes that an agent's session changed.
    pub(super) fn changes_session(&mut self, agent: &AgentId) {
        if !self.sessions.contains(agent) {
            self.sessions.insert(agent.clone());
        }
    }

    /// Agents whose sessions changed in this event.
    pub(super) fn take_sessions(&mut self) -> BTreeSet<AgentId> {
        std::mem::take(&mut self.sessions)
    }

    /// Notes that an agent lost something.
    pub(super) fn loses(&mut self, agent: &AgentId) {
        self.lost.insert(agent.clone());
    }

    /// Agents that lost something in this event.
    pub(super) fn take_lost(&mut self) -> BTreeSet<AgentId> {
        std::mem::take(&mut self.lost)
    }

    /// Agents whose rows are to be written.
    pub(super) fn take_agents(&mut self) -> BTreeSet<AgentId> {
        std::mem::take(&mut self.agents)
    }

    /// True if a message of this size still fits into what the event may push; if so it is taken.
    pub(super) fn take_budget(&mut self, bytes: u64) -> bool {
        let (messages, left) = self.budget;
        match (messages.checked_sub(1), left.checked_sub(bytes)) {
            (Some(messages), Some(left)) => {
                self.budget = (messages, left);
                true
            }
            _ => false,
        }
    }
}

impl Rows for MailboxMemory {
    type Service = MailboxMachine;
    type Kept = Session;
    type Gathered = Gathered;

    const TABLES: &'static str = include_str!("mailbox.sql");
    const FIND_TABLES: &'static str = rows::FIND_TABLES;
    const WRITE_META: &'static str = rows::WRITE_META;

    fn header(&self) -> &Header {
        &self.header
    }

    fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    fn stamp(&self) -> Vec<Value> {
        vec![rows::integer(self.header.sequence), rows::instant(self.header.clock.floor)]
    }

    fn meta(&self) -> Vec<Value> {
        let Self { header, round_at, expired, .. } = self;
        let only_here = vec![
            Value::Integer(header.clock.offset),
            rows::integer(header.generation),
            rows::ordinal(header.last_ordinal),
            rows::instant(*round_at),
            rows::ordinal(*expired),
        ];
        [self.stamp(), only_here].concat()
    }

    fn write_more(
        &mut self,
        storage: &mut dyn Storage,
        gathered: &Gathered,
    ) -> Result<u64, StorageError> {
        self.write_runs(storage, gathered.runs)
    }
}

impl Turn<'_> {
    /// Accepts a message: its row is written first, once everything is decided.
    pub fn accept(
        &mut self,
        seq: Ordinal,
        to: Option<&AgentId>,
        (recipients, refused): (u64, &[AgentId]),
        message: &Message,
    ) {
        let columns = rows::message_columns(seq, to, (recipients, refused), message);
        self.write_first(rows::INSERT_MESSAGE, columns);
        self.gathered.accepted = Some((seq, message.clone()));
    }

    /// Writes the agent's row, as it will be.
    pub fn writes_agent(&mut self, agent: &AgentId) {
        self.writes_clock();
        self.gathered.agents.insert(agent.clone());
    }

    /// Adds a push.
    pub fn push(&mut self, agent: &AgentId, epoch: Ordinal, notice: Notice) {
        let to = Connection { agent: agent.clone(), epoch };
        self.add_push(Push { to, notice });
    }

    /// Message of the log, with what was said in it.
    pub fn message(&mut self, seq: Ordinal) -> Result<Message, StorageError> {
        let known = [&self.gathered.accepted, &self.gathered.message].into_iter().flatten();
        for (of, message) in known {
            if *of == seq {
                return Ok(message.clone());
            }
        }
        let body = self.query_one(rows::BODY, &[rows::ordinal(seq)])?.blob()?;
        let message = rows::read_message(body)?;
        self.gathered.message = Some((seq, message.clone()));
        Ok(message)
    }
}
