//! Pushes of messages: which, to whom, and in which order.

use std::collections::BTreeSet;

use mailbus_spec::mailbox::Notice;
use mailbus_spec::{AgentId, Ordinal};

use super::state::MailboxMemory;
use super::turn::Turn;
use crate::storage::StorageError;

impl MailboxMemory {
    /// Pushes what may be pushed, the lowest (`seq`, agent) first, as far as what the event may push.
    /// What was said is read one message at a time.
    pub(super) fn push_due(&mut self, turn: &mut Turn<'_>) -> Result<(), StorageError> {
        let now = turn.now();
        let next = |(name, agent): (&AgentId, &super::agent::Agent)| {
            Some((agent.next_due(&self.log, now)?, name.clone()))
        };
        // Agents whose window is closed, or who have all they are owed, drop out.
        let mut waiting: BTreeSet<(Ordinal, AgentId)> =
            self.agents.iter().filter_map(next).collect();
        while let Some((seq, name)) = waiting.pop_first() {
            let bytes = self.log.get(seq).map_or(0, |entry| u64::from(entry.bytes));
            if !turn.gathered.take_budget(bytes) {
                return Ok(());
            }
            self.push_one(turn, &name, seq)?;
            let agent = self.agents.get(&name);
            if let Some(seq) = agent.and_then(|agent| agent.next_due(&self.log, now)) {
                waiting.insert((seq, name));
            }
        }
        // What came due since the floor stands in the way of what is younger: with the clock on record
        // the alarm need not ring for that any more.
        if !turn.has_written() && self.next_push().is_some_and(|at| at <= now) {
            turn.writes_meta();
        }
        Ok(())
    }

    fn push_one(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        seq: Ordinal,
    ) -> Result<(), StorageError> {
        if self.log.get(seq).is_some_and(|entry| entry.at < turn.now()) {
            self.catch_up(turn, name);
        }
        let Some(agent) = self.agents.get_mut(name) else { return Ok(()) };
        let Some((attempt, redriven)) = agent.push(&self.log, seq) else { return Ok(()) };
        let Some(live) = &agent.live else { return Ok(()) };
        let message = turn.message(seq)?;
        turn.push(name, live.epoch, Notice::Message { seq, attempt, redriven, message });
        turn.gathered.changes_session(name);
        Ok(())
    }

    /// A session that negotiated nothing is pushed something that was accepted earlier: from here on its
    /// silence counts, after what it has meant so far is on record.
    fn catch_up(&mut self, turn: &mut Turn<'_>, name: &AgentId) {
        let live = self.agents.get(name).and_then(|agent| agent.live.as_ref());
        if !live.is_some_and(|live| live.window.is_none() && live.since < turn.now()) {
            return;
        }
        self.presume(turn, name);
        if let Some(live) = self.agents.get_mut(name).and_then(|agent| agent.live.as_mut()) {
            live.since = turn.now();
        }
    }

    /// Tells the sessions of those who lost something in this event.
    pub(super) fn tell_losses(&self, turn: &mut Turn<'_>) {
        for name in turn.gathered.take_lost() {
            let Some(agent) = self.agents.get(&name) else { continue };
            if let (Some(live), Some(gap)) = (&agent.live, agent.gap()) {
                turn.push(&name, live.epoch, Notice::Gap(gap));
            }
        }
    }
}
