//! Values to columns, and out of a row: there checked, for what cannot be read is a failure of the storage,
//! never a guess.

use mailbus_spec::{AgentId, Holder, Ordinal, SessionId, Timestamp};

use crate::storage::{Row, StorageError, Value};

/// The columns of one row, from left to right.
pub struct Columns(std::vec::IntoIter<Value>);

fn unreadable(what: &str, found: Option<&Value>) -> StorageError {
    let found = match found {
        Some(Value::Blob(bytes)) => format!("{} bytes", bytes.len()),
        other => format!("{other:?}"),
    };
    StorageError(format!("a row has {found} where {what} belongs"))
}

impl Columns {
    pub fn of(row: Row) -> Self {
        Self(row.into_iter())
    }

    /// The next value, made by `read` out of what is there.
    fn next<T>(
        &mut self,
        what: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, StorageError> {
        let value = self.0.next();
        value.as_ref().and_then(read).ok_or_else(|| unreadable(what, value.as_ref()))
    }

    pub fn integer(&mut self) -> Result<u64, StorageError> {
        self.next("a count", |value| match value {
            Value::Integer(integer) => u64::try_from(*integer).ok(),
            _ => None,
        })
    }

    pub fn signed(&mut self) -> Result<i64, StorageError> {
        self.next("an integer", |value| match value {
            Value::Integer(integer) => Some(*integer),
            _ => None,
        })
    }

    pub fn optional_integer(&mut self) -> Result<Option<u64>, StorageError> {
        self.next("a count or nothing", |value| match value {
            Value::Integer(integer) => u64::try_from(*integer).ok().map(Some),
            Value::Null => Some(None),
            _ => None,
        })
    }

    pub fn flag(&mut self) -> Result<bool, StorageError> {
        Ok(self.integer()? != 0)
    }

    pub fn text(&mut self) -> Result<String, StorageError> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(text),
            other => Err(unreadable("a text", other.as_ref())),
        }
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

    pub fn optional_ordinal(&mut self) -> Result<Option<Ordinal>, StorageError> {
        let Some(number) = self.optional_integer()? else { return Ok(None) };
        checked("an ordinal", Ordinal::new(number)).map(Some)
    }

    pub fn ordinal(&mut self) -> Result<Ordinal, StorageError> {
        let number = self.integer()?;
        checked("an ordinal", Ordinal::new(number))
    }

    pub fn agent(&mut self) -> Result<AgentId, StorageError> {
        let text = self.text()?;
        checked("an agent", AgentId::new(text).ok())
    }

    pub fn holder(&mut self) -> Result<Holder, StorageError> {
        let agent = self.agent()?;
        let session = self.text()?;
        Ok(Holder { agent, session: checked("a session", SessionId::new(session).ok())? })
    }
}

/// A value that was parsed out of a column, if it was.
pub(crate) fn checked<T>(what: &str, parsed: Option<T>) -> Result<T, StorageError> {
    parsed.ok_or_else(|| unreadable(what, None))
}

/// The column of a count. Every integer of an object is below 2^53 by construction.
pub(crate) fn integer(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

pub(crate) fn ordinal(value: Ordinal) -> Value {
    integer(value.get())
}

pub(crate) fn instant(at: Timestamp) -> Value {
    integer(at.ms())
}

pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}
