//! The database as tests look at it.

use crate::mailbox::sql::rows;
use crate::native::sqlite::Database;
use crate::storage::{Row, Storage, StorageError, Value};

/// A database that counts the rows it answers.
pub(super) struct Counting<'d> {
    pub database: &'d mut Database,
    pub rows: u64,
}

impl Storage for Counting<'_> {
    fn query(&mut self, sql: &'static str, parameters: &[Value]) -> Result<Vec<Row>, StorageError> {
        let found = self.database.query(sql, parameters)?;
        self.rows += found.len() as u64;
        Ok(found)
    }

    fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, StorageError> {
        self.database.execute(sql, parameters)
    }
}

/// A database that says it has no runs, as that of an older program.
pub(super) struct WithoutRuns<'d>(pub &'d mut Database);

impl Storage for WithoutRuns<'_> {
    fn query(&mut self, sql: &'static str, parameters: &[Value]) -> Result<Vec<Row>, StorageError> {
        if sql == rows::FIND_RUNS { Ok(Vec::new()) } else { self.0.query(sql, parameters) }
    }

    fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, StorageError> {
        self.0.execute(sql, parameters)
    }
}

/// A database that notes what it is asked.
pub(super) struct Noting<'d> {
    pub database: &'d mut Database,
    pub asked: Vec<&'static str>,
}

impl Storage for Noting<'_> {
    fn query(&mut self, sql: &'static str, parameters: &[Value]) -> Result<Vec<Row>, StorageError> {
        self.asked.push(sql);
        self.database.query(sql, parameters)
    }

    fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, StorageError> {
        self.asked.push(sql);
        self.database.execute(sql, parameters)
    }
}
