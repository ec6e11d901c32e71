//! The dead letters of one agent.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::mailbox::DeadReason;
use mailbus_spec::{Ordinal, limits};

/// The dead letters of one agent: the newest [`limits::AGENT_DEAD`] count, and hold their messages.
///
/// Older ones count again when newer ones are redriven, as long as their messages are there: what failed
/// is known by its row, what a full inbox refused is looked for in the log then, since there is no bound
/// to their number.
///
/// Invariant: all in `older_failed` is below all in `kept`.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    kept: BTreeMap<Ordinal, DeadReason>,
    older_failed: BTreeSet<Ordinal>,
    refused: u64,
    /// True if the log may have more refusals below all in `kept`.
    has_older_refused: bool,
}

/// That the log may have more is a guess.
impl PartialEq for DeadLetters {
    fn eq(&self, other: &Self) -> bool {
        (&self.kept, &self.older_failed, self.refused)
            == (&other.kept, &other.older_failed, other.refused)
    }
}

/// Fate of a letter that came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// It counts: its message is held.
    pub held: bool,
    /// This one counts no more.
    pub released: Option<Ordinal>,
}

impl DeadLetters {
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Number of those that a full inbox has refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    pub fn get(&self, seq: Ordinal) -> Option<DeadReason> {
        self.kept.get(&seq).copied()
    }

    pub fn first(&self) -> Option<Ordinal> {
        self.kept.keys().next().copied()
    }

    /// Those that count, from this one on.
    pub fn from(&self, seq: Ordinal) -> impl Iterator<Item = (Ordinal, DeadReason)> {
        self.kept.range(seq..).map(|(seq, reason)| (*seq, *reason))
    }

    /// One more letter.
    pub fn add(&mut self, seq: Ordinal, reason: DeadReason) -> Change {
        let is_full = self.kept.len() >= limits::AGENT_DEAD;
        if is_full && self.first().is_some_and(|first| seq < first) {
            self.put_away(seq, reason);
            return Change::default();
        }
        self.kept.insert(seq, reason);
        self.refused = self.refused.saturating_add(u64::from(reason == DeadReason::Refused));
        let released = if is_full { self.kept.pop_first() } else { None };
        if let Some((oldest, reason)) = released {
            self.refused = self.refused.saturating_sub(u64::from(reason == DeadReason::Refused));
            self.put_away(oldest, reason);
        }
        Change { held: true, released: released.map(|(oldest, _)| oldest) }
    }

    fn put_away(&mut self, seq: Ordinal, reason: DeadReason) {
        match reason {
            DeadReason::Failed => drop(self.older_failed.insert(seq)),
            DeadReason::Refused => self.has_older_refused = true,
        }
    }

    /// Takes one of those that count out.
    pub fn remove(&mut self, seq: Ordinal) -> Option<DeadReason> {
        let reason = self.kept.remove(&seq)?;
        self.refused = self.refused.saturating_sub(u64::from(reason == DeadReason::Refused));
        Some(reason)
    }

    /// True if any has a row.
    pub fn has_failed(&self) -> bool {
        !self.older_failed.is_empty() || self.kept.len() as u64 > self.refused
    }

    /// Letters that failed and do not count.
    pub fn older_failed(&self) -> impl Iterator<Item = Ordinal> {
        self.older_failed.iter().copied()
    }

    /// Need of older letters: `Some` if they count again, with room for them, and true if some of
    /// them have to be looked for in the log.
    pub fn wants_older(&self) -> Option<bool> {
        let has_older = self.has_older_refused || !self.older_failed.is_empty();
        let has_room = self.kept.len() < limits::AGENT_DEAD;
        (has_room && has_older).then_some(self.has_older_refused)
    }

    /// Lets older ones count again, as many as there is room for: what failed, and these refusals, all
    /// that the log has up to that number, the newest first. Says which.
    pub fn add_older(&mut self, refused: &[Ordinal]) -> Vec<Ordinal> {
        let refused = refused.iter().map(|seq| (*seq, DeadReason::Refused));
        let failed = self.older_failed.iter().map(|seq| (*seq, DeadReason::Failed));
        let mut older: BTreeMap<Ordinal, DeadReason> = refused.chain(failed).collect();
        self.has_older_refused = false;
        let mut added = Vec::new();
        while let Some((seq, reason)) = older.pop_last() {
            if self.kept.len() >= limits::AGENT_DEAD {
                self.put_away(seq, reason);
                continue;
            }
            self.older_failed.remove(&seq);
            self.kept.insert(seq, reason);
            self.refused = self.refused.saturating_add(u64::from(reason == DeadReason::Refused));
            added.push(seq);
        }
        // What did not fit into the asked number may be there too.
        self.has_older_refused |= self.kept.len() >= limits::AGENT_DEAD;
        added
    }

    /// The message of a letter that does not count was deleted; says whether there was such a letter.
    pub fn forget_failed(&mut self, seq: Ordinal) -> bool {
        self.older_failed.remove(&seq)
    }

    /// Drops all up to this one; says which of them counted, and whether any had a row.
    pub fn drop_through(&mut self, last: Ordinal) -> (Vec<Ordinal>, bool) {
        let mut dropped = Vec::new();
        let mut has_row = false;
        while let Some(seq) = self.first().filter(|seq| *seq <= last) {
            has_row |= self.remove(seq) == Some(DeadReason::Failed);
            dropped.push(seq);
        }
        while let Some(seq) = self.older_failed.first().copied().filter(|seq| *seq <= last) {
            self.older_failed.remove(&seq);
            has_row = true;
        }
        if !dropped.is_empty() {
            // The older ones are at least as old.
            self.has_older_refused = false;
        }
        (dropped, has_row)
    }
}
