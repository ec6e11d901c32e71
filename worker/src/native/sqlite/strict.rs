//! Strictness of workerd: the native database refuses and spoils what it does.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};

use crate::storage::{StorageError, Value};

/// The largest integer that a double carries exactly together with its neighbours: 2^53 − 1.
const INTEGER_MAX: i64 = (1 << 53) - 1;

/// Limits of workerd, and their values.
const LIMITS: &[(Limit, i32)] = &[
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 5),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
];

/// The longest value, row or text: 2 MB. Not a limit of the connection, which would bound the pages
/// that a bookmark is copied by too.
const VALUE_MAX_BYTES: usize = 2 << 20;

/// Tables that the authorizer sees, and whether it looks away.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<State>);

#[derive(Default)]
struct State {
    /// True if the shell itself is at work.
    open: AtomicBool,
    touched: Mutex<Touched>,
}

/// Tables and schema that the statements prepared since the last question write to.
#[derive(Default)]
pub(super) struct Touched {
    /// Tables whose rows are inserted, updated or deleted.
    pub(super) tables: BTreeSet<String>,
    /// True if the schema is changed.
    pub(super) schema: bool,
}

/// While it lives, the shell is at work and nothing is refused.
pub(super) struct Open<'a>(&'a Watch);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.0.open.store(false, Ordering::Relaxed);
    }
}

impl Watch {
    pub(super) fn open(&self) -> Open<'_> {
        self.0.open.store(true, Ordering::Relaxed);
        Open(self)
    }

    /// Tables and schema that the statement that `prepare` prepares writes to.
    pub(super) fn touched_by(
        &self,
        prepare: impl FnOnce() -> rusqlite::Result<()>,
    ) -> rusqlite::Result<Touched> {
        drop(self.take());
        prepare()?;
        Ok(self.take())
    }

    fn take(&self) -> Touched {
        std::mem::take(&mut *self.0.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn authorize(&self, action: &AuthAction<'_>) -> Authorization {
        use AuthAction as A;
        if self.0.open.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        let mut touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        match action {
            A::Transaction { .. }
            | A::Savepoint { .. }
            | A::Pragma { .. }
            | A::Attach { .. }
            | A::Detach { .. }
            | A::CreateTempIndex { .. }
            | A::CreateTempTable { .. }
            | A::CreateTempTrigger { .. }
            | A::CreateTempView { .. }
            | A::DropTempIndex { .. }
            | A::DropTempTable { .. }
            | A::DropTempTrigger { .. }
            | A::DropTempView { .. }
            | A::Unknown { .. } => return Authorization::Deny,
            A::Insert { table_name } | A::Update { table_name, .. } | A::Delete { table_name }
                if table_name.starts_with("sqlite_") => {}
            A::Insert { table_name } | A::Update { table_name, .. } | A::Delete { table_name } => {
                if table_name.starts_with(SHELL_PREFIX) {
                    return Authorization::Deny;
                }
                touched.tables.insert((*table_name).to_owned());
            }
            A::CreateIndex { .. }
            | A::CreateTable { .. }
            | A::CreateTrigger { .. }
            | A::CreateView { .. }
            | A::DropIndex { .. }
            | A::DropTable { .. }
            | A::DropTrigger { .. }
            | A::DropView { .. }
            | A::AlterTable { .. } => touched.schema = true,
            A::Read { table_name, .. } if table_name.starts_with(SHELL_PREFIX) => {
                return Authorization::Deny;
            }
            _ => {}
        }
        Authorization::Allow
    }
}

/// Beginning of the names of the shell's own tables; no object may touch them.
pub(in crate::native) const SHELL_PREFIX: &str = "_shell_";

/// Makes the connection strict.
pub(super) fn apply(connection: &mut Connection) -> Result<Watch, StorageError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    for (limit, most) in LIMITS {
        connection.set_limit(*limit, *most)?;
    }
    let watch = Watch::default();
    let eye = watch.clone();
    connection.authorizer(Some(move |context: AuthContext<'_>| eye.authorize(&context.action)))?;
    Ok(watch)
}

/// Rows that are charged for one changed row of the table: itself and its entry in each index.
///
/// An update that touches no indexed column is charged less in workerd; this is the upper bound.
pub(super) fn rows_per_change(connection: &Connection, table: &str) -> rusqlite::Result<u64> {
    let indexes: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM pragma_index_list(?1) AS i
             WHERE i.origin <> 'pk'
                OR (SELECT NOT t.wr FROM pragma_table_list(?1) AS t LIMIT 1)",
        )?
        .query_row([table], |row| row.get(0))?;
    Ok(u64::try_from(indexes).unwrap_or(0).saturating_add(1))
}

/// A value on its way in: numbers become doubles, as they do in JavaScript.
pub(super) fn parameter(value: &Value) -> Result<ToSqlOutput<'_>, StorageError> {
    let bytes = match value {
        Value::Null => return Ok(ToSqlOutput::Owned(SqlValue::Null)),
        Value::Integer(integer) => {
            let exact = within(*integer)?;
            // Exact: within ±(2^53 − 1).
            #[expect(clippy::cast_precision_loss, reason = "checked to be exact just before")]
            return Ok(ToSqlOutput::Owned(SqlValue::Real(exact as f64)));
        }
        Value::Text(text) => {
            short_enough(text.len())?;
            ValueRef::Text(text.as_bytes())
        }
        Value::Blob(blob) => {
            short_enough(blob.len())?;
            ValueRef::Blob(blob)
        }
    };
    Ok(ToSqlOutput::Borrowed(bytes))
}

/// A value on its way out.
pub(super) fn value(value: ValueRef<'_>) -> Result<Value, StorageError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(within(integer)?),
        ValueRef::Real(real) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a wrong cast is refused just after"
            )]
            let integer = real as i64;
            #[expect(clippy::cast_precision_loss, reason = "compared, not used")]
            if integer as f64 != real {
                return Err(StorageError(format!("{real} is not an integer")));
            }
            Value::Integer(within(integer)?)
        }
        ValueRef::Text(text) => Value::Text(
            String::from_utf8(text.to_vec())
                .map_err(|_| StorageError("a text is not UTF-8".to_owned()))?,
        ),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
    })
}

fn within(integer: i64) -> Result<i64, StorageError> {
    if (-INTEGER_MAX..=INTEGER_MAX).contains(&integer) {
        Ok(integer)
    } else {
        Err(StorageError(format!("{integer} is not within ±(2^53 − 1)")))
    }
}

fn short_enough(bytes: usize) -> Result<(), StorageError> {
    if bytes <= VALUE_MAX_BYTES {
        Ok(())
    } else {
        Err(StorageError(format!("a value of {bytes} bytes is over {VALUE_MAX_BYTES}")))
    }
}
