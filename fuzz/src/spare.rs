//! Empty databases for histories that begin one after the other: to open one and to prepare its
//! statements takes longer than most histories.

use std::cell::RefCell;
use std::thread::LocalKey;

use mailbus_worker::native::sqlite::Database;

/// The database that the last history of a target on this thread has left.
pub(crate) type Spare = RefCell<Option<Database>>;

/// One length in so many begins in a new database, without tables.
const NEW: usize = 64;

/// Runs a history of so many bytes, which says whether the database is as good as before but for its rows.
/// Where the tables are there already, `make_tables` or an earlier history has made them: what a history
/// finds depends on its bytes alone.
///
/// # Panics
/// If SQLite has no memory.
pub(crate) fn with_database(
    bytes: usize,
    spare: &'static LocalKey<Spare>,
    make_tables: fn(&mut Database),
    history: impl FnOnce(Database) -> Option<Database>,
) {
    let new = || Database::in_memory().expect("SQLite has memory");
    if bytes.is_multiple_of(NEW) {
        history(new());
        return;
    }
    let used = spare.take().unwrap_or_else(|| {
        let mut database = new();
        make_tables(&mut database);
        clear(&mut database);
        database
    });
    spare.set(history(used).map(|mut database| {
        clear(&mut database);
        database
    }));
}

fn clear(database: &mut Database) {
    database.clear().expect("a database in memory can be written");
}
