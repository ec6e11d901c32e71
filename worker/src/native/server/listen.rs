//! Accepting connections on a real socket.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

use super::Server;

/// Pause after a connection could not be accepted: for want of descriptors, usually.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time that connections have to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Number of connections that there may be at a time. Servers that share it, on threads of their own
/// too, count together, and end together.
#[derive(Clone, Debug)]
pub struct Places {
    most: u32,
    free: Arc<Semaphore>,
}

impl Places {
    /// Places for this many connections.
    #[must_use]
    pub fn new(most: u32) -> Self {
        let places = usize::try_from(most).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { most, free: Arc::new(Semaphore::new(places)) }
    }
}

impl Server {
    /// Serves what connects until `stop` ends, as many at a time as there are places; more wait to be
    /// accepted. Then lets all connections end that have one of these places, for 5 s.
    pub async fn listen(
        self: Rc<Self>,
        listener: TcpListener,
        places: Places,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = pin!(stop.fuse());
        loop {
            let mut accepting = pin!(
                async {
                    // Never closed, so always a place in the end.
                    let place = Arc::clone(&places.free).acquire_owned().await.ok();
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
                    prepare(&stream);
                    let server = Rc::clone(&self);
                    spawn_local(async move {
                        server.serve_connection(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        self.stop();
        let mut ended = pin!(places.free.acquire_many(places.most).fuse());
        let mut late = self.clock.sleep(STOP_PATIENCE).fuse();
        select_biased! { _ = ended => {}, () = late => {} }
    }
}

/// Bytes sent by the server that may wait in the system until the connection can carry them:
/// 128 KiB. Without a bound that is several MiB for each reader that has stalled, and one on a slow
/// link is seen to take nothing for minutes, since the system takes more only in large parts.
#[cfg(target_os = "linux")]
const UNSENT_MAX: u32 = 128 << 10;

/// Sets a connection up. What the system refuses is no reason not to serve it.
fn prepare(stream: &TcpStream) {
    // Small answers shall not wait for the peer's acknowledgement.
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX);
}
