//! The whole state of a database as a value.

use std::rc::Rc;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, MAIN_DB};

use crate::storage::StorageError;

/// The state of a database at one moment; cheap to clone.
///
/// Two bookmarks of equal histories need not be equal: unused pages differ.
#[derive(Clone)]
pub struct Bookmark(Rc<[u8]>);

/// Place in the header that says how the file is written and read; 2 is write-ahead, 1 is not.
const FORMAT_BYTES: std::ops::Range<usize> = 18..20;

impl Bookmark {
    /// Number of bytes that it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.len()
    }

    pub(super) fn of(connection: &mut Connection) -> Result<Self, StorageError> {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        if pages == 0 {
            return Ok(Self(Rc::default()));
        }
        let mut bytes = connection.serialize(MAIN_DB)?.to_vec();
        // A database in memory cannot be in write-ahead mode.
        if let Some(format) = bytes.get_mut(FORMAT_BYTES) {
            format.fill(1);
        }
        Ok(Self(bytes.into()))
    }

    pub(super) fn restore(&self, connection: &mut Connection) -> Result<(), StorageError> {
        let mut source = Connection::open_in_memory()?;
        if !self.0.is_empty() {
            source.deserialize_read_exact(MAIN_DB, &*self.0, self.0.len(), true)?;
        }
        match Backup::new(&source, connection)?.step(-1)? {
            StepResult::Done => Ok(()),
            stopped => Err(StorageError(format!("the restore stopped: {stopped:?}"))),
        }
    }
}

impl std::fmt::Debug for Bookmark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bookmark({} bytes)", self.0.len())
    }
}
