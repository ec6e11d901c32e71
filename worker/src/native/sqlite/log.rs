//! The write-ahead log of a database in a file: when it is brought into the database, and what a flush
//! of SQLite's own that failed means.
//!
//! SQLite brings a long log into the database by itself, and tells nobody when the flush that comes
//! before fails. So it is done here, and a failed flush is remembered.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, ffi};

use crate::storage::StorageError;

use super::Database;

/// Number of pages from which on the log is brought into the database: 4 MB of the usual pages.
pub(super) const LONG_PAGES: u32 = 1_000;

/// Length of the log, in pages that were written since it began anew.
#[derive(Clone, Default)]
pub(super) struct Length(Arc<AtomicU32>);

impl Length {
    /// Watches the log of this connection, which then does nothing with it by itself.
    pub(super) fn watch(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let length = Arc::clone(&self.0);
        connection.wal_hook(Some(move |_: &mut _, pages: std::ffi::c_int| {
            length.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
    }

    pub(super) fn set(&self, pages: u32) {
        self.0.store(pages, Ordering::Relaxed);
    }

    fn pages(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The log of the database in this file.
pub(in crate::native) fn file_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

impl Database {
    /// True if a flush of SQLite's own has failed: what is durable is unknown then, and the database has to
    /// be [cut off](Self::cut_off) and opened again.
    pub(in crate::native) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Brings a long log into the database, so that it begins anew. What is in the way is tried again
    /// when the log is longer still.
    pub(super) fn shorten_log(&mut self) {
        let pages = self.connection.length.pages();
        if pages < self.long_log {
            return;
        }
        self.long_log = match self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)") {
            Ok(()) => {
                // What the next commit says is how long the new one is.
                self.connection.length.set(1);
                LONG_PAGES
            }
            Err(_) => pages.saturating_add(LONG_PAGES),
        };
    }

    /// Brings the log into the database and makes it an empty file.
    ///
    /// # Errors
    /// [`StorageError`] if something was in the way; the log is as good as before.
    pub(in crate::native) fn empty_log(&mut self) -> Result<(), StorageError> {
        self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)")?;
        self.connection.length.set(0);
        Ok(())
    }

    /// True if there is anything in the log.
    pub(in crate::native) fn has_log(&self) -> bool {
        self.connection.length.pages() > 0
    }

    fn checkpoint(&mut self, sql: &str) -> Result<(), StorageError> {
        self.shell(|connection| connection.query_row(sql, [], |_| Ok(())))
    }

    /// Closes the database and leaves its log as it is: nothing is flushed, nothing is written. The next
    /// to open it finds everything that was committed.
    pub(in crate::native) fn cut_off(mut self) {
        // If it fails, closing brings the log into the database, as it does by default.
        let _ = self.shell(|connection| {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        });
    }
}

/// True if this is a flush that failed.
pub(super) fn is_failed_flush(error: &rusqlite::Error) -> bool {
    let failed = error.sqlite_error();
    failed.is_some_and(|failed| {
        failed.code == ErrorCode::SystemIoFailure
            && matches!(failed.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Storage, Value};

    #[test]
    fn a_failed_flush_is_told_from_other_failures() {
        let failed = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        assert!(is_failed_flush(&failed(ffi::SQLITE_IOERR_FSYNC)));
        assert!(is_failed_flush(&failed(ffi::SQLITE_IOERR_DIR_FSYNC)));
        assert!(!is_failed_flush(&failed(ffi::SQLITE_IOERR_WRITE)));
        assert!(!is_failed_flush(&failed(ffi::SQLITE_FULL)));
    }

    #[test]
    fn a_log_does_not_grow_for_ever_and_is_left_alone_by_a_cut() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("d");
        let log = || std::fs::metadata(folder.path().join("d-wal")).unwrap().len();
        let mut database = Database::in_file(&file).unwrap();
        database.execute("CREATE TABLE t (x TEXT NOT NULL) STRICT", &[]).unwrap();
        for _ in 0..300 {
            database.begin().unwrap();
            let text = Value::Text("x".repeat(100_000));
            database.execute("INSERT INTO t VALUES (?1)", &[text]).unwrap();
            database.commit().unwrap();
        }
        let most = u64::from(LONG_PAGES + 100) * 4_200;
        assert!(log() < most, "{} bytes", log());
        let before = log();
        database.cut_off();
        assert_eq!(log(), before);

        let mut again = Database::in_file(&file).unwrap();
        let rows = again.query("SELECT count(*) FROM t", &[]).unwrap();
        assert_eq!(rows, [[Value::Integer(300)]]);
        again.empty_log().unwrap();
        assert_eq!(log(), 0);
        assert!(!again.has_log());
    }
}
