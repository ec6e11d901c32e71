//! Values out of a row, checked: what cannot be read is a failure of the storage, never a guess.

use mailbus_spec::{AgentId, Ordinal, Timestamp};

use crate::storage::{Row, StorageError, Value};

/// The columns of one row, from left to right.
pub(super) struct Columns(std::vec::IntoIter<Value>);

fn unreadable(what: &str, found: Option<&Value>) -> StorageError {
    let found = match found {
        Some(Value::Blob(bytes)) => format!("{} bytes", bytes.len()),
        other => format!("{other:?}"),
    };
    StorageError(format!("a mailbox row has {found} where {what} belongs"))
}

impl Columns {
    pub fn of(row: Row) -> Self {
        Self(row.into_iter())
    }

    pub fn signed(&mut self) -> Result<i64, StorageError> {
        match self.0.next() {
            Some(Value::Integer(integer)) => Ok(integer),
            other => Err(unreadable("an integer", other.as_ref())),
        }
    }

    pub fn integer(&mut self) -> Result<u64, StorageError> {
        let integer = self.signed()?;
        checked("a count", u64::try_from(integer).ok())
    }

    pub fn flag(&mut self) -> Result<bool, StorageError> {
        Ok(self.integer()? != 0)
    }

    pub fn text(&mut self) -> Result<String, StorageError> {
        let text = self.optional_text()?;
        checked("a text", text)
    }

    pub fn optional_text(&mut self) -> Result<Option<String>, StorageError> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            other => Err(unreadable("a text or nothing", other.as_ref())),
        }
    }

    pub fn blob(&mut self) -> Result<Vec<u8>, StorageError> {
        let bytes = self.optional_blob()?;
        checked("bytes", bytes)
    }

    pub fn optional_blob(&mut self) -> Result<Option<Vec<u8>>, StorageError> {
        match self.0.next() {
            Some(Value::Blob(bytes)) => Ok(Some(bytes)),
            Some(Value::Null) => Ok(None),
            other => Err(unreadable("bytes or nothing", other.as_ref())),
        }
    }

    pub fn instant(&mut self) -> Result<Timestamp, StorageError> {
        let ms = self.integer()?;
        checked("an instant", Timestamp::from_ms(ms))
    }

    pub fn ordinal(&mut self) -> Result<Ordinal, StorageError> {
        let number = self.integer()?;
        checked("an ordinal", Ordinal::new(number))
    }

    pub fn agent(&mut self) -> Result<AgentId, StorageError> {
        let text = self.text()?;
        checked("an agent", AgentId::new(text).ok())
    }
}

/// A value that was parsed out of a column, if it was.
pub(super) fn checked<T>(what: &str, parsed: Option<T>) -> Result<T, StorageError> {
    parsed.ok_or_else(|| unreadable(what, None))
}
