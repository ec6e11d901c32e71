//! Commands over HTTP/1.1 and WebSockets, on byte streams that a [`Connector`] makes.

mod connector;
mod dial;
mod endpoint;
mod http;
mod proxy;
mod system;
#[cfg(feature = "tls")]
mod tls;
mod upgrade;
mod websocket;

use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;

use self::http::Connections;
use super::carrier::{Answered, Carrier, EXCHANGES, NoAnswer, Object, Unopened};
use super::driver::{LeaseDriver, drive};
use crate::clocks::Clocks;
use crate::lease::LeaseClient;
use crate::session::lease::LeaseSession;

pub use connector::{ByteStream, Connector, TokioConnector};
pub use endpoint::{Authority, BearerToken, Endpoint, InvalidEndpoint, InvalidToken, Scheme};
pub use system::open;
pub use websocket::StreamSocket;

/// The carrier over byte streams.
pub struct Streams<C: Connector> {
    endpoint: Endpoint,
    connector: C,
    connections: Connections<C::Stream>,
    permits: Semaphore,
    /// Reason why the last connection could not be made, if it could not.
    failure: Mutex<Option<String>>,
}

impl<C: Connector> Streams<C> {
    /// Carries to `endpoint`, with at most `exchanges` HTTP exchanges at a time; 0 counts as 1.
    pub fn new(endpoint: Endpoint, connector: C, exchanges: usize) -> Self {
        let (connections, permits) = (Connections::default(), Semaphore::new(exchanges.max(1)));
        Self { endpoint, connector, connections, permits, failure: Mutex::default() }
    }

    /// A new stream to the service. Why there is none is for the log: it may pass, and the next
    /// attempt follows.
    async fn connect(&self) -> io::Result<C::Stream> {
        let Authority { host, port, .. } = self.endpoint.authority();
        let connected = self.connector.connect(self.endpoint.authority()).await;
        let failure = connected.as_ref().err().map(ToString::to_string);
        let mut last = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &failure
            && *last != failure
        {
            tracing::warn!(%host, port, %why, "the service cannot be connected to; trying on");
        }
        *last = failure;
        drop(last);
        connected
    }
}

impl<C: Connector> Carrier for Streams<C> {
    type Socket = StreamSocket<C::Stream>;

    async fn exchange(
        &self,
        object: Object,
        action: &str,
        body: String,
        may_leave: impl Fn() -> bool,
    ) -> Result<Answered, NoAnswer> {
        let _permit = self.permits.acquire().await.map_err(|_| NoAnswer)?;
        self.post(object, action, body, may_leave).await
    }

    fn distrust_connections(&self) {
        self.connections.clear();
    }

    async fn open(&self, object: Object, query: &str) -> Result<Self::Socket, Unopened> {
        self.open_socket(object, query).await
    }
}

/// Joins a lease session to a service: a handle for callers, and the loop that somebody has to run.
#[must_use = "nothing is sent until the driver runs"]
pub fn connect<C: Connector, K: Clocks>(
    session: LeaseSession,
    endpoint: Endpoint,
    connector: C,
    clocks: K,
) -> (LeaseClient<K>, LeaseDriver<Streams<C>, K>) {
    drive(session, Streams::new(endpoint, connector, EXCHANGES), clocks)
}
