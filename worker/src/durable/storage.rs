//! The object's SQLite database, as the platform offers it.

use js_sys::{Array, ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::storage::{Row, Storage, StorageError, Value};

use super::js::{JsCursor, JsSql, JsStorage, reason};

/// The largest integer that a JavaScript number carries exactly, 2^53 − 1.
const INTEGER_MAX: i64 = (1 << 53) - 1;

/// The database within one event.
pub(super) struct SqlStorage {
    sql: JsSql,
}

impl SqlStorage {
    pub(super) fn open(storage: &JsStorage) -> Result<Self, StorageError> {
        Ok(Self { sql: storage.sql().map_err(failed)? })
    }

    /// Runs a statement to its end: one that is left half read is left half done.
    fn run(&self, sql: &str, parameters: &[Value]) -> Result<(Array, JsCursor), StorageError> {
        let bound = Array::new();
        for parameter in parameters {
            bound.push(&to_host(parameter)?);
        }
        let cursor = self.sql.exec(sql, &bound).map_err(failed)?;
        let rows = cursor.raw().and_then(|rows| rows.to_array()).map_err(failed)?;
        Ok((rows, cursor))
    }
}

impl Storage for SqlStorage {
    fn query(&mut self, sql: &'static str, parameters: &[Value]) -> Result<Vec<Row>, StorageError> {
        let (rows, _) = self.run(sql, parameters)?;
        rows.iter()
            .map(|row| row.unchecked_ref::<Array>().iter().map(|value| from_host(&value)).collect())
            .collect()
    }

    fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, StorageError> {
        let (_, cursor) = self.run(sql, parameters)?;
        // A count of rows, index rows too: a small whole number.
        cursor.rows_written().map(|rows| rows as u64).map_err(failed)
    }
}

fn to_host(value: &Value) -> Result<JsValue, StorageError> {
    match value {
        Value::Null => Ok(JsValue::NULL),
        Value::Integer(integer) if integer.unsigned_abs() <= INTEGER_MAX.unsigned_abs() => {
            Ok(JsValue::from_f64(*integer as f64))
        }
        Value::Integer(integer) => Err(StorageError(format!("{integer} is beyond 2^53 − 1"))),
        Value::Text(text) => Ok(JsValue::from_str(text)),
        Value::Blob(bytes) => Ok(Uint8Array::from(bytes.as_slice()).into()),
    }
}

fn from_host(value: &JsValue) -> Result<Value, StorageError> {
    if let Some(number) = value.as_f64() {
        if number.fract() == 0.0 && number.abs() <= INTEGER_MAX as f64 {
            return Ok(Value::Integer(number as i64));
        }
        return Err(StorageError(format!("{number} is no integer within 2^53 − 1")));
    }
    if let Some(text) = value.as_string() {
        return Ok(Value::Text(text));
    }
    if value.is_null() || value.is_undefined() {
        return Ok(Value::Null);
    }
    match value.dyn_ref::<ArrayBuffer>() {
        Some(buffer) => Ok(Value::Blob(Uint8Array::new(buffer).to_vec())),
        None => Err(StorageError("a column is of a type that no table has".into())),
    }
}

fn failed(exception: JsValue) -> StorageError {
    StorageError(reason(&exception))
}
