//! Waking: the machine's memory out of its rows, and out of what sockets keep; piece by piece.

use std::collections::VecDeque;
use std::ops::Bound;

use mailbus_spec::mailbox::{CloseReason, Connection, Notice, Push};
use mailbus_spec::{AgentId, Ordinal, limits};

use super::addressed::Reading;
use super::log::{Log, RUN_MESSAGES};
use super::rows;
use super::runs::Run;
use super::state::MailboxMemory;
use crate::mailbox::Session;
use crate::object::Waking;
use crate::sql::{Columns, Load, checked};
use crate::storage::{Storage, StorageError, Value};

const META: &str = "\
    SELECT commit_no, clock, clock_offset, generation, last_seq, round_at, expired FROM meta";
/// One page of what failed, in the order of the key. Parameters: the key to begin after.
const DEAD: &str = "\
    SELECT agent, seq, at FROM dead WHERE (agent, seq) > (?1, ?2) ORDER BY agent, seq LIMIT 1024";

/// Messages already in memory that one piece goes through: those that rows list as pending, or that
/// sessions may have in flight.
const PIECE: usize = 4_096;

/// Loader of the memory: what is read, and how far it has come.
#[derive(Debug)]
pub struct Loader {
    memory: MailboxMemory,
    step: Step,
    reading: Reading,
    /// The runs that were fetched and are not read yet.
    fetched: VecDeque<Fetched>,
    /// Sessions that sockets keep, by epoch.
    sessions: VecDeque<Session>,
}

/// Part that the next piece reads.
#[derive(Debug)]
enum Step {
    /// The numbers.
    Numbers,
    /// A page of agents after this name.
    Agents { after: Value },
    /// A page of runs after the one that began with this message.
    Runs { after: Ordinal },
    /// A page of the log from this message on: of a run that tells nothing, with its first and last
    /// message, or of what is newer than all runs.
    Log { from: Value, run: Option<(Ordinal, Ordinal)> },
    /// The messages that the rows of the agents after this one list as pending.
    Listed { after: Option<AgentId> },
    /// A page of dead letters after this key.
    Dead { after: [Value; 2] },
    /// Some sessions.
    Sessions,
    /// Nothing: it is awake.
    Over,
}

/// The row of a run.
#[derive(Debug)]
struct Fetched {
    first: Ordinal,
    last: Ordinal,
    /// Messages that it tells; `None` if the log has to be asked.
    messages: Option<Vec<u8>>,
}

impl Load for Loader {
    type Memory = MailboxMemory;

    fn new(sessions: Vec<Session>) -> Self {
        Self::in_runs_of(RUN_MESSAGES, sessions)
    }

    fn piece(&mut self, storage: &mut dyn Storage) -> Result<Waking, StorageError> {
        self.step = match std::mem::replace(&mut self.step, Step::Over) {
            Step::Numbers => self.numbers(storage)?,
            Step::Agents { after } => self.agents(storage, after)?,
            Step::Runs { after } => self.runs(storage, after)?,
            Step::Log { from, run } => self.log(storage, from, run)?,
            Step::Listed { after } => self.listed(after),
            Step::Dead { after } => self.dead(storage, after)?,
            Step::Sessions => self.resume(),
            Step::Over => Step::Over,
        };
        Ok(if matches!(self.step, Step::Over) { Waking::Ready } else { Waking::More })
    }

    fn memory(&self) -> &MailboxMemory {
        &self.memory
    }

    fn into_memory(self) -> MailboxMemory {
        self.memory
    }
}

impl Loader {
    /// The loader of a log whose runs have at most `run` messages.
    pub(super) fn in_runs_of(run: usize, mut sessions: Vec<Session>) -> Self {
        sessions.sort_by_key(|session| session.epoch);
        Self {
            memory: MailboxMemory { log: Log::in_runs_of(run), ..MailboxMemory::default() },
            step: Step::Numbers,
            reading: Reading::default(),
            fetched: VecDeque::new(),
            sessions: sessions.into(),
        }
    }

    fn numbers(&mut self, storage: &mut dyn Storage) -> Result<Step, StorageError> {
        if storage.query(rows::FIND_TABLES, &[])?.is_empty() {
            return Ok(Step::Sessions);
        }
        self.memory.header.has_tables = true;
        self.memory.has_runs = !storage.query(rows::FIND_RUNS, &[])?.is_empty();
        self.memory.read_meta(storage)?;
        Ok(Step::Agents { after: Value::Text(String::new()) })
    }

    fn agents(&mut self, storage: &mut dyn Storage, after: Value) -> Result<Step, StorageError> {
        let page = storage.query(rows::AGENTS, &[after])?;
        let Some(last) = page.last().and_then(|row| row.first()).cloned() else {
            return Ok(Step::Runs { after: Ordinal::ZERO });
        };
        for row in page {
            let (name, agent, sequence, at) = rows::read_agent(row)?;
            self.memory.header.meet(sequence, at);
            self.reading.add(name, agent);
        }
        Ok(Step::Agents { after: last })
    }

    /// Reads what some runs tell, up to one that tells nothing.
    fn runs(&mut self, storage: &mut dyn Storage, after: Ordinal) -> Result<Step, StorageError> {
        if self.memory.has_runs && self.fetched.is_empty() {
            for row in storage.query(rows::RUNS, &[rows::ordinal(after)])? {
                let mut columns = Columns::of(row);
                let (first, last) = (columns.ordinal()?, columns.ordinal()?);
                self.memory.header.meet(columns.integer()?, columns.instant()?);
                self.fetched.push_back(Fetched { first, last, messages: columns.optional_blob()? });
            }
        }
        if self.fetched.is_empty() {
            let from = rows::after(self.memory.log.covered());
            return Ok(Step::Log { from, run: None });
        }
        let mut after = after;
        while let Some(Fetched { first, last, messages }) = self.fetched.pop_front() {
            let Some(run) = messages.as_deref().and_then(Run::of) else {
                return Ok(Step::Log { from: rows::ordinal(first), run: Some((first, last)) });
            };
            for told in run.messages() {
                let told = checked("a message of a run", told)?;
                self.memory.log.add(first, told.entry);
                self.reading.deliver(&mut self.memory, &told);
            }
            self.cover(first, last, true);
            after = first;
        }
        Ok(Step::Runs { after })
    }

    fn cover(&mut self, first: Ordinal, last: Ordinal, tells: bool) {
        self.memory.log.cover(first, last, tells);
        self.memory.header.last_ordinal = self.memory.header.last_ordinal.max(last);
    }

    fn log(
        &mut self,
        storage: &mut dyn Storage,
        from: Value,
        run: Option<(Ordinal, Ordinal)>,
    ) -> Result<Step, StorageError> {
        let through = run.map_or(Ordinal::MAX, |(_, last)| last);
        let page = storage.query(rows::LOG, &[from, rows::ordinal(through)])?;
        let goes_on = page.len() == rows::LOG_PAGE;
        let mut read_last = Ordinal::ZERO;
        for row in page {
            let logged = rows::read_logged(row)?;
            let entry = logged.entry;
            read_last = entry.seq;
            let header = &mut self.memory.header;
            header.meet(logged.sequence, entry.at);
            header.last_ordinal = header.last_ordinal.max(entry.seq);
            match run {
                Some((first, _)) => self.memory.log.add(first, entry),
                None => self.memory.log.append(entry),
            }
            self.reading.deliver(&mut self.memory, &logged.told());
        }
        if goes_on {
            return Ok(Step::Log { from: rows::after(read_last), run });
        }
        if let Some((first, last)) = run {
            self.cover(first, last, false);
            return Ok(Step::Runs { after: first });
        }
        self.memory.agents = std::mem::take(&mut self.reading).into_agents();
        Ok(Step::Listed { after: None })
    }

    /// Messages that rows list are pending whatever the subscriptions are.
    fn listed(&mut self, after: Option<AgentId>) -> Step {
        let MailboxMemory { agents, log, .. } = &mut self.memory;
        let mut left = PIECE;
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (name, agent) in agents.range_mut((after, Bound::Unbounded)) {
            left = left.saturating_sub(agent.inbox.listed().saturating_add(1));
            agent.inbox.weigh_listed(|seq| {
                let bytes = log.get(seq).map(|entry| u64::from(entry.bytes));
                log.hold(seq);
                bytes
            });
            if left == 0 {
                return Step::Listed { after: Some(name.clone()) };
            }
        }
        Step::Dead { after: [Value::Text(String::new()), Value::Integer(0)] }
    }

    fn dead(&mut self, storage: &mut dyn Storage, after: [Value; 2]) -> Result<Step, StorageError> {
        let page = storage.query(DEAD, &after)?;
        let Some([agent, seq, _]) = page.last().map(Vec::as_slice) else {
            self.memory.drop_nobodies();
            return Ok(Step::Sessions);
        };
        let after = [agent.clone(), seq.clone()];
        for row in page {
            let mut columns = Columns::of(row);
            let (agent, seq) = (columns.agent()?, columns.ordinal()?);
            self.memory.add_failed(&agent, seq, columns.instant()?);
        }
        Ok(Step::Dead { after })
    }

    fn resume(&mut self) -> Step {
        let mut left = PIECE;
        while let Some(session) = self.sessions.pop_front() {
            let agent = self.memory.agents.get(&session.agent);
            let pending =
                agent.map_or(0, |agent| usize::try_from(agent.inbox.len()).unwrap_or(PIECE));
            self.memory.resume(&session);
            left = left.saturating_sub(pending.saturating_add(1));
            if left == 0 {
                return Step::Sessions;
            }
        }
        self.memory.close_surplus();
        Step::Over
    }
}

impl MailboxMemory {
    /// Takes a session up that is an agent's last or one of its superseded ones; another is over. They come by
    /// epoch.
    fn resume(&mut self, session: &Session) {
        let Some(agent) = self.agents.get_mut(&session.agent) else {
            self.close(session, CloseReason::Forgotten);
            return;
        };
        let epoch = agent.registration.as_ref().map(|registration| registration.epoch);
        match epoch {
            Some(epoch) if session.epoch == epoch => {
                agent.resume(&self.log, session, self.header.last_ordinal);
            }
            Some(epoch) if session.epoch < epoch && session.window.is_none() => {
                agent.superseded.push(session.epoch);
            }
            Some(epoch) if session.epoch < epoch => self.close(session, CloseReason::Replaced),
            // The storage was restored to an earlier state.
            Some(_) => self.close(session, CloseReason::Reopen),
            None => self.close(session, CloseReason::Forgotten),
        }
    }

    /// Closes the superseded sessions that are too many, all of them where no session is live.
    fn close_surplus(&mut self) {
        for (name, agent) in &mut self.agents {
            let most = if agent.live.is_some() { limits::AGENT_SUPERSEDED } else { 0 };
            let surplus = agent.superseded.len().saturating_sub(most);
            let reason =
                if agent.live.is_some() { CloseReason::Crowded } else { CloseReason::Reopen };
            for epoch in agent.superseded.drain(..surplus) {
                let to = Connection { agent: name.clone(), epoch };
                self.closings.push(Push { to, notice: Notice::Closed(reason) });
            }
        }
    }

    fn close(&mut self, session: &Session, reason: CloseReason) {
        self.closings.push(Push { to: session.connection(), notice: Notice::Closed(reason) });
    }

    fn read_meta(&mut self, storage: &mut dyn Storage) -> Result<(), StorageError> {
        let Self { header, round_at, expired, .. } = self;
        for row in storage.query(META, &[])? {
            let mut columns = Columns::of(row);
            header.sequence = columns.integer()?;
            header.clock.floor = columns.instant()?;
            header.clock.offset = columns.signed()?;
            header.generation = columns.integer()?;
            header.last_ordinal = columns.ordinal()?;
            *round_at = columns.instant()?;
            *expired = columns.ordinal()?;
        }
        Ok(())
    }
}
