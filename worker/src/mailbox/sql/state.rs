//! Memory of the mailbox machine between two events.

use std::collections::BTreeMap;

use mailbus_spec::mailbox::{Connection, DeadReason, Push};
use mailbus_spec::{AgentId, Ordinal, Timestamp, limits};

use super::agent::Agent;
use super::dead_letters::{DeadLetters, Failed};
use super::log::Log;
use super::session::LiveSession;
use crate::sql::Header;

/// Memory of the mailbox machine.
///
/// Invariant: `header.last_ordinal` is the largest `seq` of the log, unless `meta` has a larger one;
/// `round_at` and `expired` stand in `meta` alone, which is written whenever they move.
#[derive(Debug, Default, PartialEq)]
pub struct MailboxMemory {
    /// The numbers; the ordinals are each `seq`.
    pub(super) header: Header,
    /// Time at which a round of collection last came to its end.
    pub(super) round_at: Timestamp,
    /// Last message up to which what was accepted is past its retention for everybody.
    pub(super) expired: Ordinal,
    /// True if the table of runs is there.
    pub(super) has_runs: bool,
    /// The messages, without what was said.
    pub(super) log: Log,
    /// Agents that are known by name, were once, or have mail kept for them.
    pub(super) agents: BTreeMap<AgentId, Agent>,
    /// Sockets that were found open on waking and whose sessions are over: the next event says so.
    pub(super) closings: Vec<Push>,
}

impl MailboxMemory {
    /// True if the agent is known by name.
    pub fn is_known(&self, name: &AgentId) -> bool {
        self.agents.get(name).is_some_and(|agent| agent.registration.is_some())
    }

    /// Number of agents that are known by name.
    pub fn registered(&self) -> usize {
        self.agents.values().filter(|agent| agent.registration.is_some()).count()
    }

    /// The live session of this name.
    pub(super) fn live(&self, connection: &Connection) -> Option<&LiveSession> {
        let live = self.agents.get(&connection.agent)?.live.as_ref()?;
        (live.epoch == connection.epoch).then_some(live)
    }

    /// One more message that failed for an agent, at this time.
    pub fn add_failed(&mut self, name: &AgentId, seq: Ordinal, at: Timestamp) {
        let (Some(agent), Some(entry)) = (self.agents.get_mut(name), self.log.get(seq)) else {
            return;
        };
        agent.dead_letters.add_failed(seq, Failed { at, bytes: u64::from(entry.bytes) });
        self.log.keep(seq);
    }

    /// One more message that an agent's inbox refused.
    pub fn add_refused(&mut self, name: &AgentId, seq: Ordinal) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let change = agent.dead_letters.add_refused(seq);
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
            log.forget_letters(&std::mem::take(&mut agent.dead_letters));
        }
        agents.retain(|_, agent| agent.has_row || !agent.is_nobody());
    }

    /// Time at which somebody can be pushed something although nothing else happens.
    pub fn next_push(&mut self) -> Option<Timestamp> {
        let Self { agents, log, header, .. } = self;
        let floor = header.clock.floor;
        agents.values_mut().filter_map(|agent| agent.next_push(log, floor)).min()
    }

    /// Time at which the next round of collection has something to do.
    pub(super) fn next_round(&self) -> Option<Timestamp> {
        let free = self.log.first_free().map(|entry| entry.at.plus_ms(limits::DEDUP_MS));
        let held = self.log.first_held().map(|entry| entry.at.plus_ms(limits::RETENTION_MS));
        let presumed = self.agents.values().filter_map(|agent| self.presumes_at(agent));
        let silent = self.agents.values().filter_map(Agent::forgotten_at);
        let seen = self.agents.values().filter_map(Agent::sight_at);
        let deaths = self.agents.values().filter_map(|agent| agent.dead_letters.first_death());
        let dead = deaths.map(|at| at.plus_ms(limits::RETENTION_MS));
        let next = free.into_iter().chain(held).chain(dead).chain(presumed).chain(silent);
        let next = next.chain(seen).min()?;
        Some(next.max(self.round_at.plus_ms(limits::COLLECTION_MS)))
    }

    /// Time at which the first delivery to the agent's session is presumed settled.
    pub(super) fn presumes_at(&self, agent: &Agent) -> Option<Timestamp> {
        let live = agent.live.as_ref()?;
        let at = self.log.get(live.first_presumable?)?.at;
        Some(at.max(live.since).plus_ms(limits::PRESUMED_MS))
    }
}

impl Log {
    /// Nobody keeps these dead letters any more.
    pub(super) fn forget_letters(&mut self, letters: &DeadLetters) {
        for (seq, reason) in letters.from(Ordinal::ZERO) {
            match reason {
                DeadReason::Failed => self.let_go(seq),
                DeadReason::Refused => self.release(seq),
            }
        }
    }
}

impl Agent {
    /// Time at which an agent is forgotten that is not heard of any more; never while something is kept for
    /// it.
    pub fn forgotten_at(&self) -> Option<Timestamp> {
        let registration = self.registration.as_ref()?;
        let keeps = self.has_session() || !self.inbox.is_empty();
        if keeps || !self.dead_letters.is_empty() {
            return None;
        }
        let told = registration.losses.count == 0;
        let kept_ms = if told { limits::KNOWN_MS } else { limits::LOSSES_MS };
        Some(registration.written_at.plus_ms(kept_ms))
    }

    /// True if a session of the agent is open, live or superseded.
    pub fn has_session(&self) -> bool {
        self.live.is_some() || !self.superseded.is_empty()
    }

    /// Time at which the session of an agent is its next sign of life.
    pub fn sight_at(&self) -> Option<Timestamp> {
        let known = self.registration.as_ref().filter(|_| self.has_session())?;
        Some(known.written_at.plus_ms(limits::SIGHT_MS))
    }
}
