//! The room that a database in a file takes, and giving back what is free.

use rusqlite::limits::Limit;

use crate::storage::StorageError;

use super::Database;

/// Pages of a database in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::native) struct Space {
    /// All of them.
    pub(in crate::native) pages: u32,
    /// Those that nothing is in.
    pub(in crate::native) free: u32,
    /// True if free ones can be given back a few at a time. Databases of before this was so have to be
    /// [converted](Database::convert).
    pub(in crate::native) gives_back: bool,
}

impl Database {
    /// The room it takes.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    pub(in crate::native) fn space(&mut self) -> Result<Space, StorageError> {
        self.shell(|connection| {
            let ask = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
            let mode: u32 = ask("auto_vacuum")?;
            Ok(Space {
                pages: ask("page_count")?,
                free: ask("freelist_count")?,
                gives_back: mode == INCREMENTAL,
            })
        })
    }

    /// Gives back at most this many free pages, in a transaction of its own.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be written.
    pub(in crate::native) fn give_back(&mut self, pages: u32) -> Result<(), StorageError> {
        self.shell(|connection| {
            let mut statement =
                connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
            let mut given = statement.raw_query();
            while given.next()?.is_some() {}
            Ok(())
        })
    }

    /// Writes the whole database anew, without its free pages and so that it can give back later ones.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be written; it is as it was then.
    pub(in crate::native) fn convert(&mut self) -> Result<(), StorageError> {
        self.shell(|connection| {
            // It goes through an attached database in memory.
            connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
            let converted = connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM");
            connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
            converted
        })
    }
}

/// Number by which SQLite calls the mode in which free pages are given back on request.
const INCREMENTAL: u32 = 2;

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::storage::{Storage, Value};

    const CREATE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT NOT NULL) STRICT";

    fn fill(database: &mut Database) {
        for _ in 0..200 {
            let text = Value::Text("x".repeat(10_000));
            database.execute("INSERT INTO t (x) VALUES (?1)", &[text]).unwrap();
        }
    }

    #[test]
    fn a_new_database_gives_back_its_free_pages_a_few_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::in_file(&folder.path().join("d")).unwrap();
        database.execute(CREATE, &[]).unwrap();
        fill(&mut database);
        let full = database.space().unwrap();
        assert!(full.gives_back && full.free == 0 && full.pages > 400, "{full:?}");
        database.execute("DELETE FROM t WHERE id > 10", &[]).unwrap();
        let freed = database.space().unwrap();
        assert!(freed.free > 300, "{freed:?}");
        database.give_back(100).unwrap();
        let some = database.space().unwrap();
        assert_eq!((freed.pages - some.pages, freed.free - some.free), (100, 100));
        database.give_back(u32::MAX >> 1).unwrap();
        assert_eq!(database.space().unwrap().free, 0);
        drop(database);
        let mut again = Database::in_file(&folder.path().join("d")).unwrap();
        assert!(again.space().unwrap().gives_back);
        let rows = again.query("SELECT count(*) FROM t", &[]).unwrap();
        assert_eq!(rows, [[Value::Integer(10)]]);
        assert!(!again.has_log(), "opening it writes nothing");
    }

    #[test]
    fn an_old_database_is_converted_and_its_bookmarks_are_still_good() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("d");
        Connection::open(&file).unwrap().execute_batch(CREATE).unwrap();
        let mut database = Database::in_file(&file).unwrap();
        fill(&mut database);
        let before = database.bookmark().unwrap();
        database.execute("DELETE FROM t WHERE id > 10", &[]).unwrap();
        let old = database.space().unwrap();
        assert!(!old.gives_back && old.free > 300, "{old:?}");
        database.convert().unwrap();
        let new = database.space().unwrap();
        assert!(new.gives_back && new.free == 0 && new.pages < 100, "{new:?}");
        assert!(database.query("SELECT 1 FROM pragma_database_list", &[]).is_err(), "still strict");

        let count = "SELECT count(*) FROM t";
        let after = database.bookmark().unwrap();
        for (bookmark, rows, gives_back) in [(&before, 200, false), (&after, 10, true)] {
            database.restore(bookmark).unwrap();
            assert_eq!(database.query(count, &[]).unwrap(), [[Value::Integer(rows)]]);
            assert_eq!(database.space().unwrap().gives_back, gives_back);
            database.execute("INSERT INTO t (x) VALUES ('more')", &[]).unwrap();
            database.execute("DELETE FROM t WHERE id <= 5", &[]).unwrap();
            let sound = database.shell(|connection| {
                connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
            });
            assert_eq!(sound.unwrap(), "ok");
        }
    }
}
