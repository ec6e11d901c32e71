//! A server in front of toys, for tests of what it does with connections.

use std::rc::Rc;

use futures_util::StreamExt;
use mailbus_worker::native::{
    Classes, Databases, HostClock, MemoryDatabases, Namespace, NamespaceSettings, Objects, Server,
    ServerSettings,
};
use mailbus_worker::router::{Access, Class};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::clock::ManualClock;
use super::http::{Connection, subscribe_over, within_a_minute};
use super::on_event_loop;
use super::toy::Toy;

/// The server in front of toys, on streams in memory and a clock of the test's.
pub struct Bus {
    pub clock: ManualClock,
    pub server: Rc<Server>,
    pub namespace: Namespace<Toy>,
}

pub fn bus() -> Bus {
    bus_on(MemoryDatabases::new())
}

pub fn bus_on(databases: impl Databases + 'static) -> Bus {
    let clock = ManualClock::default();
    let shared: Rc<dyn HostClock> = Rc::new(clock.clone());
    let databases = Rc::new(databases);
    let settings = NamespaceSettings::default();
    let namespace = Namespace::new(Rc::clone(&shared), databases, settings, Toy::wake);
    let server = served(shared, &namespace);
    Bus { clock, server, namespace }
}

/// The toys as a server's lease objects.
pub fn served(clock: Rc<dyn HostClock>, namespace: &Namespace<Toy>) -> Rc<Server> {
    let objects: Rc<dyn Objects> = Rc::new(namespace.clone());
    let classes = Classes::from([(Class::Lease, objects)]);
    Server::new(clock, Access::Anonymous, ServerSettings::default(), classes)
}

impl Bus {
    pub fn stream(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 << 10);
        tokio::task::spawn_local(Rc::clone(&self.server).serve_connection(far));
        near
    }

    pub async fn connect(&self) -> Connection {
        Connection::over(self.stream()).await.unwrap()
    }

    pub async fn subscribe(&self) -> WebSocketStream<DuplexStream> {
        subscribe_over(self.stream(), "/v1/w/lease/subscribe").await
    }

    /// Number of sockets that the object has.
    pub fn sockets(&self) -> usize {
        self.namespace.with(&super::workspace("w"), |object| object.sockets().len()).unwrap()
    }

    /// Number of texts that the object has.
    pub async fn count(&self) -> u64 {
        let answer = self.connect().await.post("/v1/w/lease/count", "").await.unwrap();
        answer.json()["n"].as_u64().unwrap()
    }
}

/// Runs a test that must not hang.
pub fn test<T>(future: impl Future<Output = T>) -> T {
    on_event_loop(within_a_minute(future))
}

pub async fn next(socket: &mut WebSocketStream<DuplexStream>) -> Option<Message> {
    socket.next().await.and_then(Result::ok)
}

pub async fn close_code(socket: &mut WebSocketStream<DuplexStream>) -> Option<CloseCode> {
    loop {
        match next(socket).await? {
            Message::Close(frame) => return frame.map(|frame| frame.code),
            _ => continue,
        }
    }
}

/// Command that adds a text to the object, and says how many it has.
pub const ADD: &str = "/v1/w/lease/add";

/// The headers of a request to become a socket, to the end of its head.
pub const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
