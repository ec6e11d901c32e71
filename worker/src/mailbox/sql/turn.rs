//! One event on the machine: what it has read, what it will write, and who is told.
//!
//! Writes are gathered and go out together when everything is decided. Agent rows are named and written
//! as they are then.

use std::collections::BTreeSet;

use mailbus_spec::mailbox::{Connection, Message, Notice, Outcome, Push, Rejection};
use mailbus_spec::time::Observation;
use mailbus_spec::{AgentId, Ordinal, Timestamp, limits};

use super::rows;
use super::state::Machine;
use crate::sql::{Columns, checked};
use crate::storage::{Row, Storage, StorageError, Value};

/// Reason why a command came to no outcome.
#[derive(Debug)]
pub(super) enum Stop {
    /// The protocol's answer is a refusal.
    Rejected(Rejection),
    /// The storage failed, and with it the event.
    Failed(StorageError),
}

/// What a command comes to.
pub(super) type Answer = Result<Outcome, Stop>;

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}

/// Most runs that a round of collection writes.
const ROUND_RUNS: usize = 8;

/// Push budget of one event: what it may still push.
struct PushBudget {
    messages: u64,
    bytes: u64,
}

/// What an event has gathered so far.
pub(super) struct Turn<'s> {
    storage: &'s mut dyn Storage,
    /// The clock as read for this event.
    pub seen: Observation,
    pushes: Vec<Push>,
    budget: PushBudget,
    wrote: bool,
    touched: bool,
    writes_meta: bool,
    /// The message that is accepted: its row is not there yet.
    accepted: Option<(Ordinal, Message)>,
    accepted_columns: Option<Vec<Value>>,
    writes: Vec<(&'static str, Vec<Value>)>,
    agents: BTreeSet<AgentId>,
    sessions: BTreeSet<AgentId>,
    lost: BTreeSet<AgentId>,
    /// The message that was last read.
    message: Option<(Ordinal, Message)>,
    /// Number of runs that may be written.
    runs: usize,
}

/// What an event did, apart from its reply.
pub(super) struct Done {
    pub pushes: Vec<Push>,
    pub wrote: bool,
    pub rows: u64,
    /// Agents whose live sessions began or changed.
    pub sessions: BTreeSet<AgentId>,
}

impl<'s> Turn<'s> {
    pub fn new(storage: &'s mut dyn Storage, seen: Observation) -> Self {
        Self {
            storage,
            seen,
            pushes: Vec::new(),
            budget: PushBudget {
                messages: limits::PUSH_BUDGET_MESSAGES,
                bytes: limits::PUSH_BUDGET_BYTES,
            },
            wrote: seen.reanchored,
            touched: false,
            writes_meta: seen.reanchored,
            accepted: None,
            accepted_columns: None,
            writes: Vec::new(),
            agents: BTreeSet::new(),
            sessions: BTreeSet::new(),
            lost: BTreeSet::new(),
            message: None,
            runs: 1,
        }
    }

    /// Object time of the event.
    pub fn now(&self) -> Timestamp {
        self.seen.now
    }

    /// Notes that what only `meta` says has moved.
    pub fn writes_meta(&mut self) {
        self.wrote = true;
        self.writes_meta = true;
    }

    /// Accepts a message: its row is written, once everything is decided.
    pub fn accept(
        &mut self,
        seq: Ordinal,
        to: Option<&AgentId>,
        refused: &[AgentId],
        message: &Message,
    ) {
        self.wrote = true;
        self.accepted_columns = Some(rows::message_columns(seq, to, refused, message));
        self.accepted = Some((seq, message.clone()));
    }

    /// Lets as many runs be written as an event may that nobody waits for.
    pub fn writes_more_runs(&mut self) {
        self.runs = ROUND_RUNS;
    }

    /// Writes the agent's row, as it will be.
    pub fn writes_agent(&mut self, agent: &AgentId) {
        self.wrote = true;
        self.agents.insert(agent.clone());
    }

    /// Writes other rows, once everything is decided.
    pub fn write(&mut self, sql: &'static str, parameters: Vec<Value>) {
        self.wrote = true;
        self.writes.push((sql, parameters));
    }

    /// Notes that an agent's session changed.
    pub fn changes_session(&mut self, agent: &AgentId) {
        if !self.sessions.contains(agent) {
            self.sessions.insert(agent.clone());
        }
    }

    /// Notes that an agent lost something.
    pub fn loses(&mut self, agent: &AgentId) {
        self.lost.insert(agent.clone());
    }

    /// Agents that lost something in this event.
    pub fn take_lost(&mut self) -> BTreeSet<AgentId> {
        std::mem::take(&mut self.lost)
    }

    /// True if something has to become durable; from here on it has not.
    pub fn take_wrote(&mut self) -> bool {
        std::mem::take(&mut self.wrote)
    }

    pub fn has_written(&self) -> bool {
        self.wrote
    }

    /// Adds a push.
    pub fn push(&mut self, agent: &AgentId, epoch: Ordinal, notice: Notice) {
        let to = Connection { agent: agent.clone(), epoch };
        self.pushes.push(Push { to, notice });
    }

    /// True if a message of this size still fits into what the event may push; if so it is taken.
    pub fn take_budget(&mut self, bytes: u64) -> bool {
        let PushBudget { messages, bytes: left } = self.budget;
        match (messages.checked_sub(1), left.checked_sub(bytes)) {
            (Some(messages), Some(bytes)) => {
                self.budget = PushBudget { messages, bytes };
                true
            }
            _ => false,
        }
    }

    /// Reads.
    pub fn query(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, StorageError> {
        self.touched = true;
        self.storage.query(sql, parameters)
    }

    /// Reads one row.
    pub fn query_one(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Columns, StorageError> {
        let row = self.query(sql, parameters)?.pop();
        checked("a row", row).map(Columns::of)
    }

    /// What was said in a message of the log.
    pub fn message(&mut self, seq: Ordinal) -> Result<Message, StorageError> {
        let known = [&self.accepted, &self.message].into_iter().flatten();
        for (of, message) in known {
            if *of == seq {
                return Ok(message.clone());
            }
        }
        let body = self.query_one(rows::BODY, &[rows::ordinal(seq)])?.blob()?;
        let message = rows::read_message(body)?;
        self.message = Some((seq, message.clone()));
        Ok(message)
    }

    /// Writes what has been gathered, the machine's numbers with it.
    pub fn finish(mut self, machine: &mut Machine) -> Result<Done, StorageError> {
        let mut rows = 0;
        if self.wrote {
            rows = self.flush(machine)?;
        } else if !self.touched {
            // A replaced object must not answer from memory: touching the storage finds it out.
            let sql = if machine.has_tables { rows::TOUCH } else { rows::FIND_TABLES };
            self.storage.query(sql, &[])?;
        }
        let Self { pushes, wrote, sessions, .. } = self;
        Ok(Done { pushes, wrote, rows, sessions })
    }

    fn flush(&mut self, machine: &mut Machine) -> Result<u64, StorageError> {
        // The generation begins with the first write and stands in `meta` alone.
        self.writes_meta |= machine.header.generation == 0;
        machine.header.advance(&self.seen);
        let mut rows = 0;
        if !machine.has_tables {
            rows = rows::create_tables(self.storage)?;
            machine.has_tables = true;
        }
        let mut execute = |sql, parameters: &[Value]| {
            let written = self.storage.execute(sql, parameters)?;
            rows = rows.saturating_add(written);
            Ok::<(), StorageError>(())
        };
        let stamp = rows::stamp(&machine.header);
        let mut is_stamped = false;
        if let Some(columns) = self.accepted_columns.take() {
            execute(rows::INSERT_MESSAGE, &[stamp.clone(), columns].concat())?;
            is_stamped = true;
        }
        for (sql, parameters) in self.writes.drain(..) {
            execute(sql, &parameters)?;
        }
        for name in &self.agents {
            match machine.agent_columns(name) {
                Some(columns) => {
                    execute(rows::WRITE_AGENT, &[stamp.clone(), columns].concat())?;
                    is_stamped = true;
                }
                None => execute(rows::DELETE_AGENT, &[rows::name(name)])?,
            }
        }
        if self.writes_meta || !is_stamped {
            execute(rows::WRITE_META, &rows::meta(&machine.header))?;
        }
        let runs = machine.write_runs(self.storage, self.runs)?;
        Ok(rows.saturating_add(runs))
    }
}
