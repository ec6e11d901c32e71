//! JavaScript of the platform that this shell uses, each call with its exceptions caught.
//!
//! The `worker` crate covers most of it, but its cursors let exceptions through, it has no
//! `transactionSync`, and it takes alarms as offsets.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(wasm_bindgen_futures = ::worker::wasm_bindgen_futures)]
extern "C" {
    /// `ctx.storage`.
    pub(super) type JsStorage;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    pub(super) fn transaction_sync(
        this: &JsStorage,
        body: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(super) fn sql(this: &JsStorage) -> Result<JsSql, JsValue>;

    /// The pending alarm in milliseconds since the epoch, or null.
    #[wasm_bindgen(method, catch, js_name = getAlarm)]
    pub(super) async fn get_alarm(this: &JsStorage) -> Result<JsValue, JsValue>;

    /// Sets the alarm at an absolute time. In SQLite-backed objects it joins the writes before it,
    /// so its promise needs no waiting for.
    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    pub(super) fn set_alarm(this: &JsStorage, at_ms: f64) -> Result<js_sys::Promise, JsValue>;

    /// `ctx.storage.sql`.
    pub(super) type JsSql;

    #[wasm_bindgen(method, catch, variadic)]
    pub(super) fn exec(this: &JsSql, sql: &str, parameters: &Array) -> Result<JsCursor, JsValue>;

    /// The answer to a statement.
    pub(super) type JsCursor;

    #[wasm_bindgen(method, catch)]
    pub(super) fn raw(this: &JsCursor) -> Result<JsRows, JsValue>;

    #[wasm_bindgen(method, catch, getter, js_name = rowsWritten)]
    pub(super) fn rows_written(this: &JsCursor) -> Result<f64, JsValue>;

    /// The rows of a cursor as arrays of columns.
    pub(super) type JsRows;

    #[wasm_bindgen(method, catch, js_name = toArray)]
    pub(super) fn to_array(this: &JsRows) -> Result<Array, JsValue>;

    /// A request's body.
    pub(super) type JsBody;

    #[wasm_bindgen(method, catch, js_name = getReader)]
    pub(super) fn get_reader(this: &JsBody) -> Result<JsReader, JsValue>;

    /// Reader that takes a body piece by piece.
    pub(super) type JsReader;

    #[wasm_bindgen(method, catch)]
    pub(super) async fn read(this: &JsReader) -> Result<JsPiece, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(super) fn cancel(this: &JsReader) -> Result<js_sys::Promise, JsValue>;

    /// A piece of a body, or its end.
    pub(super) type JsPiece;

    #[wasm_bindgen(method, getter)]
    pub(super) fn value(this: &JsPiece) -> Option<Uint8Array>;
}

/// Message of an exception.
pub(super) fn reason(exception: &JsValue) -> String {
    if let Some(text) = exception.as_string() {
        return text;
    }
    match exception.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => format!("{exception:?}"),
    }
}
