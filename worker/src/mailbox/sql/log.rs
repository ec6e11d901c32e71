//! The log as it is known in memory: everything of a message but what was said.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use mailbus_spec::mailbox::{MessageId, MessageType};
use mailbus_spec::{AgentId, Ordinal, Timestamp};
use sha2::{Digest, Sha256};

/// Most messages of one run: an event that writes one reads so many rows.
pub(super) const RUN_MESSAGES: usize = 1_024;

/// The largest number that follows from an id's sender.
const SENDER_MASK: u64 = (1 << 24) - 1;

/// Entry of one message in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub seq: Ordinal,
    /// The object time of its commit.
    pub at: Timestamp,
    /// Its place in the index of ids; 0 for a message without one.
    pub key: u64,
    /// Number of bytes that its body has.
    pub bytes: u32,
    /// Number of agents that are owed it, or whose inbox refused it and that keep it among their dead letters.
    pub holders: u16,
    /// True if only an ack settles it.
    pub ack_required: bool,
}

/// One message as waking reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told<'t> {
    pub entry: Entry,
    pub sender: &'t AgentId,
    pub kind: &'t MessageType,
    pub recipient: Option<&'t AgentId>,
    /// Agents whose inbox was full, in order.
    pub refused: Vec<&'t AgentId>,
}

/// The messages of the workspace by `seq`, in segments: what is deleted here and there gives its memory
/// back, growing copies nothing, and a segment is what a run (see `runs`) tells of.
///
/// Invariant: no segment is empty, and each is under the `seq` it began with; those up to `covered` have a
/// run, those above have none; `first_free` is the lowest message that is free, `first_held` the lowest with
/// holders.
#[derive(Debug)]
pub(super) struct Log {
    /// Most messages of a segment.
    run: usize,
    segments: BTreeMap<Ordinal, Vec<Entry>>,
    /// The last message that has a run.
    covered: Ordinal,
    /// Segments whose run tells nothing any more.
    outdated: BTreeSet<Ordinal>,
    /// Runs of which nothing is left.
    emptied: BTreeSet<Ordinal>,
    /// Number of messages that no run tells of.
    untold: u64,
    ids: BTreeSet<(u64, Ordinal)>,
    messages: u64,
    bytes: u64,
    /// Number of holders that all messages have together.
    holds: u64,
    /// Number of agents that each message failed for: it stays for them, past its retention too.
    failed: BTreeMap<Ordinal, u16>,
    first_free: Option<Ordinal>,
    first_held: Option<Ordinal>,
}

impl Default for Log {
    fn default() -> Self {
        Self::in_runs_of(RUN_MESSAGES)
    }
}

/// Equality of the messages, however they lie in their segments.
impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        let entries = |log: &Self| log.from(Ordinal::ZERO).copied().collect::<Vec<_>>();
        entries(self) == entries(other)
            && (&self.ids, &self.failed) == (&other.ids, &other.failed)
            && (self.messages, self.bytes, self.holds) == (other.messages, other.bytes, other.holds)
            && (self.first_free, self.first_held) == (other.first_free, other.first_held)
    }
}

/// The place of an id in the index: 40 bits of the id, then 24 of its sender. Never 0.
pub(super) fn key(id: &MessageId, sender: &AgentId) -> u64 {
    (first_bits(id.as_str()) & !SENDER_MASK | first_bits(sender.as_str()) >> 40).max(1)
}

fn first_bits(text: &str) -> u64 {
    Sha256::digest(text.as_bytes())
        .iter()
        .take(8)
        .fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

impl Log {
    /// An empty log whose runs have at most so many messages.
    pub fn in_runs_of(messages: usize) -> Self {
        Self {
            run: messages,
            segments: BTreeMap::new(),
            covered: Ordinal::ZERO,
            outdated: BTreeSet::new(),
            emptied: BTreeSet::new(),
            untold: 0,
            ids: BTreeSet::new(),
            messages: 0,
            bytes: 0,
            holds: 0,
            failed: BTreeMap::new(),
            first_free: None,
            first_held: None,
        }
    }

    pub fn messages(&self) -> u64 {
        self.messages
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last message that has a run.
    pub fn covered(&self) -> Ordinal {
        self.covered
    }

    /// The lowest message.
    pub fn first(&self) -> Option<Ordinal> {
        let (_, segment) = self.segments.first_key_value()?;
        segment.first().map(|entry| entry.seq)
    }

    /// The lowest message that nobody is owed or keeps.
    pub fn first_free(&self) -> Option<&Entry> {
        self.get(self.first_free?)
    }

    /// The lowest message that somebody is owed, or keeps as refused.
    pub fn first_held(&self) -> Option<&Entry> {
        self.get(self.first_held?)
    }

    pub fn get(&self, seq: Ordinal) -> Option<&Entry> {
        let (_, segment) = self.segments.range(..=seq).next_back()?;
        segment.get(place(segment, seq)?)
    }

    fn get_mut(&mut self, seq: Ordinal) -> Option<&mut Entry> {
        let (_, segment) = self.segments.range_mut(..=seq).next_back()?;
        let place = place(segment, seq)?;
        segment.get_mut(place)
    }

    /// Messages from this one on.
    pub fn from(&self, seq: Ordinal) -> impl Iterator<Item = &Entry> {
        let begin = self.segments.range(..=seq).next_back().map_or(seq, |(first, _)| *first);
        self.segments.range(begin..).flat_map(move |(_, segment)| {
            let place = segment.partition_point(|entry| entry.seq < seq);
            segment.get(place..).unwrap_or_default()
        })
    }

    /// Adds the newest message; nobody holds it yet.
    pub fn append(&mut self, entry: Entry) {
        let open = self
            .segments
            .last_key_value()
            .filter(|(first, segment)| **first > self.covered && segment.len() < self.run);
        let first = open.map_or(entry.seq, |(first, _)| *first);
        self.untold = self.untold.saturating_add(1);
        self.add(first, entry);
    }

    /// Adds a message on waking that has the run that began with `first`; nobody holds it yet.
    pub fn add(&mut self, first: Ordinal, entry: Entry) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::from(entry.bytes));
        if entry.key != 0 {
            self.ids.insert((entry.key, entry.seq));
        }
        self.first_free = Some(self.first_free.map_or(entry.seq, |first| first.min(entry.seq)));
        self.segments.entry(first).or_default().push(entry);
    }

    /// Notes on waking that all messages of a run were added, and whether it tells of them.
    pub fn cover(&mut self, first: Ordinal, last: Ordinal, tells: bool) {
        self.covered = self.covered.max(last);
        match self.segments.get(&first) {
            None => drop(self.emptied.insert(first)),
            Some(_) if tells => {}
            Some(segment) => {
                self.untold = self.untold.saturating_add(segment.len() as u64);
                self.outdated.insert(first);
            }
        }
    }

    /// The run to be written next, from where to where: one is due when as many messages as a run has are
    /// told of by none.
    pub fn due_run(&self) -> Option<(Ordinal, Ordinal)> {
        if self.untold < self.run as u64 {
            return None;
        }
        // Above those that are covered the lowest: what waking reads row by row comes after all runs.
        let uncovered = (Bound::Excluded(self.covered), Bound::Unbounded);
        let uncovered = || self.segments.range(uncovered).next().map(|(first, _)| *first);
        let first = self.outdated.first().copied().or_else(uncovered)?;
        let last = self.segments.get(&first)?.last()?.seq;
        Some((first, last))
    }

    /// Notes that the run that began with `first` tells of all up to `last`. What follows in its segment
    /// begins one of its own.
    pub fn tell(&mut self, first: Ordinal, last: Ordinal) {
        let Some(segment) = self.segments.get_mut(&first) else { return };
        let rest = segment.split_off(segment.partition_point(|entry| entry.seq <= last));
        self.untold = self.untold.saturating_sub(segment.len() as u64);
        self.outdated.remove(&first);
        self.covered = self.covered.max(last);
        if let Some(next) = rest.first() {
            self.segments.insert(next.seq, rest);
        }
    }

    /// Notes that the row of a message changes or goes: the run that has it tells nothing any more. Says
    /// with which message its segment began.
    pub fn outdate(&mut self, seq: Ordinal) -> Option<Ordinal> {
        let (first, segment) = self.segments.range(..=seq).next_back()?;
        place(segment, seq)?;
        if *first <= self.covered && self.outdated.insert(*first) {
            self.untold = self.untold.saturating_add(segment.len() as u64);
        }
        Some(*first)
    }

    /// Runs of which nothing is left; from here on they are nobody's concern.
    pub fn take_emptied(&mut self) -> BTreeSet<Ordinal> {
        std::mem::take(&mut self.emptied)
    }

    /// About how many bytes of memory it holds, with what its messages are to agents.
    pub fn footprint(&self) -> u64 {
        let entries = self.messages.saturating_mul(size_of::<Entry>() as u64);
        let ids = (self.ids.len() as u64).saturating_mul(24);
        let failed = (self.failed.len() as u64).saturating_mul(24);
        let agents = self.holds.saturating_mul(24);
        entries.saturating_add(ids).saturating_add(failed).saturating_add(agents)
    }

    /// Deletes a message.
    pub fn remove(&mut self, seq: Ordinal) {
        let Some(first) = self.outdate(seq) else { return };
        let Some(segment) = self.segments.get_mut(&first) else { return };
        let Some(place) = place(segment, seq) else { return };
        let entry = segment.remove(place);
        if segment.len() < segment.capacity() / 4 {
            segment.shrink_to(segment.len().saturating_mul(2));
        }
        if segment.is_empty() {
            self.segments.remove(&first);
            if self.outdated.remove(&first) {
                self.emptied.insert(first);
            }
        }
        self.untold = self.untold.saturating_sub(1);
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(u64::from(entry.bytes));
        self.holds = self.holds.saturating_sub(u64::from(entry.holders));
        self.ids.remove(&(entry.key, seq));
        self.look_again(seq);
    }

    /// One more agent is owed the message or keeps it.
    pub fn hold(&mut self, seq: Ordinal) {
        let Some(entry) = self.get_mut(seq) else { return };
        entry.holders = entry.holders.saturating_add(1);
        let is_first = entry.holders == 1;
        self.holds = self.holds.saturating_add(1);
        if is_first {
            self.first_held = Some(self.first_held.map_or(seq, |first| first.min(seq)));
            self.look_again(seq);
        }
    }

    /// One agent fewer.
    pub fn release(&mut self, seq: Ordinal) {
        let Some(entry) = self.get_mut(seq) else { return };
        let Some(left) = entry.holders.checked_sub(1) else { return };
        entry.holders = left;
        self.holds = self.holds.saturating_sub(1);
        if left == 0 {
            self.look_again(seq);
            self.free(seq);
        }
    }

    /// One more agent keeps the message as one that failed.
    pub fn keep(&mut self, seq: Ordinal) {
        if self.get(seq).is_none() {
            return;
        }
        let agents = self.failed.entry(seq).or_default();
        *agents = agents.saturating_add(1);
        if *agents == 1 {
            self.look_again(seq);
        }
    }

    /// One agent fewer does.
    pub fn let_go(&mut self, seq: Ordinal) {
        let Some(agents) = self.failed.get_mut(&seq) else { return };
        *agents = agents.saturating_sub(1);
        if *agents == 0 {
            self.failed.remove(&seq);
            self.free(seq);
        }
    }

    /// True if nobody is owed the message or keeps it.
    pub fn is_free(&self, entry: &Entry) -> bool {
        entry.holders == 0 && !self.failed.contains_key(&entry.seq)
    }

    /// Notes that the message may be free.
    fn free(&mut self, seq: Ordinal) {
        if self.get(seq).is_some_and(|entry| self.is_free(entry)) {
            self.first_free = Some(self.first_free.map_or(seq, |first| first.min(seq)));
        }
    }

    /// Finds the lowest ones again after something happened to this message.
    fn look_again(&mut self, changed: Ordinal) {
        if self.first_free == Some(changed) {
            self.first_free = self.first_from(changed, |entry| self.is_free(entry));
        }
        if self.first_held == Some(changed) {
            self.first_held = self.first_from(changed, |entry| entry.holders > 0);
        }
    }

    fn first_from(&self, seq: Ordinal, choose: impl Fn(&Entry) -> bool) -> Option<Ordinal> {
        let mut from = self.from(seq);
        from.find(|entry| choose(entry)).map(|entry| entry.seq)
    }

    /// Messages that may have this id from this sender, the newest first.
    pub fn with_key(&self, key: u64) -> impl Iterator<Item = Ordinal> {
        self.ids.range((key, Ordinal::ZERO)..=(key, Ordinal::MAX)).rev().map(|(_, seq)| *seq)
    }

    /// Messages that may have this id, whoever sent them.
    pub fn with_id(&self, id: &MessageId) -> impl Iterator<Item = Ordinal> {
        let least = first_bits(id.as_str()) & !SENDER_MASK;
        let range = (least, Ordinal::ZERO)..=(least | SENDER_MASK, Ordinal::MAX);
        self.ids.range(range).map(|(_, seq)| *seq)
    }
}

fn place(segment: &[Entry], seq: Ordinal) -> Option<usize> {
    segment.binary_search_by_key(&seq, |entry| entry.seq).ok()
}
