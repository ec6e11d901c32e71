//! Time for which a connection may keep the server waiting for a request.

use std::cell::Cell;
use std::time::Duration;

use crate::native::clock::HostClock;

/// Knows whether a connection waits for a request or is being served.
///
/// Idle connections, heads that come byte by byte and answers that nobody reads are all the same to
/// it: no next request comes.
#[derive(Default)]
pub(super) struct Deadline {
    requests: Cell<u64>,
    serving: Cell<bool>,
}

/// While it lives, a request is being served.
pub(super) struct Serving<'a>(&'a Deadline);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.serving.set(false);
    }
}

impl Deadline {
    /// A request has come.
    pub(super) fn serve(&self) -> Serving<'_> {
        self.requests.set(self.requests.get().saturating_add(1));
        self.serving.set(true);
        Serving(self)
    }

    /// Ends when no request has come for at least `patience`, and at most twice that.
    pub(super) async fn passes(&self, clock: &dyn HostClock, patience: Duration) {
        loop {
            let seen = self.requests.get();
            clock.sleep(patience).await;
            if self.requests.get() == seen && !self.serving.get() {
                return;
            }
        }
    }
}
