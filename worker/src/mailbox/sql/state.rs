//! What the machine keeps in memory between two events.

use std::collections::BTreeMap;

use mailbus_spec::mailbox::{Connection, DeadReason, LimitKind, Push, Rejection};
use mailbus_spec::{AgentId, HostTime, Ordinal, Timestamp, limits};

use super::agent::{Agent, Registration};
use super::header::Header;
use super::log::Log;
use super::rows;
use super::session::LiveSession;
use super::subscriptions::MOST_SPANS;
use super::turn::Turn;
use crate::sql::is_past;
use crate::storage::Value;

/// The machine's memory: all of it is in the rows too, and in what sockets keep.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Machine {
    /// True if the tables are there: nothing is created for a read or a refusal.
    pub has_tables: bool,
    /// True if the table of runs is there.
    pub has_runs: bool,
    /// The numbers.
    pub header: Header,
    /// The messages, without what was said.
    pub log: Log,
    /// Agents that are known by name, were once, or have mail kept for them.
    pub agents: BTreeMap<AgentId, Agent>,
    /// Sockets that were found open on waking and whose sessions are over: the next event says so.
    pub closings: Vec<Push>,
}

/// About how many bytes one name takes in memory, without its mail.
const AGENT_BYTES: u64 = 1_024;

impl Machine {
    /// About how many bytes of memory it holds.
    pub fn footprint(&self) -> u64 {
        let agents = (self.agents.len() as u64).saturating_mul(AGENT_BYTES);
        agents.saturating_add(self.log.footprint())
    }

    /// True if nobody would miss its rows, and nothing of them is used again.
    pub fn is_blank(&self, now: HostTime) -> bool {
        let Header { clock, last_seq, generation, .. } = &self.header;
        let keeps = self.log.first().is_some() || !self.agents.is_empty();
        !keeps && self.closings.is_empty() && is_past(now, clock, *last_seq, *generation)
    }

    /// Number of agents that are known by name.
    pub fn registered(&self) -> usize {
        self.agents.values().filter(|agent| agent.registration.is_some()).count()
    }

    /// The live session of this name.
    pub fn live(&self, connection: &Connection) -> Option<&LiveSession> {
        let live = self.agents.get(&connection.agent)?.live.as_ref()?;
        (live.epoch == connection.epoch).then_some(live)
    }

    /// Writes something about an agent, which is known by name from then on.
    pub fn register(&mut self, turn: &mut Turn<'_>, name: &AgentId) -> Result<(), Rejection> {
        let known = self.agents.get(name).is_some_and(|agent| agent.registration.is_some());
        if !known && self.registered() >= limits::WORKSPACE_AGENTS {
            return Err(Rejection::Limit(LimitKind::Agents));
        }
        let agent = self.agents.entry(name.clone()).or_default();
        agent.registration.get_or_insert_with(Registration::default);
        self.touch(turn, name);
        Ok(())
    }

    /// Writes something about an agent that is known by name.
    pub fn touch(&mut self, turn: &mut Turn<'_>, name: &AgentId) {
        let registration = self.agents.get_mut(name).and_then(|agent| agent.registration.as_mut());
        if let Some(registration) = registration {
            registration.written_at = turn.now();
            turn.writes_agent(name);
        }
    }

    /// One more dead letter of an agent.
    pub fn add_letter(&mut self, name: &AgentId, seq: Ordinal, reason: DeadReason) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let change = agent.dead_letters.add(seq, reason);
        if change.held {
            self.log.hold(seq);
        }
        if let Some(older) = change.released {
            self.log.release(older);
        }
    }

    /// Lets go of names that nothing is known of, and of what was refused for them.
    pub fn drop_nobodies(&mut self) {
        let Self { agents, log, .. } = self;
        for agent in agents.values_mut().filter(|agent| agent.is_nobody()) {
            for (seq, _) in std::mem::take(&mut agent.dead_letters).from(Ordinal::ZERO) {
                log.release(seq);
            }
        }
        agents.retain(|_, agent| agent.has_row || !agent.is_nobody());
    }

    /// The agent's row as it is to be written; `None` if it is to be deleted.
    pub fn agent_columns(&mut self, name: &AgentId) -> Option<Vec<Value>> {
        let last_seq = self.header.last_seq;
        let first = self.log.first();
        let agent = self.agents.get_mut(name)?;
        if let Some(registration) = &mut agent.registration {
            let subscriptions = &mut registration.subscriptions;
            subscriptions.forget_through(agent.inbox.high());
            if subscriptions.len() > MOST_SPANS {
                agent.inbox.raise(last_seq);
                subscriptions.forget_through(last_seq);
            }
        } else if first.is_none_or(|first| first > agent.forgotten) {
            // Nothing is left that it would have to forget.
            agent.has_row = false;
            agent.forgotten = Ordinal::ZERO;
            agent.inbox.forget_high();
            if agent.is_nobody() {
                self.agents.remove(name);
            }
            return None;
        }
        agent.has_row = true;
        Some(rows::agent_columns(name, agent))
    }

    /// Time at which the object wants to be woken next, in object time.
    pub fn next_alarm(&mut self) -> Option<Timestamp> {
        self.next_push().into_iter().chain(self.next_round()).min()
    }

    /// Time at which somebody can be pushed something although nothing else happens.
    pub fn next_push(&mut self) -> Option<Timestamp> {
        let Self { agents, log, header, .. } = self;
        let floor = header.clock.floor;
        agents.values_mut().filter_map(|agent| agent.next_push(log, floor)).min()
    }

    /// Time at which the next round of collection has something to do.
    fn next_round(&self) -> Option<Timestamp> {
        let free = self.log.first_free().map(|entry| entry.at.plus_ms(limits::DEDUP_MS));
        let held = self.log.first_held().map(|entry| entry.at.plus_ms(limits::RETENTION_MS));
        let presumed = self.agents.values().filter_map(|agent| self.presumes_at(agent));
        let silent = self.agents.values().filter_map(Agent::forgotten_at);
        let next = free.into_iter().chain(held).chain(presumed).chain(silent).min()?;
        Some(next.max(self.header.round_at.plus_ms(limits::COLLECTION_MS)))
    }

    /// Time at which the first delivery to the agent's session is presumed settled.
    pub fn presumes_at(&self, agent: &Agent) -> Option<Timestamp> {
        let live = agent.live.as_ref()?;
        let at = self.log.get(live.first_presumable?)?.at;
        Some(at.max(live.since).plus_ms(limits::PRESUMED_MS))
    }
}

impl Agent {
    /// Time at which an agent is forgotten that is not heard of any more; never while something is kept for
    /// it.
    pub fn forgotten_at(&self) -> Option<Timestamp> {
        let registration = self.registration.as_ref()?;
        let keeps = self.live.is_some() || !self.superseded.is_empty() || !self.inbox.is_empty();
        if keeps || !self.dead_letters.is_empty() {
            return None;
        }
        Some(registration.written_at.plus_ms(limits::RETENTION_MS))
    }
}
