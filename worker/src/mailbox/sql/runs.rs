//! Runs: what waking has to know of some hundred messages, in one row instead of one for each.
//!
//! A run says what the rows of its messages say, but what was said. It is written from these rows by the
//! event that completes it, so it is no second source: where a row was deleted or changed since, the
//! database itself takes the run's word away (see `run.sql`), and waking reads the rows again until a
//! later event writes the run anew.
//!
//! The bytes are a format number; the names of agents, then those of types, each list once with its
//! length; then the messages in order, told by places in the lists and by differences to the message
//! before. 20 bytes a message are usual.

use std::collections::BTreeMap;

use mailbus_spec::mailbox::MessageType;
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use super::encoding::{Reader, put};
use super::log::{Entry, Told};
use super::rows;
use super::state::MailboxMemory;
use crate::sql::{Rows, checked, statements};
use crate::storage::{Storage, StorageError, Value};

/// A run of so many bytes takes no further message. The last may add the names of all agents; so it is
/// far below the 2 MB of a value.
const RUN_BYTES: usize = 512 << 10;

/// The bytes of another format are not read; the rows are.
const FORMAT: u8 = 1;

const TABLE: &str = include_str!("run.sql");

const ACK_REQUIRED: u64 = 1;
const HAS_KEY: u64 = 2;
const HAS_RECIPIENT: u64 = 4;
const HAS_REFUSED: u64 = 8;
/// Number of bits of a message's size that the flags take.
const FLAG_BITS: u32 = 4;

impl MailboxMemory {
    /// Deletes the runs of which nothing is left, and writes some of those that are due; says how many rows
    /// that was.
    pub(super) fn write_runs(
        &mut self,
        storage: &mut dyn Storage,
        most: usize,
    ) -> Result<u64, StorageError> {
        let mut written = 0_u64;
        let mut execute = |storage: &mut dyn Storage, sql, parameters: &[Value]| {
            written = written.saturating_add(storage.execute(sql, parameters)?);
            Ok::<(), StorageError>(())
        };
        for first in self.log.take_emptied() {
            execute(storage, rows::DELETE_RUN, &[rows::ordinal(first)])?;
        }
        for _ in 0..most {
            let Some((first, last)) = self.log.due_run() else { break };
            if !self.has_runs {
                for sql in statements(TABLE) {
                    execute(storage, sql, &[])?;
                }
                self.has_runs = true;
            }
            let mut run = Encoder::default();
            // What is told anew is told to its end: what follows has runs of its own.
            let is_new = first > self.log.covered();
            let most = if is_new { RUN_BYTES } else { usize::MAX };
            let last = run.read(storage, (first, last), most)?;
            let mut columns = self.stamp();
            columns.extend([rows::ordinal(first), rows::ordinal(last)]);
            columns.push(Value::Blob(run.into_bytes()));
            execute(storage, rows::WRITE_RUN, &columns)?;
            self.log.tell(first, last);
        }
        Ok(written)
    }
}

/// The names of one kind, each once.
#[derive(Default)]
struct Names {
    places: BTreeMap<String, u64>,
    bytes: Vec<u8>,
}

impl Names {
    fn place(&mut self, name: &str) -> u64 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.places.len() as u64;
        self.places.insert(name.to_owned(), place);
        put(&mut self.bytes, name.len() as u64);
        self.bytes.extend_from_slice(name.as_bytes());
        place
    }
}

/// A run that is written.
#[derive(Default)]
struct Encoder {
    agents: Names,
    kinds: Names,
    messages: Vec<u8>,
    seq: u64,
    at: u64,
}

impl Encoder {
    /// Reads the rows from the first to the last, as long as there are not so many bytes; says which was the
    /// last that was read.
    fn read(
        &mut self,
        storage: &mut dyn Storage,
        (first, last): (Ordinal, Ordinal),
        most_bytes: usize,
    ) -> Result<Ordinal, StorageError> {
        let (mut from, mut read_last) = (rows::ordinal(first), None);
        loop {
            let page = storage.query(rows::LOG, &[from, rows::ordinal(last)])?;
            let goes_on = page.len() == rows::LOG_PAGE;
            for row in page {
                let logged = rows::read_logged(row)?;
                self.add(&logged.told());
                read_last = Some(logged.entry.seq);
                if self.len() >= most_bytes {
                    return checked("a message", read_last);
                }
            }
            let read_through = checked("a message", read_last)?;
            if !goes_on {
                return Ok(read_through);
            }
            from = rows::after(read_through);
        }
    }

    fn len(&self) -> usize {
        let names = self.agents.bytes.len().saturating_add(self.kinds.bytes.len());
        names.saturating_add(self.messages.len())
    }

    fn add(&mut self, told: &Told<'_>) {
        let Self { agents, kinds, messages, seq, at } = self;
        let Entry { key, bytes, ack_required, .. } = told.entry;
        let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
        let flags = flag(ack_required, ACK_REQUIRED)
            | flag(key != 0, HAS_KEY)
            | flag(told.recipient.is_some(), HAS_RECIPIENT)
            | flag(!told.refused.is_empty(), HAS_REFUSED);
        put(messages, u64::from(bytes) << FLAG_BITS | flags);
        put(messages, told.entry.seq.get().wrapping_sub(*seq));
        put(messages, told.entry.at.ms().wrapping_sub(*at));
        (*seq, *at) = (told.entry.seq.get(), told.entry.at.ms());
        if key != 0 {
            messages.extend_from_slice(&key.to_le_bytes());
        }
        put(messages, agents.place(told.sender.as_str()));
        put(messages, kinds.place(told.kind.as_str()));
        if let Some(recipient) = told.recipient {
            put(messages, agents.place(recipient.as_str()));
        }
        if !told.refused.is_empty() {
            put(messages, told.refused.len() as u64);
            for name in &told.refused {
                put(messages, agents.place(name.as_str()));
            }
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for names in [self.agents, self.kinds] {
            put(&mut bytes, names.places.len() as u64);
            bytes.extend(names.bytes);
        }
        bytes.extend(self.messages);
        bytes
    }
}

/// A run that is read.
pub(super) struct Run<'b> {
    agents: Vec<AgentId>,
    kinds: Vec<MessageType>,
    messages: &'b [u8],
}

impl<'b> Run<'b> {
    /// The run that these bytes are; `None` if they are none of this format.
    pub fn of(bytes: &'b [u8]) -> Option<Self> {
        let (format, rest) = bytes.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let mut reader = Reader(rest);
        let agents = names(&mut reader, |name| AgentId::new(name).ok())?;
        let kinds = names(&mut reader, |name| MessageType::new(name).ok())?;
        Some(Self { agents, kinds, messages: reader.0 })
    }

    /// Messages that it tells, the oldest first; `None` where they cannot be read.
    pub fn messages(&self) -> impl Iterator<Item = Option<Told<'_>>> {
        let mut reader = Reader(self.messages);
        let (mut seq, mut at) = (0, 0);
        std::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            let told = self.next(&mut reader, &mut seq, &mut at);
            if told.is_none() {
                // What follows means nothing.
                reader = Reader(&[]);
            }
            Some(told)
        })
    }

    fn next(&self, reader: &mut Reader<'_>, seq: &mut u64, at: &mut u64) -> Option<Told<'_>> {
        let size = reader.number()?;
        let has = |flag| size & flag != 0;
        *seq = seq.wrapping_add(reader.number()?);
        *at = at.wrapping_add(reader.number()?);
        let key =
            if has(HAS_KEY) { u64::from_le_bytes(reader.bytes(8)?.try_into().ok()?) } else { 0 };
        let entry = Entry {
            seq: Ordinal::new(*seq)?,
            at: Timestamp::from_ms(*at)?,
            key,
            bytes: u32::try_from(size >> FLAG_BITS).ok()?,
            holders: 0,
            ack_required: has(ACK_REQUIRED),
        };
        let sender = named(&self.agents, reader)?;
        let kind = named(&self.kinds, reader)?;
        let recipient = if has(HAS_RECIPIENT) { Some(named(&self.agents, reader)?) } else { None };
        let refused = if has(HAS_REFUSED) { reader.number()? } else { 0 };
        let refused = (0..refused).map(|_| named(&self.agents, reader)).collect::<Option<_>>()?;
        Some(Told { entry, sender, kind, recipient, refused })
    }
}

fn names<T>(reader: &mut Reader<'_>, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let mut names = Vec::new();
    for _ in 0..reader.number()? {
        let length = reader.number()?;
        names.push(parse(std::str::from_utf8(reader.bytes(length)?).ok()?)?);
    }
    Some(names)
}

fn named<'n, T>(names: &'n [T], reader: &mut Reader<'_>) -> Option<&'n T> {
    names.get(usize::try_from(reader.number()?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AgentId {
        AgentId::new(text).unwrap()
    }

    fn entry(seq: u64, at: u64, key: u64, ack_required: bool) -> Entry {
        let (seq, at) = (Ordinal::new(seq).unwrap(), Timestamp::from_ms(at).unwrap());
        Entry { seq, at, key, bytes: 1 << 20, holders: 0, ack_required }
    }

    #[test]
    fn what_a_run_is_told_it_tells_again() {
        let (ann, bob, cid) = (name("ann"), name("bob"), name("cid"));
        let kinds = ["a", "b.c"].map(|kind| MessageType::new(kind).unwrap());
        let [a, b] = &kinds;
        let told = |entry, sender, kind, recipient, refused| Told {
            entry,
            sender,
            kind,
            recipient,
            refused,
        };
        let messages = [
            told(entry(1 << 50, 1 << 40, u64::MAX, true), &ann, a, None, vec![&bob, &cid]),
            told(entry((1 << 50) + 1, 1 << 40, 0, false), &bob, b, Some(&ann), vec![]),
            // A clock that fell would be no reason to lose a message.
            told(entry((1 << 50) + 9, 1 << 39, 1, false), &cid, a, Some(&cid), vec![&cid]),
        ];
        let mut encoder = Encoder::default();
        messages.iter().for_each(|told| encoder.add(told));
        let bytes = encoder.into_bytes();
        let run = Run::of(&bytes).unwrap();
        let again: Vec<_> = run.messages().collect::<Option<_>>().unwrap();
        assert_eq!(again, messages);
        let cut = Run::of(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(cut.messages().filter(Option::is_some).count(), 2);
        assert!(cut.messages().any(|told| told.is_none()), "what is cut is no shorter run");
        assert!(Run::of(&[]).is_none() && Run::of(&[FORMAT + 1, 0, 0]).is_none());
    }
}
