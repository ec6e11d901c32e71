//! The database of one object, natively: SQLite, as strict as workerd.
//!
//! What workerd would refuse or spoil fails here too, so that it fails in a test:
//!
//! * numbers are bound as REAL (`?/2` of 5 is 2.5), and integers beyond 2^53 − 1 are refused on the
//!   way in and on the way out;
//! * at most 100 parameters, 100 KB of SQL, 5 terms in a compound SELECT, 50 bytes of `LIKE` pattern,
//!   2 MB a value; foreign keys are on;
//! * `BEGIN`, `SAVEPOINT`, `PRAGMA`, `ATTACH`, `VACUUM` and temporary tables are refused.
//!
//! Stricter than workerd: a statement that writes must go through
//! [`Storage::execute`], where rows are counted.

mod bookmark;
mod faults;
mod lazy_file;
mod log;
mod space;
mod strict;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use rusqlite::{Connection, OpenFlags, Statement};

use crate::storage::{Row, Storage, StorageError, Value};

pub use bookmark::Bookmark;
pub use faults::Faults;
use lazy_file::LazyFile;
pub(super) use log::file_of as log_of;
pub(super) use space::Space;
use strict::Watch;

/// Number of prepared statements that a database keeps: more than an object has.
const STATEMENTS: usize = 128;

/// The number that a database in a file calls itself by: `mbus`.
const APPLICATION: i32 = 0x6d62_7573;

/// The SQLite database of one object.
///
/// Invariant: between two events no transaction is open.
pub struct Database {
    connection: Shared,
    /// File that it will be in once something is written; until then it is an empty one in memory.
    lazy_file: Option<LazyFile>,
    faults: Faults,
    rows: u64,
    costs: BTreeMap<&'static str, Cost>,
    /// True if a flush of SQLite's own has failed.
    doubtful: bool,
    /// Number of pages from which on its log is too long.
    long_log: u32,
}

/// An open database that can outlive the [`Database`] over it: what a process leaves in memory.
#[derive(Clone)]
pub(super) struct Shared {
    connection: Rc<RefCell<Connection>>,
    watch: Watch,
    length: log::Length,
}

/// Price of a statement beyond what its text says.
#[derive(Clone, Copy)]
struct Cost {
    /// Rows for each row that it changes: the row itself and one for each index of its table.
    per_change: u64,
    /// Rows however many it changes: a change of the schema writes the schema's own.
    flat: u64,
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

impl Shared {
    fn new(mut connection: Connection) -> Result<Self, StorageError> {
        let watch = strict::apply(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let length = log::Length::default();
        Ok(Self { connection: Rc::new(RefCell::new(connection)), watch, length })
    }

    /// An empty database in memory.
    pub(super) fn in_memory() -> Result<Self, StorageError> {
        Self::new(Connection::open_in_memory()?)
    }
}

impl Database {
    /// An empty database in memory.
    ///
    /// # Errors
    /// [`StorageError`] if SQLite has no memory.
    pub fn in_memory() -> Result<Self, StorageError> {
        Ok(Self::over(Shared::in_memory()?))
    }

    /// The database in this file, which is created if it is not there.
    ///
    /// It is in write-ahead mode with `synchronous = NORMAL`: a commit is durable after a kill of the
    /// process, and after a loss of power once the log has been flushed (see
    /// [`Flush`](super::Flush)). The file stays locked against other processes while it is open.
    ///
    /// # Errors
    /// [`StorageError`] if the file cannot be opened, is no database or is in use.
    pub fn in_file(file: &Path) -> Result<Self, StorageError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let had_log = log::file_of(file).metadata().is_ok_and(|log| log.len() > 0);
        let connection = Connection::open_with_flags(file, flags)?;
        // Who finds it locked is one process too many, and waiting would not help.
        connection.busy_timeout(std::time::Duration::ZERO)?;
        // The lock is kept, so there is no shared-memory file either.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        if pages == 0 {
            // Before there is anything: later it would take a VACUUM.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        // The first access takes the lock and makes the log.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let shared = Shared::new(connection)?;
        shared.length.watch(&mut shared.connection.borrow_mut())?;
        shared.length.set(u32::from(had_log));
        Ok(Self::over(shared))
    }

    pub(super) fn over(connection: Shared) -> Self {
        Self {
            connection,
            lazy_file: None,
            faults: Faults::default(),
            rows: 0,
            costs: BTreeMap::new(),
            doubtful: false,
            long_log: log::LONG_PAGES,
        }
    }

    /// Faults from now on: for tests and the simulator.
    pub fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// Rows written since the last call, as the platform would charge them.
    pub fn take_rows(&mut self) -> u64 {
        std::mem::take(&mut self.rows)
    }

    /// The state of the database, to come back to.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    pub fn bookmark(&mut self) -> Result<Bookmark, StorageError> {
        let _open = self.connection.watch.open();
        Bookmark::of(&mut self.connection.connection.borrow_mut())
    }

    /// Puts the database back into the state of the bookmark.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be written. Its state is then the old or the new one.
    pub fn restore(&mut self, bookmark: &Bookmark) -> Result<(), StorageError> {
        self.make()?;
        self.costs.clear();
        let _open = self.connection.watch.open();
        bookmark.restore(&mut self.connection.connection.borrow_mut())
    }

    /// Runs a statement of the shell's own: none of the object's restrictions, none of its rows.
    pub(super) fn shell<T>(
        &mut self,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        let _open = self.connection.watch.open();
        let ran = run(&self.connection.connection.borrow());
        ran.map_err(|error| failed(&mut self.doubtful, error))
    }

    /// Writes something small that means nothing, and commits it: whether the storage takes it.
    ///
    /// # Errors
    /// [`StorageError`] if it does not.
    pub(super) fn probe(&mut self) -> Result<(), StorageError> {
        if !self.is_made() {
            return Ok(());
        }
        self.transact(|database| {
            database.faults.meet(true)?;
            database.shell(|sqlite| sqlite.pragma_update(None, "application_id", APPLICATION))
        })
    }

    /// Runs an event in a transaction: all of it, or nothing.
    ///
    /// # Errors
    /// What failed first: the event, or its commit.
    pub fn transact<T>(
        &mut self,
        event: impl FnOnce(&mut Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.begin()?;
        let handled = event(self).and_then(|done| self.commit().map(|()| done));
        if handled.is_err() {
            // The first failure is the one to tell. If undoing fails too, the next event does it again.
            let _ = self.rollback();
        }
        handled
    }

    /// Deletes every row. The tables stay, and what was prepared for them: for histories that begin one
    /// after the other.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be written.
    pub fn clear(&mut self) -> Result<(), StorageError> {
        self.shell(|connection| {
            // The newest first: what refers to another table was made after it.
            let mut tables = connection.prepare_cached(
                "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid DESC",
            )?;
            let names = tables.query_map([], |row| row.get(0))?;
            for name in names.collect::<rusqlite::Result<Vec<String>>>()? {
                connection.prepare_cached(&format!("DELETE FROM {name}"))?.raw_execute()?;
            }
            Ok(())
        })
    }

    /// Opens the event's transaction. One that a panic left open is rolled back first.
    pub(super) fn begin(&mut self) -> Result<(), StorageError> {
        self.rows = 0;
        self.shell(|connection| {
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            connection.prepare_cached("BEGIN")?.raw_execute()
        })?;
        Ok(())
    }

    /// Ends the event's transaction. After an error it is still open.
    pub(super) fn commit(&mut self) -> Result<(), StorageError> {
        self.faults.meet(false)?;
        self.shell(|connection| connection.prepare_cached("COMMIT")?.raw_execute())?;
        self.shorten_log();
        Ok(())
    }

    /// Undoes what the event wrote.
    pub(super) fn rollback(&mut self) -> Result<(), StorageError> {
        self.rows = 0;
        self.costs.clear();
        self.shell(|connection| {
            // SQLite has rolled back by itself where it had to (a full disk, for one).
            if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") }
        })
    }

    fn cost(
        costs: &mut BTreeMap<&'static str, Cost>,
        connection: &Shared,
        sql: &'static str,
    ) -> Result<Cost, StorageError> {
        if let Some(cost) = costs.get(sql) {
            return Ok(*cost);
        }
        let borrowed = connection.connection.borrow();
        // Not from the cache: only preparing says which tables a statement touches.
        let touched = connection.watch.touched_by(|| borrowed.prepare(sql).map(drop))?;
        let _open = connection.watch.open();
        let mut per_change = 1_u64;
        for table in &touched.tables {
            per_change = per_change.max(strict::rows_per_change(&borrowed, table)?);
        }
        let cost = Cost { per_change, flat: if touched.schema { 2 } else { 0 } };
        if touched.schema {
            costs.clear();
        } else {
            costs.insert(sql, cost);
        }
        Ok(cost)
    }
}

impl Storage for Database {
    fn query(&mut self, sql: &'static str, parameters: &[Value]) -> Result<Vec<Row>, StorageError> {
        self.faults.meet(false)?;
        let connection = self.connection.connection.borrow();
        let mut statement = connection.prepare_cached(sql)?;
        if !statement.readonly() {
            return Err(StorageError(format!("a query must not write: {sql}")));
        }
        bind(&mut statement, parameters)?;
        let columns = statement.column_count();
        let mut found = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            found.push(
                (0..columns)
                    .map(|column| strict::value(row.get_ref(column)?))
                    .collect::<Result<Row, _>>()?,
            );
        }
        Ok(found)
    }

    fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, StorageError> {
        self.faults.meet(true)?;
        self.make()?;
        let cost = Self::cost(&mut self.costs, &self.connection, sql)?;
        let connection = self.connection.connection.borrow();
        let mut statement = connection.prepare_cached(sql)?;
        bind(&mut statement, parameters)?;
        let before = connection.total_changes();
        let mut rows = statement.raw_query();
        while rows.next().map_err(|error| failed(&mut self.doubtful, error))?.is_some() {}
        let changes = connection.total_changes().saturating_sub(before);
        let written = changes.saturating_mul(cost.per_change).saturating_add(cost.flat);
        self.rows = self.rows.saturating_add(written);
        Ok(written)
    }
}

/// Error of the database, after it was seen whether that was a flush.
fn failed(doubtful: &mut bool, error: rusqlite::Error) -> StorageError {
    *doubtful |= log::is_failed_flush(&error);
    error.into()
}

/// Binds by position, from 1 on. A missing or surplus parameter is an error, as in workerd.
fn bind(statement: &mut Statement<'_>, parameters: &[Value]) -> Result<(), StorageError> {
    if statement.parameter_count() != parameters.len() {
        return Err(StorageError(format!(
            "the statement has {} parameters and got {}",
            statement.parameter_count(),
            parameters.len()
        )));
    }
    for (index, value) in (1_usize..).zip(parameters) {
        statement.raw_bind_parameter(index, strict::parameter(value)?)?;
    }
    Ok(())
}
