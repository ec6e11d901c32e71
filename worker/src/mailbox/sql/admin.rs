//! A second chance for dead letters, and what only an admin may do.

use std::collections::BTreeSet;

use mailbus_spec::mailbox::{CloseReason, DeadReason, Notice, Outcome, Share};
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use super::agent::Agent;
use super::collect::is_past_retention;
use super::rows;
use super::state::MailboxMemory;
use super::turn::{Answer, Turn};
use crate::sql::Columns;
use crate::storage::StorageError;

impl MailboxMemory {
    /// Gives dead letters a second chance, as far as there is room, and none that are past their retention.
    pub(super) fn redrive(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        seqs: &[Ordinal],
    ) -> Answer {
        let distinct: BTreeSet<Ordinal> = seqs.iter().copied().collect();
        let oldest = self.agents.get(name).and_then(|agent| agent.dead_letters.first_refused());
        let (mut redriven, mut unknown, mut refused) = (0_u64, 0_u64, 0_u64);
        for seq in distinct {
            let agent = self.agents.get(name).filter(|agent| !agent.is_nobody());
            let entry = self.log.get(seq).filter(|entry| !is_past_retention(entry.at, turn.now()));
            let (Some(entry), Some(agent), Some(reason)) =
                (entry, agent, agent.and_then(|agent| agent.dead_letters.get(seq)))
            else {
                unknown = unknown.saturating_add(1);
                continue;
            };
            // What failed has its room.
            let has_room = || agent.has_room_for(u64::from(entry.bytes), Share::Direct);
            if agent.registration.is_none() || !(reason == DeadReason::Failed || has_room()) {
                refused = refused.saturating_add(1);
                continue;
            }
            if redriven == 0 {
                self.record(turn, name);
                self.touch(turn, name);
            }
            self.revive(turn, name, seq, reason)?;
            redriven = redriven.saturating_add(1);
        }
        if let Some(oldest) = oldest.filter(|_| redriven > 0) {
            self.refill_letters(turn, name, oldest)?;
        }
        Ok(Outcome::Redriven { redriven, unknown, refused })
    }

    fn revive(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        seq: Ordinal,
        reason: DeadReason,
    ) -> Result<(), StorageError> {
        let attempts = match reason {
            DeadReason::Failed => {
                let key = vec![rows::name(name), rows::ordinal(seq)];
                let attempts = turn.query_one(rows::DEAD, &key)?.integer()?;
                // It is held as pending before it is let go of as a letter.
                self.log.hold(seq);
                self.dismiss(turn, name, seq);
                attempts
            }
            DeadReason::Refused => {
                let named = turn.query_one(rows::REFUSED, &[rows::ordinal(seq)])?.text()?;
                let others = rows::refused_names(&named).filter(|other| *other != name.as_str());
                let column = rows::refused_column(others);
                turn.write(rows::SET_REFUSED, vec![rows::ordinal(seq), column]);
                self.log.outdate(seq);
                0
            }
        };
        let bytes = self.log.get(seq).map_or(0, |entry| u64::from(entry.bytes));
        if let Some(agent) = self.agents.get_mut(name) {
            // What held it as refused holds it as pending.
            agent.dead_letters.remove_refused(seq);
            agent.inbox.revive(seq, bytes, attempts, turn.now());
            agent.stir();
        }
        Ok(())
    }

    /// Refusals older than `oldest`, which was the oldest that counted, count again if there is room.
    fn refill_letters(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        oldest: Ordinal,
    ) -> Result<(), StorageError> {
        let Some(agent) = self.agents.get_mut(name) else { return Ok(()) };
        if !agent.dead_letters.wants_older() {
            return Ok(());
        }
        let from = agent.forgotten.max(self.expired);
        let bounds = [rows::ordinal(from), rows::ordinal(oldest), rows::refused_pattern(name)];
        let mut refused = Vec::new();
        for row in turn.query(rows::OLDER_REFUSED, &bounds)? {
            refused.push(Columns::of(row).ordinal()?);
        }
        for seq in agent.dead_letters.add_older(&refused) {
            self.log.hold(seq);
        }
        Ok(())
    }

    /// Forgets an agent with all that was kept for it, its dead letters too; nobody who has come by that
    /// name since.
    pub(super) fn forget(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        epoch: Option<Ordinal>,
    ) -> Outcome {
        let is_meant = |agent: &&Agent| {
            !agent.is_nobody() && epoch.is_none_or(|epoch| agent.latest() <= epoch)
        };
        let Some(agent) = self.agents.get(name).filter(is_meant) else {
            return Outcome::Forgotten { known: false };
        };
        let live = agent.live.iter().map(|live| live.epoch);
        for epoch in live.chain(agent.superseded.iter().copied()) {
            turn.push(name, epoch, Notice::Closed(CloseReason::Forgotten));
        }
        self.forget_row(turn, name);
        Outcome::Forgotten { known: true }
    }

    /// Turns an agent into a name whose row says no more than that all up to here is over.
    pub(super) fn forget_row(&mut self, turn: &mut Turn<'_>, name: &AgentId) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let old = std::mem::take(agent);
        // No session is given an epoch again that one of a forgotten agent had.
        let epoch = old.registration.as_ref().map_or(Ordinal::ZERO, |known| known.epoch);
        if epoch > self.header.last_ordinal {
            self.header.last_ordinal = epoch;
            turn.writes_meta();
        }
        let last_seq = self.header.last_ordinal;
        for (seq, _) in old.inbox.from(Ordinal::ZERO) {
            self.log.release(seq);
        }
        self.log.forget_letters(&old.dead_letters);
        if old.dead_letters.first_death().is_some() {
            let parameters = vec![rows::name(name), rows::instant(Timestamp::MAX)];
            turn.write(rows::DELETE_DEAD_BY, parameters);
        }
        agent.has_row = old.has_row;
        agent.forgotten = last_seq;
        agent.inbox.raise(last_seq);
        turn.writes_agent(name);
    }

    /// A new generation begins.
    pub(super) fn recover(&mut self, turn: &mut Turn<'_>, at_least: Ordinal) -> Outcome {
        turn.recover(&mut self.header, at_least);
        Outcome::Recovered
    }
}
