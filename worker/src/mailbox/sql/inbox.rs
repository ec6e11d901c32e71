//! Inbox of one agent: what it has pending, as its row and the log have it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mailbus_spec::{Ordinal, Timestamp};

use super::encoding::{Reader, put};

/// One pending message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// Number of deliveries that are on record.
    pub attempts: u64,
    /// Number of those that failed.
    pub failures: u64,
    /// Time at which it may be pushed again, once it was given back or redriven.
    pub due: Option<Timestamp>,
    /// True if it was a dead letter once.
    pub redriven: bool,
    /// Flight in spite of a due time, if there is one: true if that delivery is on record.
    pub again: Option<bool>,
}

/// The pending messages of one agent.
///
/// Invariant: `fresh` is above `high` and in order, the others are at or below it; `returned` are those
/// with a due time, `waiting` those of them that are not in flight.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inbox {
    /// Last message that rows know of: what was addressed up to here and is not listed is over.
    high: Ordinal,
    /// Messages that were never put on record: the log alone says that they are pending.
    fresh: VecDeque<Ordinal>,
    recorded: BTreeMap<Ordinal, Open>,
    returned: BTreeMap<Ordinal, Open>,
    waiting: BTreeSet<(Timestamp, Ordinal)>,
    bytes: u64,
}

impl Inbox {
    pub fn high(&self) -> Ordinal {
        self.high
    }

    pub fn len(&self) -> u64 {
        self.listed().saturating_add(self.fresh.len()) as u64
    }

    /// Number of those that its row lists.
    pub fn listed(&self) -> usize {
        self.recorded.len().saturating_add(self.returned.len())
    }

    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.recorded.is_empty() && self.returned.is_empty()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The newest message, just accepted.
    pub fn append(&mut self, seq: Ordinal, bytes: u64) {
        if self.fresh.len() == self.fresh.capacity() {
            // By an eighth, not twofold: the sum over a thousand full inboxes counts.
            self.fresh.reserve_exact((self.fresh.len() / 8).max(4));
        }
        self.fresh.push_back(seq);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// A dead letter that is due again.
    pub fn revive(&mut self, seq: Ordinal, bytes: u64, attempts: u64, due: Timestamp) {
        self.raise(seq);
        let open = Open { attempts, due: Some(due), redriven: true, ..Open::default() };
        self.returned.insert(seq, open);
        self.waiting.insert((due, seq));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub fn get(&self, seq: Ordinal) -> Option<Open> {
        let listed = self.recorded.get(&seq).or_else(|| self.returned.get(&seq));
        listed.copied().or_else(|| self.fresh.binary_search(&seq).is_ok().then(Open::default))
    }

    /// Lists what is pending up to `seq` one by one.
    pub fn raise(&mut self, seq: Ordinal) {
        while let Some(first) = self.fresh.front().copied().filter(|first| *first <= seq) {
            self.fresh.pop_front();
            self.recorded.insert(first, Open::default());
        }
        self.high = self.high.max(seq);
    }

    /// Takes a message out.
    pub fn remove(&mut self, seq: Ordinal, bytes: u64) -> Option<Open> {
        if self.fresh.binary_search(&seq).is_ok() {
            self.raise(seq);
        }
        let removed = self.recorded.remove(&seq).or_else(|| {
            let open = self.returned.remove(&seq)?;
            if let Some(due) = open.due {
                self.waiting.remove(&(due, seq));
            }
            Some(open)
        })?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(removed)
    }

    /// Nothing that was ever addressed is left in the log but what is pending.
    pub fn forget_high(&mut self) {
        self.high = Ordinal::ZERO;
    }

    /// Takes the lowest message out of an inbox that has no row: `high` stays what waking makes of it.
    pub fn drop_first(&mut self, bytes: u64) {
        if self.fresh.pop_front().is_some() {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Says of what is pending without a due time in `(after, through]` that one more delivery is on
    /// record.
    pub fn count(&mut self, after: Ordinal, through: Ordinal) {
        self.raise(through);
        let counted = self.recorded.range_mut(after..).filter(|(seq, _)| **seq > after);
        for (_, open) in counted.take_while(|(seq, _)| **seq <= through) {
            open.attempts = open.attempts.saturating_add(1);
        }
    }

    /// The same of what is in flight again and not yet counted.
    pub fn count_again(&mut self) {
        for open in self.returned.values_mut() {
            if open.again == Some(false) {
                open.attempts = open.attempts.saturating_add(1);
                open.again = Some(true);
            }
        }
    }

    /// One more delivery of this message is on record.
    pub fn count_one(&mut self, seq: Ordinal) {
        self.change(seq, |open| open.attempts = open.attempts.saturating_add(1));
    }

    /// One more failure of it; says how many there are.
    pub fn fail(&mut self, seq: Ordinal) -> u64 {
        let mut failures = 0;
        self.change(seq, |open| {
            open.failures = open.failures.saturating_add(1);
            failures = open.failures;
        });
        failures
    }

    /// It is due again.
    pub fn give_back(&mut self, seq: Ordinal, due: Timestamp) {
        self.raise(seq);
        let recorded = self.recorded.remove(&seq);
        let Some(mut open) = recorded.or_else(|| self.returned.remove(&seq)) else { return };
        if let Some(before) = open.due {
            self.waiting.remove(&(before, seq));
        }
        open.due = Some(due);
        open.again = None;
        self.returned.insert(seq, open);
        self.waiting.insert((due, seq));
    }

    /// Puts a message with a due time in flight again.
    pub fn fly_again(&mut self, seq: Ordinal, is_counted: bool) {
        let Some(open) = self.returned.get_mut(&seq) else { return };
        open.again = Some(is_counted);
        if let Some(due) = open.due {
            self.waiting.remove(&(due, seq));
        }
    }

    /// Nothing is in flight any more.
    pub fn land_all(&mut self) {
        for (seq, open) in &mut self.returned {
            if let (Some(_), Some(due)) = (open.again.take(), open.due) {
                self.waiting.insert((due, *seq));
            }
        }
    }

    fn change(&mut self, seq: Ordinal, change: impl FnOnce(&mut Open)) {
        if self.fresh.binary_search(&seq).is_ok() {
            self.raise(seq);
        }
        let recorded = self.recorded.get_mut(&seq);
        if let Some(open) = recorded.or_else(|| self.returned.get_mut(&seq)) {
            change(open);
        }
    }

    /// Time at which fewer than `most` messages wait for theirs; `None` if fewer do anyway.
    pub fn fewer_wait_at(&self, most: u64) -> Option<Timestamp> {
        let place = usize::try_from(most).ok()?.checked_sub(1)?;
        if self.waiting.len() <= place {
            return None;
        }
        self.waiting.iter().rev().nth(place).map(|(due, _)| *due)
    }

    /// Messages in flight again, and whether that is counted.
    pub fn again(&self) -> impl Iterator<Item = (Ordinal, bool)> {
        self.returned.iter().filter_map(|(seq, open)| Some((*seq, open.again?)))
    }

    /// Messages due later than `now`, the earliest first.
    pub fn waiting_after(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Ordinal)> {
        let later = self.waiting.range((now, Ordinal::MAX)..).copied();
        later.filter(move |(due, _)| *due > now)
    }

    /// The lowest that is due at `now` and not in flight.
    pub fn first_due(&self, now: Timestamp) -> Option<Ordinal> {
        let (first, _) = self.waiting.first()?;
        if *first > now {
            return None;
        }
        let is_due = |open: &Open| open.again.is_none() && open.due.is_some_and(|due| due <= now);
        self.returned.iter().find(|(_, open)| is_due(open)).map(|(seq, _)| *seq)
    }

    /// The lowest above `after` without a due time.
    pub fn first_without_due(&self, after: Ordinal) -> Option<Ordinal> {
        let mut recorded = self.recorded.range(after..).map(|(seq, _)| *seq);
        let recorded = recorded.find(|seq| *seq > after);
        recorded.or_else(|| {
            let place = self.fresh.partition_point(|seq| *seq <= after);
            self.fresh.get(place).copied()
        })
    }

    /// The lowest of all.
    pub fn first(&self) -> Option<Ordinal> {
        self.from(Ordinal::ZERO).next().map(|(seq, _)| seq)
    }

    /// The highest of all.
    pub fn last(&self) -> Option<Ordinal> {
        let listed = [&self.recorded, &self.returned].map(|listed| listed.keys().next_back());
        listed.into_iter().flatten().chain(self.fresh.back()).copied().max()
    }

    /// All from this one on, in order.
    pub fn from(&self, seq: Ordinal) -> impl Iterator<Item = (Ordinal, Open)> {
        let mut recorded = self.recorded.range(seq..).map(|(seq, open)| (*seq, *open)).peekable();
        let mut returned = self.returned.range(seq..).map(|(seq, open)| (*seq, *open)).peekable();
        let place = self.fresh.partition_point(|fresh| *fresh < seq);
        let fresh = self.fresh.range(place..).map(|seq| (*seq, Open::default()));
        let listed = std::iter::from_fn(move || match (recorded.peek(), returned.peek()) {
            (Some((first, _)), Some((second, _))) if second < first => returned.next(),
            (Some(_), _) => recorded.next(),
            (None, _) => returned.next(),
        });
        // What is fresh is above all that is listed.
        listed.chain(fresh)
    }

    /// The bytes of the column.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut last = 0_u64;
        let listed = self.from(Ordinal::ZERO).take_while(|(seq, _)| *seq <= self.high);
        for (seq, open) in listed {
            put(&mut bytes, seq.get().saturating_sub(last));
            last = seq.get();
            let flags = u64::from(open.due.is_some()) | u64::from(open.redriven) << 1;
            put(&mut bytes, open.failures << 2 | flags);
            put(&mut bytes, open.attempts);
            if let Some(due) = open.due {
                put(&mut bytes, due.ms());
            }
        }
        bytes
    }

    /// Inbox that the columns tell, without the bytes of the messages; `None` if they tell nothing.
    pub fn decode(high: Ordinal, column: &[u8]) -> Option<Self> {
        let mut inbox = Self { high, ..Self::default() };
        let (mut reader, mut last) = (Reader(column), 0_u64);
        while !reader.is_empty() {
            last = last.checked_add(reader.number()?)?;
            let seq = Ordinal::new(last)?;
            let flags = reader.number()?;
            let mut open = Open {
                failures: flags >> 2,
                redriven: flags & 2 != 0,
                attempts: reader.number()?,
                ..Open::default()
            };
            if flags & 1 == 0 {
                inbox.recorded.insert(seq, open);
                continue;
            }
            let due = Timestamp::from_ms(reader.number()?)?;
            open.due = Some(due);
            inbox.returned.insert(seq, open);
            inbox.waiting.insert((due, seq));
        }
        Some(inbox)
    }

    /// Counts the bytes of what the row listed. What is not in the log is not pending.
    pub fn weigh_listed(&mut self, mut bytes_of: impl FnMut(Ordinal) -> Option<u64>) {
        let Self { recorded, returned, waiting, bytes, .. } = self;
        let mut weigh = |seq: Ordinal| {
            let found = bytes_of(seq);
            *bytes = bytes.saturating_add(found.unwrap_or(0));
            found.is_some()
        };
        recorded.retain(|seq, _| weigh(*seq));
        returned.retain(|seq, _| weigh(*seq));
        waiting.retain(|(_, seq)| returned.contains_key(seq));
    }
}
