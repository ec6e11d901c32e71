//! The host's clock, read once for each event, and the one alarm of an object.

use mailbus_spec::HostTime;

use crate::storage::StorageError;

use super::js::{JsStorage, reason};

/// Time for which an object whose alarm's event failed is left alone. The platform would try again
/// six times by itself, and then never.
const RETRY_MS: u64 = 10_000;

/// Time by the host's clock.
pub(super) fn now() -> HostTime {
    HostTime(js_sys::Date::now() as u64)
}

/// The alarm that the platform says is set.
pub(super) async fn pending_alarm(storage: &JsStorage) -> Result<Option<HostTime>, StorageError> {
    let at = storage.get_alarm().await.map_err(|exception| StorageError(reason(&exception)))?;
    Ok(at.as_f64().map(|ms| HostTime(ms as u64)))
}

/// Sets the alarm, in place of the pending one.
pub(super) fn set_alarm(storage: &JsStorage, at: HostTime) -> Result<(), StorageError> {
    match storage.set_alarm(at.0 as f64) {
        // The promise is kept with the writes of the event, or the platform restarts the object.
        Ok(_promise) => Ok(()),
        Err(exception) => Err(StorageError(reason(&exception))),
    }
}

/// Time at which an alarm whose event failed is tried again.
pub(super) fn retry_at() -> HostTime {
    HostTime(now().0.saturating_add(RETRY_MS))
}
