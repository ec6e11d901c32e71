//! Questions: they see what is on record, and change nothing.

use mailbus_spec::mailbox::{AgentEntry, DeadLetter, DeadReason, Outcome, Pending, Rejection};
use mailbus_spec::{AgentId, Ordinal, limits};

use super::rows;
use super::state::MailboxMemory;
use super::turn::{Answer, Turn};
use crate::storage::StorageError;

/// Room that a page still has.
struct Room {
    entries: usize,
    bytes: u64,
    is_empty: bool,
}

impl Room {
    fn of(limit: usize) -> Self {
        Self { entries: limit, bytes: limits::PAGE_BYTES, is_empty: true }
    }

    /// True if an entry of this size fits; if so it is taken. The first always fits.
    fn take(&mut self, bytes: u64) -> bool {
        let Some(entries) = self.entries.checked_sub(1) else { return false };
        let left = self.bytes.checked_sub(bytes);
        if left.is_none() && !self.is_empty {
            return false;
        }
        *self = Self { entries, bytes: left.unwrap_or(0), is_empty: false };
        true
    }
}

impl MailboxMemory {
    /// Pending messages after a place. This is no delivery: nothing is in flight or settled by it.
    pub(super) fn inbox(
        &self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        after: Ordinal,
        limit: usize,
    ) -> Answer {
        let last_seq = self.header.last_ordinal;
        if after > last_seq {
            return Err(Rejection::Ahead { last: last_seq }.into());
        }
        let Some(agent) = self.agents.get(name) else {
            return Ok(Outcome::Inbox {
                messages: Vec::new(),
                complete_through: last_seq,
                gap: None,
                refused: 0,
            });
        };
        let bytes_of = |seq| self.log.get(seq).map_or(0, |entry| u64::from(entry.bytes));
        let mut room = Room::of(limit);
        let mut listed: Vec<(Ordinal, bool)> = Vec::new();
        let mut complete_through = last_seq.max(after);
        for (seq, open) in agent.inbox.from(after).filter(|(seq, _)| *seq > after) {
            if !room.take(bytes_of(seq)) {
                complete_through = listed.last().map_or(after, |(last, _)| *last);
                break;
            }
            listed.push((seq, open.redriven));
        }
        // What was redriven may lie before the place, and is told as far as there is room.
        let before = agent.inbox.from(Ordinal::ZERO).take_while(|(seq, _)| *seq <= after);
        for (seq, _) in before.filter(|(_, open)| open.redriven) {
            if !room.take(bytes_of(seq)) {
                break;
            }
            listed.push((seq, true));
        }
        listed.sort_unstable_by_key(|(seq, _)| *seq);
        let mut messages = Vec::with_capacity(listed.len());
        for (seq, redriven) in listed {
            messages.push(Pending { seq, redriven, message: turn.message(seq)? });
        }
        let (gap, refused) = (agent.gap(), agent.dead_letters.refused());
        Ok(Outcome::Inbox { messages, complete_through, gap, refused })
    }

    pub(super) fn list_agents(&self, after: Option<&AgentId>, limit: usize) -> Outcome {
        let known = self.agents.iter().filter_map(|(name, agent)| {
            let registration = agent.registration.as_ref()?;
            (Some(name) > after).then(|| AgentEntry {
                agent: name.clone(),
                epoch: registration.epoch,
                types: registration.subscriptions.types(),
                pending: agent.inbox.len(),
            })
        });
        let mut room = Room { bytes: limits::LIST_MAX_BYTES as u64, ..Room::of(limit) };
        let (mut more, mut agents) = (false, Vec::new());
        for entry in known {
            if !room.take(entry.name_bytes()) {
                more = true;
                break;
            }
            agents.push(entry);
        }
        Outcome::Agents { agents, more }
    }

    pub(super) fn list_dead_letters(
        &self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        after: Ordinal,
        limit: usize,
    ) -> Answer {
        let (mut room, mut more, mut letters) = (Room::of(limit), false, Vec::new());
        let kept = self.agents.get(name).map(|agent| agent.dead_letters.from(after));
        for (seq, reason) in kept.into_iter().flatten().filter(|(seq, _)| *seq > after) {
            let bytes = self.log.get(seq).map_or(0, |entry| u64::from(entry.bytes));
            if !room.take(bytes) {
                more = true;
                break;
            }
            letters.push(self.letter(turn, name, seq, reason)?);
        }
        Ok(Outcome::DeadLetters { letters, more })
    }

    fn letter(
        &self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        seq: Ordinal,
        reason: DeadReason,
    ) -> Result<DeadLetter, StorageError> {
        let message = turn.message(seq)?;
        let (attempts, at) = match reason {
            DeadReason::Failed => {
                let key = [rows::name(name), rows::ordinal(seq)];
                let mut columns = turn.query_one(rows::DEAD, &key)?;
                (columns.integer()?, columns.instant()?)
            }
            DeadReason::Refused => (0, self.log.get(seq).map(|entry| entry.at).unwrap_or_default()),
        };
        Ok(DeadLetter { seq, reason, attempts, at, message })
    }
}
