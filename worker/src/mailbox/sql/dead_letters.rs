//! The dead letters of one agent.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::mailbox::DeadReason;
use mailbus_spec::{Ordinal, Timestamp, limits};

/// The dead letters of one agent: what failed, and of what a full inbox refused the newest
/// [`limits::AGENT_REFUSED`].
///
/// Older refusals count again when newer ones are redriven, as long as their messages are there: they are
/// looked for in the log then, since there is no bound to their number.
///
/// Invariant: `by_death` and `bytes` are those of `failed`.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    failed: BTreeMap<Ordinal, Failed>,
    by_death: BTreeSet<(Timestamp, Ordinal)>,
    bytes: u64,
    refused: BTreeSet<Ordinal>,
    /// True if the log may have more refusals below those.
    has_older_refused: bool,
}

/// A message that failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Time at which it was given up.
    pub at: Timestamp,
    /// Number of bytes that it has.
    pub bytes: u64,
}

/// That the log may have more is a guess.
impl PartialEq for DeadLetters {
    fn eq(&self, other: &Self) -> bool {
        (&self.failed, &self.refused) == (&other.failed, &other.refused)
    }
}

/// Fate of a refusal that came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// It counts: its message is held.
    pub held: bool,
    /// This one counts no more.
    pub released: Option<Ordinal>,
}

impl DeadLetters {
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty() && self.refused.is_empty()
    }

    /// Number of those that a full inbox has refused.
    pub fn refused(&self) -> u64 {
        self.refused.len() as u64
    }

    /// Number of those that failed, and their bytes.
    pub fn failed(&self) -> (u64, u64) {
        (self.failed.len() as u64, self.bytes)
    }

    pub fn get(&self, seq: Ordinal) -> Option<DeadReason> {
        if self.failed.contains_key(&seq) {
            return Some(DeadReason::Failed);
        }
        self.refused.contains(&seq).then_some(DeadReason::Refused)
    }

    /// The oldest refusal that counts.
    pub fn first_refused(&self) -> Option<Ordinal> {
        self.refused.first().copied()
    }

    /// Time of the first death.
    pub fn first_death(&self) -> Option<Timestamp> {
        self.by_death.first().map(|(at, _)| *at)
    }

    /// All from this one on, in order.
    pub fn from(&self, seq: Ordinal) -> impl Iterator<Item = (Ordinal, DeadReason)> {
        let failed = self.failed.range(seq..).map(|(seq, _)| (*seq, DeadReason::Failed));
        let refused = self.refused.range(seq..).map(|seq| (*seq, DeadReason::Refused));
        let (mut failed, mut refused) = (failed.peekable(), refused.peekable());
        std::iter::from_fn(move || match (failed.peek(), refused.peek()) {
            (Some((first, _)), Some((second, _))) if second < first => refused.next(),
            (Some(_), _) => failed.next(),
            (None, _) => refused.next(),
        })
    }

    /// One more that failed.
    pub fn add_failed(&mut self, seq: Ordinal, failed: Failed) {
        self.failed.insert(seq, failed);
        self.by_death.insert((failed.at, seq));
        self.bytes = self.bytes.saturating_add(failed.bytes);
    }

    /// One more that was refused.
    pub fn add_refused(&mut self, seq: Ordinal) -> Change {
        self.refused.insert(seq);
        if self.refused.len() <= limits::AGENT_REFUSED {
            return Change { held: true, released: None };
        }
        self.has_older_refused = true;
        let oldest = self.refused.pop_first();
        let held = oldest != Some(seq);
        Change { held, released: oldest.filter(|_| held) }
    }

    /// Takes one that failed out.
    pub fn remove_failed(&mut self, seq: Ordinal) -> Option<Failed> {
        let failed = self.failed.remove(&seq)?;
        self.by_death.remove(&(failed.at, seq));
        self.bytes = self.bytes.saturating_sub(failed.bytes);
        Some(failed)
    }

    /// Takes one that was refused out, if it is there.
    pub fn remove_refused(&mut self, seq: Ordinal) {
        self.refused.remove(&seq);
    }

    /// Drops the next of those that died by then; says which.
    pub fn drop_dead_by(&mut self, then: Timestamp) -> Option<Ordinal> {
        let (_, seq) = self.by_death.first().copied().filter(|(at, _)| *at <= then)?;
        self.remove_failed(seq).map(|_| seq)
    }

    /// Drops all refusals up to this one; says which of them counted.
    pub fn drop_refused_through(&mut self, last: Ordinal) -> Vec<Ordinal> {
        let mut dropped = Vec::new();
        while let Some(seq) = self.first_refused().filter(|seq| *seq <= last) {
            self.refused.remove(&seq);
            dropped.push(seq);
        }
        if !dropped.is_empty() {
            // The older ones are at least as old.
            self.has_older_refused = false;
        }
        dropped
    }

    /// True if older refusals count again and have to be looked for in the log: there is room for some.
    pub fn wants_older(&self) -> bool {
        self.has_older_refused && self.refused.len() < limits::AGENT_REFUSED
    }

    /// Lets these older refusals count again, as many as there is room for: all that the log has up to that
    /// number, the newest first. Says which.
    pub fn add_older(&mut self, older: &[Ordinal]) -> Vec<Ordinal> {
        let room = limits::AGENT_REFUSED.saturating_sub(self.refused.len());
        let added: Vec<Ordinal> = older.iter().take(room).copied().collect();
        self.refused.extend(&added);
        // What did not fit into the asked number may be there too.
        self.has_older_refused = self.refused.len() >= limits::AGENT_REFUSED;
        added
    }
}
