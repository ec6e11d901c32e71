//! HTTP/1 and WebSocket over any byte stream, in front of the objects.
//!
//! One task per connection: [`Server::serve_connection`] ends with it. What a connection can cost is
//! bounded: the time until a head has come, the time of a body and between two pieces of it, the size of
//! bodies and frames, the frames of one socket that are under way, how long a reader may take nothing,
//! and how much may wait for it.

mod body;
mod deadline;
mod framing;
mod guarded;
mod http;
mod listen;
mod moving;
mod websocket;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use crate::router::{Access, Class, Suspended};

use super::clock::HostClock;
use super::namespace::Objects;

use self::http::Exchanger;
use deadline::Deadline;
use guarded::{Guarded, Heads};

pub use listen::Places;

/// Settings of a server that are not part of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Time for which a connection may go without a (next) request: it is closed after one to two times this.
    pub idle: Duration,
    /// Time for which a body may pause.
    pub body_pause: Duration,
    /// Silence after which a WebSocket is asked for a sign of life; after three times this it is
    /// given up.
    pub ping: Duration,
    /// Time that a peer has to answer a close.
    pub close: Duration,
    /// Workspaces of which nothing is answered but `recover`.
    pub suspended: Suspended,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            body_pause: Duration::from_secs(30),
            ping: Duration::from_secs(25),
            close: Duration::from_secs(5),
            suspended: Suspended::default(),
        }
    }
}

/// The objects of a deployment by their class. What is sent to a class that is absent is not found.
pub type Classes = BTreeMap<Class, Rc<dyn Objects>>;

/// The objects of a deployment behind HTTP and WebSocket.
pub struct Server {
    clock: Rc<dyn HostClock>,
    access: Access,
    settings: ServerSettings,
    classes: Classes,
    stopping: Stopping,
    connections: Cell<usize>,
}

/// True if the server has been asked to stop. Its waiters wake in the order in which they came, so that
/// a simulated server does the same every time.
#[derive(Default)]
struct Stopping {
    asked: Cell<bool>,
    waiters: Notify,
}

impl Stopping {
    fn ask(&self) {
        self.asked.set(true);
        self.waiters.notify_waiters();
    }

    /// Ends when it has been asked, at once if it was before.
    async fn asked(&self) {
        let mut notified = pin!(self.waiters.notified());
        notified.as_mut().enable();
        if !self.asked.get() {
            notified.await;
        }
    }
}

impl Server {
    /// A server in front of these objects.
    #[must_use]
    pub fn new(
        clock: Rc<dyn HostClock>,
        access: Access,
        settings: ServerSettings,
        classes: Classes,
    ) -> Rc<Self> {
        let stopping = Stopping::default();
        Rc::new(Self { clock, access, settings, classes, stopping, connections: Cell::new(0) })
    }

    /// Asks all connections to end: HTTP after the exchange that is under way, WebSockets with a close
    /// 1012.
    pub fn stop(&self) {
        self.stopping.ask();
    }

    /// Number of connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Serves one connection until it ends, its WebSocket included.
    ///
    /// Dropping the future is what a crash of the process is: no object hears of it.
    pub async fn serve_connection<Io>(self: Rc<Self>, io: Io)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _counted = Counted::new(&self);
        let deadline = Rc::new(Deadline::default());
        let heads = Heads::default();
        let io = Guarded::new(io, heads.clone());
        let exchanger = Rc::new(Exchanger::new(Rc::clone(&self), Rc::clone(&deadline), heads));
        self.serve_http(io, &exchanger, &deadline).await;
        exchanger.give_back().await;
        if let Some(upgrade) = exchanger.take_upgrade() {
            websocket::serve(&self, upgrade).await;
        }
    }

    /// Serves a connection as HTTP until it ends or becomes something else. Whatever is left of it
    /// then has been dropped, so that nobody waits for an upgrade that never comes.
    async fn serve_http<Io>(&self, io: Io, exchanger: &Rc<Exchanger>, deadline: &Deadline)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| Rc::clone(exchanger).exchange(request));
        let connection = http1::Builder::new()
            // Answers shall not differ from run to run.
            .auto_date_header(false)
            // Who has said all that it will say is answered; who is gone is seen when writing.
            .half_close(true)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut late = pin!(deadline.passes(&*self.clock, self.settings.idle).fuse());
        let mut stopped = pin!(self.stopping.asked().fuse());
        loop {
            select_biased! {
                ended = connection.as_mut().fuse() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke");
                    }
                    return;
                }
                () = late => return,
                _ = stopped => connection.as_mut().graceful_shutdown(),
            }
        }
    }
}

/// One connection, counted while it lives.
struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn new(server: &'a Server) -> Self {
        server.connections.set(server.connections.get().saturating_add(1));
        Self(&server.connections)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
