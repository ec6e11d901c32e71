//! Questions: they see what is on record, and change nothing.

use alloc::vec::Vec;

use crate::id::AgentId;
use crate::limits;
use crate::mailbox::answer::{AgentEntry, DeadLetter, Outcome, Pending, Rejection};
use crate::mailbox::state::{MailboxMachine, Open};
use crate::ordinal::Ordinal;

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

impl MailboxMachine {
    /// Pending messages after a place. This is no delivery: nothing is in flight or settled by it.
    pub(super) fn inbox(
        &self,
        name: &AgentId,
        after: Ordinal,
        limit: usize,
    ) -> Result<Outcome, Rejection> {
        if after > self.last_seq {
            return Err(Rejection::Ahead { last: self.last_seq });
        }
        let agent = self.agents.get(name);
        let open: Vec<(Ordinal, Open)> = agent
            .into_iter()
            .flat_map(|agent| agent.inbox.open.iter().map(|(seq, open)| (*seq, *open)))
            .collect();
        let mut room = Room::of(limit);
        let mut listed: Vec<(Ordinal, Open)> = Vec::new();
        let mut complete_through = self.last_seq.max(after);
        for (seq, open) in open.iter().filter(|(seq, _)| *seq > after) {
            if !room.take(open.bytes) {
                complete_through = listed.last().map_or(after, |(last, _)| *last);
                break;
            }
            listed.push((*seq, *open));
        }
        // What was redriven may lie before the place, and is told as far as there is room.
        for (seq, open) in open.iter().filter(|(seq, open)| *seq <= after && open.redriven) {
            if !room.take(open.bytes) {
                break;
            }
            listed.push((*seq, *open));
        }
        listed.sort_by_key(|(seq, _)| *seq);
        let pending = listed.into_iter().filter_map(|(seq, open)| {
            let message = (*self.log.entries.get(&seq)?.message).clone();
            Some(Pending { seq, redriven: open.redriven, message })
        });
        Ok(Outcome::Inbox {
            messages: pending.collect(),
            complete_through,
            gap: agent
                .and_then(|agent| agent.registration.as_ref())
                .and_then(|known| known.losses.gap()),
            refused: self.refused(name),
        })
    }

    pub(super) fn list_agents(&self, after: Option<&AgentId>, limit: usize) -> Outcome {
        let known = self.agents.iter().filter_map(|(name, agent)| {
            let registration = agent.registration.as_ref()?;
            (Some(name) > after).then(|| AgentEntry {
                agent: name.clone(),
                epoch: registration.epoch,
                types: registration.types.clone(),
                pending: agent.inbox.len(),
            })
        });
        let mut room = Room { bytes: limits::LIST_MAX_BYTES as u64, ..Room::of(limit) };
        let mut more = false;
        let mut agents: Vec<AgentEntry> = Vec::new();
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
        name: &AgentId,
        after: Ordinal,
        limit: usize,
    ) -> Outcome {
        let mut room = Room::of(limit);
        let mut more = false;
        let mut letters: Vec<DeadLetter> = Vec::new();
        for letter in self.dead_letters(name).into_iter().filter(|letter| letter.seq > after) {
            if !room.take(letter.message.bytes()) {
                more = true;
                break;
            }
            letters.push(letter);
        }
        Outcome::DeadLetters { letters, more }
    }
}
