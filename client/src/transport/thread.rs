//! A run loop on a thread of its own.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::thread;

use futures_util::future::select;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// A run loop on a thread of its own, with a runtime of its own: it goes on whatever the application's
/// threads and tasks do, so that work that blocks a thread costs neither a lease nor a session.
///
/// Dropped, it stops the loop: leases then run out with their terms, as if the process had ended.
#[must_use = "dropped, it stops the loop"]
#[derive(Debug)]
pub struct NativeDriver {
    ended: oneshot::Receiver<()>,
    stop: oneshot::Sender<Infallible>,
}

impl NativeDriver {
    /// Starts the loop.
    ///
    /// # Errors
    /// If the system gives no thread, or no way to wait for sockets.
    pub(crate) fn start<F: Future<Output = ()>>(
        run_loop: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let (over, ended) = oneshot::channel();
        let run = move || {
            runtime.block_on(async { drop(select(pin!(run_loop()), stopped).await) });
            // A name that is still being looked up holds nothing up.
            runtime.shutdown_background();
            let _ = over.send(());
        };
        thread::Builder::new().name("mailbus".to_owned()).spawn(run)?;
        Ok(Self { ended, stop })
    }

    /// Waits until the loop has ended by itself. It runs already, and does not depend on this.
    pub async fn run(self) {
        let Self { ended, stop } = self;
        // A loop that a panic has ended has ended too.
        let _ = ended.await;
        drop(stop);
    }
}
