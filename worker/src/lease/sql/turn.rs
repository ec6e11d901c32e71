//! One event on the machine: what it has read, what it will write, and who is told.
//!
//! Writes are gathered and go out together when everything is decided.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Outcome, Push, Rejection};
use mailbus_spec::time::Observation;
use mailbus_spec::{Holder, Timestamp};

use super::header::Header;
use super::rows;
use crate::storage::{Row, Storage, StorageError, Value};

/// Reason why a command came to no outcome.
#[derive(Debug)]
pub(super) enum Stop {
    /// The protocol's answer is a refusal.
    Rejected(Rejection),
    /// The storage failed, and with it the event.
    Failed(StorageError),
}

/// What a command comes to.
pub(super) type Answer = Result<Outcome, Stop>;

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}

/// A claim row to be written: a statement of [`rows`] that takes the header's stamp and these.
struct Write {
    sql: &'static str,
    parameters: Vec<Value>,
}

/// What an event has gathered so far.
pub(super) struct Turn<'s> {
    storage: &'s mut dyn Storage,
    /// The clock as read for this event.
    pub seen: Observation,
    /// The object time up to which what time ended had already been written down.
    floor: Timestamp,
    pushes: Vec<Push>,
    wrote: bool,
    touched: bool,
    writes_meta: bool,
    writes: Vec<Write>,
    collects: Option<u64>,
}

/// What an event did, apart from its reply.
pub(super) struct Done {
    pub pushes: Vec<Push>,
    pub wrote: bool,
    pub rows: u64,
}

impl<'s> Turn<'s> {
    pub fn new(storage: &'s mut dyn Storage, seen: Observation, floor: Timestamp) -> Self {
        Self {
            storage,
            seen,
            floor,
            pushes: Vec::new(),
            wrote: seen.reanchored,
            touched: false,
            writes_meta: seen.reanchored,
            writes: Vec::new(),
            collects: None,
        }
    }

    /// Object time of the event.
    pub fn now(&self) -> Timestamp {
        self.seen.now
    }

    /// The object time of the last event that wrote before this one.
    pub fn floor(&self) -> Timestamp {
        self.floor
    }

    /// Notes that something has to become durable, be it only the clock.
    pub fn writes_clock(&mut self) {
        self.wrote = true;
    }

    /// Notes that the answer depends on `end` being past. If that was not yet written down, the clock
    /// is.
    pub fn depends_on_end(&mut self, end: Timestamp) {
        if self.floor < end {
            self.writes_clock();
        }
    }

    /// Notes that what only `meta` says has moved.
    pub fn writes_meta(&mut self) {
        self.wrote = true;
        self.writes_meta = true;
    }

    /// Writes one claim row, once everything is decided.
    pub fn write(&mut self, sql: &'static str, parameters: Vec<Value>) {
        self.wrote = true;
        self.writes.push(Write { sql, parameters });
    }

    /// Deletes the rows of what ended at this instant or before. The newest may be among them; what this
    /// event writes, be it only `meta`, is newer.
    pub fn collect(&mut self, until_ms: u64) {
        self.collects = Some(until_ms);
        self.wrote = true;
    }

    /// Adds a push.
    pub fn push(&mut self, to: &Holder, notice: Notice) {
        self.pushes.push(Push { to: to.clone(), notice });
    }

    /// Reads.
    pub fn query(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, StorageError> {
        self.touched = true;
        self.storage.query(sql, parameters)
    }

    /// Writes what has been gathered. `has_tables` says whether the tables are there, and is set when
    /// they are created.
    pub fn finish(
        mut self,
        header: &mut Header,
        has_tables: &mut bool,
    ) -> Result<Done, StorageError> {
        let mut rows = 0;
        if self.wrote {
            // The generation begins with the first write and stands in `meta` alone.
            self.writes_meta |= header.generation == 0 || self.writes.is_empty();
            header.advance(&self.seen);
            if !*has_tables {
                rows = rows::create_tables(self.storage)?;
                *has_tables = true;
            }
            rows = self.flush(header, rows)?;
        } else if !self.touched {
            // A replaced object must not answer from memory: touching the storage finds it out.
            let sql = if *has_tables { rows::TOUCH } else { rows::FIND_TABLES };
            self.storage.query(sql, &[])?;
        }
        Ok(Done { pushes: self.pushes, wrote: self.wrote, rows })
    }

    fn flush(&mut self, header: &Header, rows_before: u64) -> Result<u64, StorageError> {
        let mut rows = rows_before;
        let mut execute = |sql, parameters: &[Value]| {
            let written = self.storage.execute(sql, parameters)?;
            rows = rows.saturating_add(written);
            Ok::<u64, StorageError>(written)
        };
        for write in self.writes.drain(..) {
            let mut parameters = rows::stamp(header);
            parameters.extend(write.parameters);
            if execute(write.sql, &parameters)? == 0 {
                return Err(StorageError("a claim in memory is not in the storage".to_owned()));
            }
        }
        if let Some(until_ms) = self.collects {
            execute(rows::COLLECT, &[rows::integer(until_ms)])?;
        }
        if self.writes_meta {
            execute(rows::WRITE_META, &rows::meta(header))?;
        }
        Ok(rows)
    }
}
