//! One event on a machine: what it has read, what it will write, and who is told.
//!
//! Writes are gathered and go out together when everything is decided.

use mailbus_spec::machine::StateMachine;
use mailbus_spec::service::Service;
use mailbus_spec::time::Observation;
use mailbus_spec::{Ordinal, Timestamp};

use super::columns::{Columns, checked};
use super::header::Header;
use crate::storage::{Row, Storage, StorageError, Value};

/// Reason why a command came to no outcome.
#[derive(Debug)]
pub enum Stop<R> {
    /// The protocol's answer is a refusal.
    Rejected(R),
    /// The storage failed, and with it the event.
    Failed(StorageError),
}

impl<R> From<StorageError> for Stop<R> {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}

/// Outcome of a command on the service `S`, or the reason why there is none.
pub type Answer<S> = Result<<S as StateMachine>::Outcome, Stop<<S as StateMachine>::Rejection>>;

/// Memory as a turn writes it: the object's numbers and the statements that carry them.
pub trait Rows: Sized {
    /// The service, by its reference machine.
    type Service: Service;
    /// State of its session that a socket keeps.
    type Kept;
    /// State that only this service's events gather.
    type Gathered: Default;

    /// The file of SQL that creates the tables.
    const TABLES: &'static str;
    /// Answers with a row if the tables are there, on any database.
    const FIND_TABLES: &'static str;
    /// Writes the numbers. Parameters: [`meta`](Self::meta).
    const WRITE_META: &'static str;

    /// The object's numbers.
    fn header(&self) -> &Header;

    /// The same, to be changed.
    fn header_mut(&mut self) -> &mut Header;

    /// Columns of the object's stamp, which a row carries before its own.
    fn stamp(&self) -> Vec<Value>;

    /// Columns of `meta`.
    fn meta(&self) -> Vec<Value>;

    /// Writes what is made out of the rows of an event that wrote; says how many rows that was.
    fn write_more(
        &mut self,
        storage: &mut dyn Storage,
        gathered: &Self::Gathered,
    ) -> Result<u64, StorageError> {
        let _ = (storage, gathered);
        Ok(0)
    }

    /// The least that touches the storage, whether the tables are there or not.
    fn touch(&self) -> &'static str {
        if self.header().has_tables { "SELECT 1 FROM meta" } else { Self::FIND_TABLES }
    }
}

/// A statement to be executed once everything is decided.
struct Write {
    sql: &'static str,
    /// True if the object's stamp comes before the parameters. Such a statement writes a row.
    is_stamped: bool,
    parameters: Vec<Value>,
}

/// State that an event has gathered so far.
pub struct Turn<'s, R: Rows> {
    storage: &'s mut dyn Storage,
    /// The clock as read for this event.
    pub seen: Observation,
    /// The object time of the last event that wrote before this one.
    pub floor: Timestamp,
    /// State that only this service gathers.
    pub gathered: R::Gathered,
    /// Sessions that sockets keep from now on.
    pub kept: Vec<R::Kept>,
    pushes: Vec<<R::Service as StateMachine>::Push>,
    wrote: bool,
    touched: bool,
    writes_meta: bool,
    writes: Vec<Write>,
}

/// Effects of an event, apart from its reply.
pub(super) struct Done<R: Rows> {
    pub pushes: Vec<<R::Service as StateMachine>::Push>,
    pub kept: Vec<R::Kept>,
    pub wrote: bool,
    pub rows: u64,
}

impl<'s, R: Rows> Turn<'s, R> {
    pub(super) fn new(storage: &'s mut dyn Storage, seen: Observation, header: &Header) -> Self {
        Self {
            storage,
            seen,
            floor: header.clock.floor,
            gathered: R::Gathered::default(),
            kept: Vec::new(),
            pushes: Vec::new(),
            wrote: seen.reanchored,
            touched: false,
            writes_meta: seen.reanchored,
            writes: Vec::new(),
        }
    }

    /// Object time of the event.
    pub fn now(&self) -> Timestamp {
        self.seen.now
    }

    /// Notes that something has to become durable, be it only the clock.
    pub fn writes_clock(&mut self) {
        self.wrote = true;
    }

    /// Notes that what only `meta` says has moved.
    pub fn writes_meta(&mut self) {
        self.wrote = true;
        self.writes_meta = true;
    }

    /// Executes a statement, once everything is decided.
    pub fn write(&mut self, sql: &'static str, parameters: Vec<Value>) {
        self.wrote = true;
        self.writes.push(Write { sql, is_stamped: false, parameters });
    }

    /// Writes a row with the object's stamp before these columns, once everything is decided.
    pub fn write_stamped(&mut self, sql: &'static str, parameters: Vec<Value>) {
        self.wrote = true;
        self.writes.push(Write { sql, is_stamped: true, parameters });
    }

    /// Writes such a row before all that is gathered.
    pub fn write_first(&mut self, sql: &'static str, parameters: Vec<Value>) {
        self.wrote = true;
        self.writes.insert(0, Write { sql, is_stamped: true, parameters });
    }

    /// True if something has to become durable.
    pub fn has_written(&self) -> bool {
        self.wrote
    }

    /// The same; from here on nothing has.
    pub fn take_wrote(&mut self) -> bool {
        std::mem::take(&mut self.wrote)
    }

    /// Begins a new generation, with the ordinals raised.
    pub fn recover(&mut self, header: &mut Header, at_least: Ordinal) {
        header.recover(self.seen.now, at_least);
        self.writes_meta();
    }

    /// Carries the clock on to the time of an ordinal.
    pub fn carry_clock(&mut self, at_least: Ordinal) {
        if let Some(anchor) = Timestamp::from_ms(at_least.anchor_ms()) {
            self.seen.now = self.seen.now.max(anchor);
        }
    }

    /// Adds a push.
    pub fn add_push(&mut self, push: <R::Service as StateMachine>::Push) {
        self.pushes.push(push);
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

    /// Reads one row.
    pub fn query_one(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Columns, StorageError> {
        let row = self.query(sql, parameters)?.pop();
        checked("a row", row).map(Columns::of)
    }

    /// Writes what has been gathered, the object's numbers with it.
    pub(super) fn finish(mut self, memory: &mut R) -> Result<Done<R>, StorageError> {
        let mut rows = 0;
        if self.wrote {
            rows = self.flush(memory)?;
        } else if !self.touched {
            // A replaced object must not answer from memory: touching the storage finds it out.
            self.storage.query(memory.touch(), &[])?;
        }
        let Self { pushes, kept, wrote, .. } = self;
        Ok(Done { pushes, kept, wrote, rows })
    }

    fn flush(&mut self, memory: &mut R) -> Result<u64, StorageError> {
        let header = memory.header_mut();
        // The generation begins with the first write and stands in `meta` alone.
        self.writes_meta |= header.generation == 0;
        header.advance(&self.seen);
        let mut rows = 0_u64;
        let mut execute = |sql, parameters: &[Value]| {
            let written = self.storage.execute(sql, parameters)?;
            rows = rows.saturating_add(written);
            Ok::<u64, StorageError>(written)
        };
        if !std::mem::replace(&mut header.has_tables, true) {
            for sql in statements(R::TABLES) {
                execute(sql, &[])?;
            }
        }
        let stamp = memory.stamp();
        let mut is_stamped = false;
        for write in self.writes.drain(..) {
            if !write.is_stamped {
                execute(write.sql, &write.parameters)?;
                continue;
            }
            if execute(write.sql, &[stamp.clone(), write.parameters].concat())? == 0 {
                return Err(StorageError("a row in memory is not in the storage".to_owned()));
            }
            is_stamped = true;
        }
        if self.writes_meta || !is_stamped {
            execute(R::WRITE_META, &memory.meta())?;
        }
        let more = memory.write_more(self.storage, &self.gathered)?;
        Ok(rows.saturating_add(more))
    }
}

/// The statements of a file of SQL: each ends with its line.
pub fn statements(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.split(";\n").filter(|sql| sql.contains("CREATE"))
}
