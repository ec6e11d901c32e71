//! Waking: the machine's memory out of its rows, and out of what sockets keep.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use mailbus_spec::mailbox::{CloseReason, Connection, DeadReason, MessageId, MessageType};
use mailbus_spec::mailbox::{Notice, Push};
use mailbus_spec::{AgentId, Ordinal, limits};

use super::agent::Agent;
use super::ledger::Ledger;
use super::log::{Entry, key};
use super::rows;
use super::state::Machine;
use crate::mailbox::Session;
use crate::sql::{Columns, checked};
use crate::storage::{Row, Storage, StorageError, Value};

const META: &str = "\
    SELECT commit_no, clock, clock_offset, generation, last_seq, round_at, expired FROM meta";
/// One page of what failed, in the order of the key. Parameters: the key to begin after.
const DEAD: &str = "\
    SELECT agent, seq FROM dead WHERE (agent, seq) > (?1, ?2) ORDER BY agent, seq LIMIT 1024";
/// One page of the log without what was said. Parameters: the seq to begin after.
const LOG: &str = "\
    SELECT seq, at, commit_no, sender, id, type, recipient, refused, need_ack, length(body) \
    FROM log WHERE seq > ?1 ORDER BY seq LIMIT 1024";

/// Most types whose audience is remembered while the log is read.
const AUDIENCES: usize = 4_096;

impl Machine {
    /// The machine as its rows have it and as `sessions` go on. Writes nothing: on an untouched
    /// database there are no tables.
    pub(super) fn load(
        storage: &mut dyn Storage,
        sessions: Vec<Session>,
    ) -> Result<Self, StorageError> {
        let mut machine = Self::default();
        if !storage.query(rows::FIND_TABLES, &[])?.is_empty() {
            machine.has_tables = true;
            machine.ledger = load_ledger(storage)?;
            let mut reading = Reading::default();
            reading.load_agents(storage, &mut machine.ledger)?;
            reading.load_log(storage, &mut machine)?;
            machine.agents = reading.agents();
            machine.hold_listed();
            machine.load_dead(storage)?;
            machine.drop_nobodies();
        }
        machine.resume(sessions);
        Ok(machine)
    }

    /// What rows list is pending whatever the subscriptions are.
    fn hold_listed(&mut self) {
        let Self { agents, log, .. } = self;
        for agent in agents.values_mut() {
            agent.inbox.weigh_listed(|seq| {
                let bytes = log.get(seq).map(|entry| u64::from(entry.bytes));
                log.hold(seq);
                bytes
            });
        }
    }

    fn load_dead(&mut self, storage: &mut dyn Storage) -> Result<(), StorageError> {
        let mut after = [Value::Text(String::new()), Value::Integer(0)];
        loop {
            let page = storage.query(DEAD, &after)?;
            let Some([agent, seq]) = page.last().map(Vec::as_slice) else { return Ok(()) };
            after = [agent.clone(), seq.clone()];
            for row in page {
                let mut columns = Columns::of(row);
                let (agent, seq) = (columns.agent()?, columns.ordinal()?);
                if self.log.get(seq).is_some() {
                    self.add_letter(&agent, seq, DeadReason::Failed);
                }
            }
        }
    }

    /// Takes the sessions up that are an agent's last or its mute ones; the others are over.
    fn resume(&mut self, mut sessions: Vec<Session>) {
        sessions.sort_by_key(|session| session.epoch);
        for session in &sessions {
            let Some(agent) = self.agents.get_mut(&session.agent) else {
                self.close(session, CloseReason::Forgotten);
                continue;
            };
            let epoch = agent.registration.as_ref().map(|registration| registration.epoch);
            match epoch {
                Some(epoch) if session.epoch == epoch => {
                    agent.resume(&self.log, session, self.ledger.last_seq);
                }
                Some(epoch) if session.epoch < epoch && session.window.is_none() => {
                    agent.mute.push(session.epoch);
                }
                Some(epoch) if session.epoch < epoch => self.close(session, CloseReason::Replaced),
                // The storage was restored to an earlier state.
                Some(_) => self.close(session, CloseReason::Reopen),
                None => self.close(session, CloseReason::Forgotten),
            }
        }
        for (name, agent) in &mut self.agents {
            let most = if agent.live.is_some() { limits::AGENT_MUTE } else { 0 };
            let surplus = agent.mute.len().saturating_sub(most);
            let reason =
                if agent.live.is_some() { CloseReason::Crowded } else { CloseReason::Reopen };
            for epoch in agent.mute.drain(..surplus) {
                let to = Connection { agent: name.clone(), epoch };
                self.closings.push(Push { to, notice: Notice::Closed(reason) });
            }
        }
    }

    fn close(&mut self, session: &Session, reason: CloseReason) {
        self.closings.push(Push { to: session.connection(), notice: Notice::Closed(reason) });
    }
}

fn load_ledger(storage: &mut dyn Storage) -> Result<Ledger, StorageError> {
    let mut ledger = Ledger::default();
    for row in storage.query(META, &[])? {
        let mut columns = Columns::of(row);
        ledger.sequence = columns.integer()?;
        ledger.clock.floor = columns.instant()?;
        ledger.clock.offset = columns.signed()?;
        ledger.generation = columns.integer()?;
        ledger.last_seq = columns.ordinal()?;
        ledger.round_at = columns.instant()?;
        ledger.expired = columns.ordinal()?;
    }
    Ok(ledger)
}

/// One message of the log as it is read on waking.
struct Read {
    entry: Entry,
    sequence: u64,
    sender: AgentId,
    kind: MessageType,
    recipient: Option<AgentId>,
    refused: BTreeSet<AgentId>,
}

impl Read {
    fn of(row: Row) -> Result<Self, StorageError> {
        let mut columns = Columns::of(row);
        let (seq, at, sequence) = (columns.ordinal()?, columns.instant()?, columns.integer()?);
        let sender = columns.agent()?;
        let key = match columns.optional_text()? {
            Some(id) => key(&checked("an id", MessageId::new(id).ok())?, &sender),
            None => 0,
        };
        let kind = checked("a type", MessageType::new(columns.text()?).ok())?;
        let recipient = columns.optional_text()?.map(AgentId::new).transpose();
        let recipient = checked("an agent or nobody", recipient.ok())?;
        let refused = columns.optional_text()?;
        let refused = refused.iter().flat_map(|names| rows::refused_names(names));
        let refused = checked("agents", refused.map(AgentId::new).collect::<Result<_, _>>().ok())?;
        let ack_required = columns.flag()?;
        let bytes = checked("a size", u32::try_from(columns.integer()?).ok())?;
        let entry = Entry { seq, at, key, bytes, holders: 0, ack_required };
        Ok(Self { entry, sequence, sender, kind, recipient, refused })
    }
}

/// The agents while the log is read: in a row by name, so that the audience of a type is a list of
/// places.
#[derive(Default)]
struct Reading {
    names: Vec<AgentId>,
    agents: Vec<Agent>,
    /// Names that have no row.
    unknown: BTreeMap<AgentId, Agent>,
    audiences: BTreeMap<MessageType, Rc<[usize]>>,
}

impl Reading {
    fn load_agents(
        &mut self,
        storage: &mut dyn Storage,
        ledger: &mut Ledger,
    ) -> Result<(), StorageError> {
        let mut after = Value::Text(String::new());
        loop {
            let page = storage.query(rows::AGENTS, &[after])?;
            let Some(last) = page.last().and_then(|row| row.first()) else { return Ok(()) };
            after = last.clone();
            for row in page {
                let (name, agent, sequence, at) = rows::read_agent(row)?;
                ledger.meet(sequence, at);
                self.names.push(name);
                self.agents.push(agent);
            }
        }
    }

    fn load_log(
        &mut self,
        storage: &mut dyn Storage,
        machine: &mut Machine,
    ) -> Result<(), StorageError> {
        let mut after = Ordinal::ZERO;
        loop {
            let page = storage.query(LOG, &[rows::ordinal(after)])?;
            if page.is_empty() {
                return Ok(());
            }
            for row in page {
                let read = Read::of(row)?;
                after = read.entry.seq;
                machine.ledger.meet(read.sequence, read.entry.at);
                machine.ledger.last_seq = machine.ledger.last_seq.max(read.entry.seq);
                machine.log.append(read.entry);
                self.deliver(machine, &read);
            }
        }
    }

    fn deliver(&mut self, machine: &mut Machine, read: &Read) {
        let expired = read.entry.seq <= machine.ledger.expired;
        for name in &read.refused {
            self.refuse(machine, name, read.entry.seq, expired);
        }
        if let Some(to) = &read.recipient {
            let place = self.names.binary_search(to).ok();
            if read.refused.contains(to) {
                return;
            }
            match place.and_then(|place| self.agents.get_mut(place)) {
                Some(agent) => owe(agent, machine, &read.entry, expired),
                None => {
                    let agent = self.unknown.entry(to.clone()).or_default();
                    owe(agent, machine, &read.entry, expired);
                }
            }
            return;
        }
        let audience = self.audience(&read.kind);
        for place in audience.iter() {
            let (Some(name), Some(agent)) = (self.names.get(*place), self.agents.get_mut(*place))
            else {
                continue;
            };
            let wanted = agent.registration.as_ref().is_some_and(|registration| {
                registration.subscriptions.wanted(&read.kind, read.entry.seq)
            });
            if wanted && *name != read.sender && !read.refused.contains(name) {
                owe(agent, machine, &read.entry, expired);
            }
        }
    }

    fn refuse(&mut self, machine: &mut Machine, name: &AgentId, seq: Ordinal, expired: bool) {
        let place = self.names.binary_search(name).ok();
        let agent = match place.and_then(|place| self.agents.get_mut(place)) {
            Some(agent) => agent,
            None => self.unknown.entry(name.clone()).or_default(),
        };
        if expired || seq <= agent.forgotten {
            return;
        }
        let change = agent.letters.add(seq, DeadReason::Refused);
        if change.held {
            machine.log.hold(seq);
        }
        if let Some(older) = change.released {
            machine.log.release(older);
        }
    }

    /// Whom a message of this type may have been for.
    fn audience(&mut self, kind: &MessageType) -> Rc<[usize]> {
        if let Some(known) = self.audiences.get(kind) {
            return Rc::clone(known);
        }
        let wants = |agent: &Agent| {
            let registration = agent.registration.as_ref();
            registration.is_some_and(|registration| registration.subscriptions.ever_wanted(kind))
        };
        let places = self.agents.iter().enumerate().filter(|(_, agent)| wants(agent));
        let places: Rc<[usize]> = places.map(|(place, _)| place).collect();
        if self.audiences.len() >= AUDIENCES {
            self.audiences.clear();
        }
        self.audiences.insert(kind.clone(), Rc::clone(&places));
        places
    }

    fn agents(self) -> BTreeMap<AgentId, Agent> {
        let mut agents = self.unknown;
        agents.extend(self.names.into_iter().zip(self.agents));
        agents
    }
}

/// Makes a message that was addressed to the agent pending, if its row does not decide that.
fn owe(agent: &mut Agent, machine: &mut Machine, entry: &Entry, expired: bool) {
    let is_over = expired && agent.registration.is_none();
    if entry.seq > agent.inbox.high() && !is_over {
        agent.receive(&mut machine.log, entry);
    }
}
