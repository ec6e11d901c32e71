//! The seam between an object and its database: two methods over SQL.
//!
//! Everything the platform charges for passes here, so here rows are counted. The native side is
//! as strict as workerd (100 parameters, no transactions of its own, integers within 2^53), so that
//! what would fail there fails in a test.

use std::fmt;

/// A value that crosses the seam. Tables are `STRICT`, so it comes back as the type it went in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// An integer within ±(2^53 − 1): workerd carries numbers as doubles.
    Integer(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// One row of an answer, by the order of the selected columns.
pub type Row = Vec<Value>;

/// A statement failed, or the storage did. The event that met it leaves no trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError(
    /// Message of the storage.
    pub String,
);

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "storage failed: {}", self.0)
    }
}

impl std::error::Error for StorageError {}

/// A SQLite database inside one event's transaction, which the shell opened and will end.
pub trait Storage {
    /// Reads.
    ///
    /// # Errors
    /// [`StorageError`] if the statement fails.
    fn query(&mut self, sql: &'static str, parameters: &[Value]) -> Result<Vec<Row>, StorageError>;

    /// Writes, and says how many rows the platform charges for: rows inserted, updated or deleted,
    /// index rows too. Alarms are not among them; the shell counts those.
    ///
    /// # Errors
    /// [`StorageError`] if the statement fails.
    fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, StorageError>;
}
