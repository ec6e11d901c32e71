//! A database whose file is made by the first statement that writes.
//!
//! A workspace that was only asked about, or only refused, leaves nothing behind that way: not on
//! the disk, and nothing that a later start would have to open.

use std::path::{Path, PathBuf};

use crate::storage::StorageError;

use super::{Database, Shared};

/// The file of a database that does not have one yet.
pub(super) struct LazyFile {
    file: PathBuf,
    open: Box<Open>,
}

type Open = dyn Fn(&Path) -> Result<Database, StorageError>;

impl Database {
    /// The database in this file, which `open` opens or makes: now if it is there, else with the first
    /// statement that writes. Until then it is an empty database in memory, and locks nothing.
    ///
    /// # Errors
    /// [`StorageError`] if it is there and cannot be opened, or if SQLite has no memory.
    pub fn once_written(
        file: PathBuf,
        open: impl Fn(&Path) -> Result<Self, StorageError> + 'static,
    ) -> Result<Self, StorageError> {
        if exists(&file)? {
            return open(&file);
        }
        let mut database = Self::in_memory()?;
        database.lazy_file = Some(LazyFile { file, open: Box::new(open) });
        Ok(database)
    }

    /// True if it is where it will stay: its file is there, or it never gets one.
    pub(in crate::native) fn is_made(&self) -> bool {
        self.lazy_file.is_none()
    }

    /// Makes the file if there is none yet, and goes on in it: in a transaction if one is open, which
    /// then has read nothing that is not so in the file.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be made, or somebody else has made and filled it meanwhile: the
    /// event has read an empty database then, and must not write to this one.
    pub(in crate::native) fn make(&mut self) -> Result<(), StorageError> {
        let Some(lazy) = &self.lazy_file else { return Ok(()) };
        let mut made = (lazy.open)(&lazy.file)?;
        if !is_empty(&mut made)? {
            let file = lazy.file.display();
            return Err(StorageError(format!("{file}: it was made by somebody else meanwhile")));
        }
        if !self.connection.connection.borrow().is_autocommit() {
            made.begin()?;
        }
        self.go_on_in(made.connection);
        Ok(())
    }

    /// True if somebody else has made the file since the last event; then this goes on in it.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be opened.
    pub(in crate::native) fn has_appeared(&mut self) -> Result<bool, StorageError> {
        let Some(lazy) = &self.lazy_file else { return Ok(false) };
        if !exists(&lazy.file)? {
            return Ok(false);
        }
        let made = (lazy.open)(&lazy.file)?;
        self.go_on_in(made.connection);
        Ok(true)
    }

    fn go_on_in(&mut self, connection: Shared) {
        self.connection = connection;
        self.lazy_file = None;
        self.costs.clear();
    }
}

fn exists(file: &Path) -> Result<bool, StorageError> {
    file.try_exists().map_err(|error| StorageError(format!("{}: {error}", file.display())))
}

fn is_empty(database: &mut Database) -> Result<bool, StorageError> {
    database.shell(|connection| {
        connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
    })
}
