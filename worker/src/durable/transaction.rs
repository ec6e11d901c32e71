//! One event, one transaction: what fails leaves no row behind.

use wasm_bindgen::JsValue;

use crate::storage::StorageError;

use super::js::{JsStorage, reason};

/// Runs `body` inside `transactionSync`: its writes stay if it returns `Ok` *and* the platform takes
/// them, else none does.
///
/// Without it a handler that returns an error keeps what it has written so far.
pub(super) fn transaction<T>(
    storage: &JsStorage,
    body: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let mut body = Some(body);
    let mut outcome = None;
    let ended = storage.transaction_sync(&mut || {
        let Some(body) = body.take() else {
            return Err(JsValue::from_str("the platform ran a transaction twice"));
        };
        match body() {
            Ok(value) => {
                outcome = Some(value);
                Ok(JsValue::UNDEFINED)
            }
            // The exception is what makes the platform roll back.
            Err(StorageError(said)) => Err(JsValue::from_str(&said)),
        }
    });
    match ended {
        Ok(_) => outcome.ok_or_else(|| StorageError("the platform ran no transaction".into())),
        Err(exception) => Err(StorageError(reason(&exception))),
    }
}
