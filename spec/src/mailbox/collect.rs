//! End of messages that are too old: lost by those who are owed them, collected when nobody is.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::id::AgentId;
use crate::limits;
use crate::mailbox::machine::Turn;
use crate::mailbox::state::{Agent, Logged, MailboxMachine};
use crate::ordinal::Ordinal;
use crate::time::Timestamp;

impl MailboxMachine {
    /// Whoever has a session loses what is past its retention, in every event: so nothing is pushed that
    /// is too old, and nothing is passed over.
    pub(super) fn expire_live(&mut self, turn: &mut Turn) {
        let live = self.agents.iter().filter(|(_, agent)| agent.live.is_some());
        let names: Vec<AgentId> = live.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.expire(turn, &name);
        }
    }

    /// The agent loses what is past its retention.
    fn expire(&mut self, turn: &mut Turn, name: &AgentId) {
        let now = turn.now();
        let Some(agent) = self.agents.get(name) else { return };
        let is_old = |seq: &&Ordinal| {
            self.log.entries.get(seq).is_none_or(|logged| logged.expires_at() <= now)
        };
        let over: Vec<Ordinal> = agent.inbox.open.keys().take_while(is_old).copied().collect();
        if over.is_empty() {
            return;
        }
        self.record(turn, name);
        for seq in over {
            let still =
                self.agents.get(name).is_some_and(|agent| agent.inbox.open.contains_key(&seq));
            if still {
                self.take(name, seq);
                self.lose(turn, name, seq);
            }
        }
        turn.wrote = true;
    }

    /// One round of collection, if the last was long enough ago.
    pub(super) fn collect(&mut self, turn: &mut Turn) {
        if turn.now() < self.round_at.plus_ms(limits::COLLECTION_MS) {
            return;
        }
        let before = turn.wrote;
        turn.wrote = false;
        self.presume_all(turn);
        let names: Vec<AgentId> = self.agents.keys().cloned().collect();
        for name in names {
            self.expire(turn, &name);
        }
        self.drop_dead(turn);
        self.see_sessions(turn);
        // What was refused for nobody goes in the same round.
        self.forget_the_silent(turn);
        let deleted = self.delete(turn);
        if turn.wrote {
            // Beyond those that count there may be more.
            self.end_refusals(turn.now());
            if deleted < limits::COLLECTION_ROWS {
                self.round_at = turn.now();
            }
        }
        turn.wrote |= before;
    }

    /// Only what is presumed by its age makes a round write; the rest of a full inbox goes with it.
    fn presume_all(&mut self, turn: &mut Turn) {
        let now = turn.now();
        let names: Vec<AgentId> = self.agents.keys().cloned().collect();
        for name in names {
            let aged = self
                .presumable(&name)
                .into_iter()
                .any(|seq| self.presumed_at(&name, seq).is_some_and(|at| at <= now));
            if aged {
                self.record(turn, &name);
            }
        }
    }

    /// Ends of dead letters: of one that failed a retention after its death, of a refused one after its
    /// acceptance ([refuted](crate::rules::refuted#letters-that-die-with-their-message)).
    fn drop_dead(&mut self, turn: &mut Turn) {
        let now = turn.now();
        let is_old = |logged: &Logged| logged.expires_at() <= now;
        let has_old = self
            .agents
            .keys()
            .flat_map(|name| self.letters(name))
            .any(|(_, logged, failed)| failed.is_none() && is_old(logged));
        if has_old {
            self.end_refusals(now);
            turn.wrote = true;
        }
        for agent in self.agents.values_mut() {
            let before = agent.failed.len();
            agent.failed.retain(|_, failed| now < failed.ends_at());
            turn.wrote |= agent.failed.len() < before;
        }
    }

    fn end_refusals(&mut self, now: Timestamp) {
        let entries = self.log.entries.values_mut();
        for logged in entries.take_while(|logged| logged.expires_at() <= now) {
            logged.refused.clear();
        }
    }

    /// Deletes what nobody is owed or keeps among his dead letters, the oldest first; says how many.
    fn delete(&mut self, turn: &mut Turn) -> usize {
        let (owed, failed) = (self.owed(), self.failed());
        let now = turn.now();
        let free = self
            .log
            .entries
            .iter()
            .take_while(|(_, logged)| logged.at.plus_ms(limits::DEDUP_MS) <= now)
            .filter(|(seq, _)| !owed.contains(seq) && !failed.contains_key(seq))
            .take(limits::COLLECTION_ROWS);
        let free: Vec<Ordinal> = free.map(|(seq, _)| *seq).collect();
        for seq in &free {
            self.log.remove(*seq);
        }
        turn.wrote |= !free.is_empty();
        free.len()
    }

    /// The messages that are pending for somebody, or were refused and kept.
    fn owed(&self) -> BTreeSet<Ordinal> {
        let mut owed = BTreeSet::new();
        for (name, agent) in &self.agents {
            owed.extend(agent.inbox.open.keys().copied());
            let refused = self.letters(name).filter(|(.., failed)| failed.is_none());
            owed.extend(refused.map(|(seq, ..)| seq));
        }
        owed
    }

    /// The messages that failed for somebody, each with the time at which the first of them is over.
    fn failed(&self) -> BTreeMap<Ordinal, Timestamp> {
        let mut ends: BTreeMap<Ordinal, Timestamp> = BTreeMap::new();
        for (seq, failed) in self.agents.values().flat_map(|agent| &agent.failed) {
            let end = ends.entry(*seq).or_insert(Timestamp::MAX);
            *end = failed.ends_at().min(*end);
        }
        ends
    }

    /// Sessions as signs of life of their agents.
    fn see_sessions(&mut self, turn: &mut Turn) {
        let present = self.agents.iter().filter(|(_, agent)| agent.has_session());
        let present: Vec<AgentId> = present.map(|(name, _)| name.clone()).collect();
        for name in &present {
            self.see(turn, name);
        }
    }

    fn forget_the_silent(&mut self, turn: &mut Turn) {
        let now = turn.now();
        let silent = self
            .agents
            .iter()
            .filter(|(name, agent)| self.forgotten_at(name, agent).is_some_and(|at| at <= now));
        let silent: Vec<AgentId> = silent.map(|(name, _)| name.clone()).collect();
        for name in &silent {
            if let Some(agent) = self.agents.remove(name) {
                self.retire_epochs(&agent);
            }
        }
        turn.wrote |= !silent.is_empty();
        // A name that never connected is nobody once its mail is gone, and keeps no dead letters.
        let nobodies = self.agents.iter().filter(|(_, agent)| agent.is_nobody());
        let nobodies: Vec<AgentId> = nobodies.map(|(name, _)| name.clone()).collect();
        for name in &nobodies {
            self.agents.remove(name);
            self.drop_refusals(name);
        }
    }

    /// Time at which an agent is forgotten that is not heard of any more; never while something is kept for
    /// it.
    fn forgotten_at(&self, name: &AgentId, agent: &Agent) -> Option<Timestamp> {
        let registration = agent.registration.as_ref()?;
        let keeps = agent.has_session() || !agent.inbox.is_empty();
        if keeps || self.letters(name).next().is_some() {
            return None;
        }
        let told = registration.losses.count == 0;
        let kept_ms = if told { limits::KNOWN_MS } else { limits::LOSSES_MS };
        Some(registration.written_at.plus_ms(kept_ms))
    }

    /// Time at which the next round of collection has something to do.
    pub(super) fn next_round(&self) -> Option<Timestamp> {
        let (owed, failed) = (self.owed(), self.failed());
        let dead = failed.values().copied();
        let rows = self.log.entries.iter().filter_map(|(seq, logged)| {
            if owed.contains(seq) {
                return Some(logged.expires_at());
            }
            (!failed.contains_key(seq)).then(|| logged.at.plus_ms(limits::DEDUP_MS))
        });
        let presumed = self.agents.keys().flat_map(|name| {
            self.presumable(name).into_iter().filter_map(|seq| self.presumed_at(name, seq))
        });
        let silent = self.agents.iter().filter_map(|(name, agent)| self.forgotten_at(name, agent));
        let seen = self.agents.values().filter_map(Agent::sight_at);
        let next = rows.chain(dead).chain(presumed).chain(silent).chain(seen).min()?;
        Some(next.max(self.round_at.plus_ms(limits::COLLECTION_MS)))
    }
}
