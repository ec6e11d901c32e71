//! Accepting connections on a real socket.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

use super::Server;

/// How long to wait after a connection could not be accepted: for want of descriptors, usually.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections have to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

impl Server {
    /// Serves what connects until `stop` ends, at most `most` at a time; more wait to be
    /// accepted. Then lets the connections end, for 5 s.
    pub async fn listen(
        self: Rc<Self>,
        listener: TcpListener,
        most: u32,
        stop: impl Future<Output = ()>,
    ) {
        let places = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(usize::MAX)));
        let mut stop = pin!(stop.fuse());
        loop {
            let mut accepting = pin!(
                async {
                    // Never closed, so always a place in the end.
                    let place = Arc::clone(&places).acquire_owned().await.ok();
                    (listener.accept().await, place)
                }
                .fuse()
            );
            let (accepted, place) = select_biased! {
                () = stop => break,
                accepted = accepting => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    // Small answers shall not wait for the peer's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    let server = Rc::clone(&self);
                    spawn_local(async move {
                        server.serve_connection(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.host.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        self.stop();
        let mut ended = pin!(places.acquire_many(most).fuse());
        let mut late = self.host.sleep(STOP_PATIENCE).fuse();
        select_biased! { _ = ended => {}, () = late => {} }
    }
}
