//! End of messages that are too old: lost by those who are owed them, deleted when nobody is.

use mailbus_spec::{AgentId, Ordinal, Timestamp, limits};

use super::agent::Agent;
use super::rows;
use super::state::MailboxMemory;
use super::turn::Turn;

impl MailboxMemory {
    /// Whoever has a session loses what is past its retention, in every event: so nothing is pushed that
    /// is too old, and nothing is passed over.
    pub(super) fn expire_live(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        let has_old = |log: &super::log::Log| {
            log.first_held().is_some_and(|entry| is_past_retention(entry.at, now))
        };
        if !has_old(&self.log) {
            return;
        }
        for name in self.names(|agent| agent.live.is_some()) {
            self.expire(turn, &name);
        }
    }

    fn names(&self, choose: impl Fn(&Agent) -> bool) -> Vec<AgentId> {
        let chosen = self.agents.iter().filter(|(_, agent)| choose(agent));
        chosen.map(|(name, _)| name.clone()).collect()
    }

    /// The agent loses what is past its retention.
    fn expire(&mut self, turn: &mut Turn<'_>, name: &AgentId) {
        let now = turn.now();
        let Some(agent) = self.agents.get(name) else { return };
        let is_old =
            |seq: &Ordinal| self.log.get(*seq).is_none_or(|entry| is_past_retention(entry.at, now));
        let pending = agent.inbox.from(Ordinal::ZERO).map(|(seq, _)| seq);
        let over: Vec<Ordinal> = pending.take_while(is_old).collect();
        if over.is_empty() {
            return;
        }
        self.record(turn, name);
        for seq in over {
            let inbox = self.agents.get(name).map(|agent| &agent.inbox);
            if inbox.is_some_and(|inbox| inbox.get(seq).is_some()) {
                self.take(turn, name, seq);
                self.lose(turn, name, seq);
            }
        }
        if self.agents.get(name).is_some_and(|agent| agent.registration.is_none()) {
            // It has no row; that the round was here says it.
            turn.writes_meta();
        }
    }

    /// One round of collection, if the last was long enough ago.
    pub(super) fn collect_round(&mut self, turn: &mut Turn<'_>) {
        if turn.now() < self.round_at.plus_ms(limits::COLLECTION_MS) {
            return;
        }
        let wrote_before = turn.take_wrote();
        self.presume_all(turn);
        for name in self.names(|agent| !agent.inbox.is_empty()) {
            self.expire(turn, &name);
        }
        let expired = self.drop_letters(turn);
        for name in self.names(Agent::has_session) {
            self.see(turn, &name);
        }
        // What was refused for nobody goes in the same round.
        self.forget_the_silent(turn);
        let deleted = self.delete(turn);
        turn.gathered.writes_more_runs();
        if turn.has_written() {
            // From here on the machine knows by one number what is past its retention for everybody.
            self.expired = self.expired.max(expired);
            if deleted < limits::COLLECTION_ROWS {
                self.round_at = turn.now();
            }
            self.drop_tombstones(turn);
            turn.writes_meta();
        } else if wrote_before {
            turn.writes_meta();
        }
    }

    /// Only what is presumed by its age makes a round write; the rest of a full inbox goes with it.
    fn presume_all(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        for name in self.names(|agent| self.presumes_at(agent).is_some_and(|at| at <= now)) {
            self.record(turn, &name);
        }
    }

    /// Ends of dead letters: of one that failed a retention after its death, of a refused one after its
    /// acceptance. Says up to which message that is over.
    fn drop_letters(&mut self, turn: &mut Turn<'_>) -> Ordinal {
        let now = turn.now();
        let old = self.log.from(Ordinal::ZERO).take_while(|entry| is_past_retention(entry.at, now));
        let last = old.last().map_or(Ordinal::ZERO, |entry| entry.seq);
        let then = now.ms().checked_sub(limits::RETENTION_MS).and_then(Timestamp::from_ms);
        let Self { agents, log, .. } = self;
        for (name, agent) in agents {
            for seq in agent.dead_letters.drop_refused_through(last) {
                log.release(seq);
                turn.writes_meta();
            }
            let Some(then) = then else { continue };
            let mut has_row = false;
            while let Some(seq) = agent.dead_letters.drop_dead_by(then) {
                log.let_go(seq);
                has_row = true;
            }
            if has_row {
                turn.write(rows::DELETE_DEAD_BY, vec![rows::name(name), rows::instant(then)]);
            }
        }
        last
    }

    /// Deletes what nobody is owed or keeps among his dead letters, the oldest first; says how many.
    fn delete(&mut self, turn: &mut Turn<'_>) -> usize {
        let now = turn.now();
        let mut runs: Vec<(Ordinal, Ordinal)> = Vec::new();
        let mut deleted = Vec::new();
        let mut goes_on = false;
        let begin = self.log.first_free().map_or(Ordinal::MAX, |entry| entry.seq);
        for entry in self.log.from(begin) {
            if entry.at.plus_ms(limits::DEDUP_MS) > now || deleted.len() >= limits::COLLECTION_ROWS
            {
                break;
            }
            if !self.log.is_free(entry) {
                goes_on = false;
                continue;
            }
            match runs.last_mut().filter(|_| goes_on) {
                Some((_, last)) => *last = entry.seq,
                None => runs.push((entry.seq, entry.seq)),
            }
            goes_on = true;
            deleted.push(entry.seq);
        }
        for seq in &deleted {
            self.log.remove(*seq);
        }
        for (first, last) in runs {
            turn.write(rows::DELETE_MESSAGES, vec![rows::ordinal(first), rows::ordinal(last)]);
        }
        deleted.len()
    }

    fn forget_the_silent(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        let is_silent = |agent: &Agent| agent.forgotten_at().is_some_and(|at| at <= now);
        for name in self.names(is_silent) {
            self.forget_row(turn, &name);
        }
        // A name that never connected is nobody once its mail is gone, and keeps no dead letters.
        let keeps_letters = |agent: &Agent| agent.is_nobody() && !agent.dead_letters.is_empty();
        for name in self.names(keeps_letters) {
            self.forget_row(turn, &name);
        }
        self.drop_nobodies();
    }

    /// Rows of the forgotten go once the log has nothing of their time.
    fn drop_tombstones(&mut self, turn: &mut Turn<'_>) {
        let first = self.log.first();
        let is_needless = |agent: &Agent| {
            let is_tombstone = agent.has_row && agent.registration.is_none();
            is_tombstone && first.is_none_or(|first| first > agent.forgotten)
        };
        for name in self.names(is_needless) {
            turn.writes_agent(&name);
        }
    }
}

pub(super) fn is_past_retention(at: Timestamp, now: Timestamp) -> bool {
    at.plus_ms(limits::RETENTION_MS) <= now
}
