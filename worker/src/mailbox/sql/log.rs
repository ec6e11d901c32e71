//! The log as it is known in memory: everything of a message but what was said.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::mailbox::MessageId;
use mailbus_spec::{AgentId, Ordinal, Timestamp};
use sha2::{Digest, Sha256};

/// Most messages of one segment.
const SEGMENT: usize = 1_024;

/// The largest number that follows from an id's sender.
const SENDER_MASK: u64 = (1 << 24) - 1;

/// What is known of one message in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub seq: Ordinal,
    /// The object time of its commit.
    pub at: Timestamp,
    /// Its place in the index of ids; 0 for a message without one.
    pub key: u64,
    /// How many bytes its body has.
    pub bytes: u32,
    /// How many agents are owed it or keep it among their dead letters.
    pub holders: u16,
    /// Whether only an ack settles it.
    pub ack_required: bool,
}

/// The messages of the workspace by `seq`, in pieces: what is deleted here and there gives its memory
/// back, and growing copies nothing.
///
/// Invariant: no segment is empty, and each is under the `seq` it began with; `first_free` is the lowest
/// without holders, `first_held` the lowest with some.
#[derive(Debug, Default)]
pub(super) struct Log {
    segments: BTreeMap<Ordinal, Vec<Entry>>,
    ids: BTreeSet<(u64, Ordinal)>,
    messages: u64,
    bytes: u64,
    first_free: Option<Ordinal>,
    first_held: Option<Ordinal>,
}

/// How the messages lie in their segments says nothing.
impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        let entries = |log: &Self| log.from(Ordinal::ZERO).copied().collect::<Vec<_>>();
        entries(self) == entries(other)
            && self.ids == other.ids
            && (self.messages, self.bytes) == (other.messages, other.bytes)
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
    pub fn messages(&self) -> u64 {
        self.messages
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The lowest message.
    pub fn first(&self) -> Option<Ordinal> {
        self.first_free.into_iter().chain(self.first_held).min()
    }

    /// The lowest message that nobody is owed.
    pub fn first_free(&self) -> Option<&Entry> {
        self.get(self.first_free?)
    }

    /// The lowest message that somebody is owed.
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
        let segments = self.segments.range(begin..).flat_map(|(_, segment)| segment);
        segments.skip_while(move |entry| entry.seq < seq)
    }

    /// Adds the newest message; nobody holds it yet.
    pub fn append(&mut self, entry: Entry) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::from(entry.bytes));
        if entry.key != 0 {
            self.ids.insert((entry.key, entry.seq));
        }
        self.first_free = Some(self.first_free.map_or(entry.seq, |first| first.min(entry.seq)));
        match self.segments.last_entry() {
            Some(mut last) if last.get().len() < SEGMENT => last.get_mut().push(entry),
            _ => drop(self.segments.insert(entry.seq, vec![entry])),
        }
    }

    /// Deletes a message.
    pub fn remove(&mut self, seq: Ordinal) {
        let Some((first, segment)) = self.segments.range_mut(..=seq).next_back() else { return };
        let Some(place) = place(segment, seq) else { return };
        let entry = segment.remove(place);
        if segment.len() < segment.capacity() / 4 {
            segment.shrink_to(segment.len().saturating_mul(2));
        }
        if segment.is_empty() {
            let first = *first;
            self.segments.remove(&first);
        }
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(u64::from(entry.bytes));
        self.ids.remove(&(entry.key, seq));
        self.look_again(seq);
    }

    /// One more agent is owed the message or keeps it.
    pub fn hold(&mut self, seq: Ordinal) {
        let Some(entry) = self.get_mut(seq) else { return };
        entry.holders = entry.holders.saturating_add(1);
        if entry.holders == 1 {
            self.first_held = Some(self.first_held.map_or(seq, |first| first.min(seq)));
            self.look_again(seq);
        }
    }

    /// One agent fewer.
    pub fn release(&mut self, seq: Ordinal) {
        let Some(entry) = self.get_mut(seq) else { return };
        entry.holders = entry.holders.saturating_sub(1);
        if entry.holders == 0 {
            self.first_free = Some(self.first_free.map_or(seq, |first| first.min(seq)));
            self.look_again(seq);
        }
    }

    /// Finds the lowest ones again after something happened to this message.
    fn look_again(&mut self, changed: Ordinal) {
        if self.first_free == Some(changed) {
            self.first_free = self.first_from(changed, |entry| entry.holders == 0);
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
