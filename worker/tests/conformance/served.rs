//! The production objects behind a real server: the release module in workerd, or `mailbusd`, over
//! HTTP and WebSocket, on this machine's clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use libtest_mimic::Failed;
use mailbus_conformance::{Capabilities, Capability, Failure, Needs, SystemUnderTest};
use mailbus_spec::Service;
use mailbus_worker::workerd::{self, Log, Options, Workerd};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, tungstenite};

use super::spelling::{broken, unknown};
use super::trials::{Client, CommandOf, PeerOf, PushOf, ReplyTo, Start};
use crate::support::bundle::release_bundle;
use crate::support::daemon::Daemon;
use crate::support::http::{Answer, Connection};

/// Time for which a case may wait for real time to pass.
const PATIENCE_MS: u64 = 3_000;

/// A server program.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// The single-machine server.
    Mailbusd,
    /// Cloudflare's runtime with the release module.
    Workerd,
}

/// A server that can be killed, and the folder of its data.
pub struct Server {
    running: Running,
    folder: TempDir,
}

enum Running {
    Workerd(Box<Workerd>),
    Mailbusd(Box<Daemon>),
}

impl Program {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Mailbusd, Self::Workerd];

    /// Starts it on a folder of its own.
    pub fn start(self) -> Result<Server, Failed> {
        let folder = tempfile::tempdir()?;
        let running = match self {
            Self::Mailbusd => {
                let daemon = Daemon::start(&folder.path().join("data"), &["--anonymous"]);
                Running::Mailbusd(Box::new(daemon))
            }
            Self::Workerd => Running::Workerd(Box::new(Workerd::start(Options {
                bundle: release_bundle()?,
                data: folder.path().join("data"),
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                environment: BTreeMap::from([(
                    "MAILBUS_ALLOW_ANONYMOUS".to_owned(),
                    "true".to_owned(),
                )]),
                evictable: true,
                companion: None,
                front: None,
                log: Log::File(folder.path().join("log")),
            })?)),
        };
        Ok(Server { running, folder })
    }
}

impl Server {
    /// Address where it listens now.
    pub fn address(&self) -> SocketAddr {
        match &self.running {
            Running::Workerd(workerd) => workerd.address(),
            Running::Mailbusd(daemon) => daemon.address,
        }
    }

    /// Kills it with `SIGKILL` and starts it on the same data.
    pub fn kill_and_restart(&mut self) -> Result<(), Failure> {
        match &mut self.running {
            Running::Workerd(workerd) => workerd.restart().map_err(broken),
            Running::Mailbusd(daemon) => {
                daemon.kill();
                **daemon = Daemon::start(&self.folder.path().join("data"), &["--anonymous"]);
                Ok(())
            }
        }
    }

    /// Drops an object of this class from memory.
    fn evict(&self, class: &str, workspace: &str) -> Result<(), Failure> {
        match &self.running {
            Running::Workerd(workerd) => match workerd.evict(class, workspace) {
                // One that was never called is in no memory.
                Ok(()) | Err(workerd::Error::NotEvicted { .. }) => Ok(()),
                Err(error) => Err(broken(error)),
            },
            Running::Mailbusd(_) => Err(Failure::Unsupported(Capability::Evict)),
        }
    }
}

/// A service as the suite speaks to it over the network.
#[allow(async_fn_in_trait, reason = "the suite runs on one thread")]
pub trait Remote: Client {
    /// Sockets of a case, and what came over them.
    type Lines: Default;

    /// Name of its objects' class in workerd.
    const CLASS: &'static str;

    /// Does one command, the case's latest call.
    async fn call(
        self,
        case: &mut Served<Self>,
        command: &CommandOf<Self>,
    ) -> Result<ReplyTo<Self>, Failure>;

    /// Opens a socket that listens.
    async fn connect(_case: &mut Served<Self>, _peer: &PeerOf<Self>) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::Sockets))
    }

    /// Closes it.
    async fn disconnect(case: &mut Served<Self>, peer: &PeerOf<Self>) -> Result<(), Failure>;

    /// Pushes that sockets have received, all that were sent before.
    async fn received(case: &mut Served<Self>) -> Result<Vec<PushOf<Self>>, Failure>;
}

/// A server and what is open to it during a case.
pub struct Served<C: Remote> {
    /// Number of commands so far.
    pub calls: u64,
    pub lines: C::Lines,
    pub server: Server,
    pub workspace: String,
    start: Serve<C>,
    name: String,
    cases: u64,
    http: Option<Connection>,
}

impl<C: Remote> Served<C> {
    /// One HTTP request with a command, and its answer.
    pub async fn post(&mut self, action: &str, body: &str) -> Result<Answer, Failure> {
        let mut connection = match self.http.take() {
            Some(connection) => connection,
            None => Connection::open(self.server.address()).await.map_err(broken)?,
        };
        let answer = post::<C>(&mut connection, &self.workspace, action, body).await;
        self.http = Some(connection);
        answer
    }

    fn forget_connections(&mut self) {
        self.http = None;
        self.lines = C::Lines::default();
    }
}

/// One HTTP request with a command, and its answer.
pub async fn post<C: Remote>(
    connection: &mut Connection,
    workspace: &str,
    action: &str,
    body: &str,
) -> Result<Answer, Failure> {
    let path = format!("/v1/{workspace}/{}/{action}", C::Service::NAME);
    connection.post(&path, body).await.map_err(unknown)
}

/// A WebSocket, or the answer that refuses it.
pub async fn websocket<C: Remote>(
    address: SocketAddr,
    workspace: &str,
    query: &str,
) -> Result<Result<WebSocketStream<TcpStream>, (u16, Vec<u8>)>, Failure> {
    let url = format!("ws://{address}/v1/{workspace}/{}/subscribe?{query}", C::Service::NAME);
    let io = TcpStream::connect(address).await.map_err(unknown)?;
    match tokio_tungstenite::client_async(url, io).await {
        Ok((stream, _)) => Ok(Ok(stream)),
        Err(tungstenite::Error::Http(refused)) => {
            let status = refused.status().as_u16();
            Ok(Err((status, refused.into_body().unwrap_or_default())))
        }
        Err(error) => Err(unknown(error)),
    }
}

/// Closes a WebSocket and waits for the other end to close it too.
pub async fn close(mut stream: WebSocketStream<TcpStream>) -> Result<(), Failure> {
    stream.close(None).await.map_err(broken)?;
    while let Some(Ok(_)) = stream.next().await {}
    Ok(())
}

/// Start of the system.
#[derive(Clone, Copy)]
pub struct Serve<C> {
    pub program: Program,
    pub client: C,
}

impl<C: Remote> Start for Serve<C> {
    type Subject = C::Service;
    type System = Served<C>;

    fn name(self) -> String {
        self.client.name(match self.program {
            Program::Mailbusd => "mailbusd",
            Program::Workerd => "workerd",
        })
    }

    fn capabilities(self) -> Capabilities {
        use Capability::{Crash, Evict, Sockets};
        let able = match self.program {
            Program::Workerd => Capabilities::of([Crash, Evict, Sockets]),
            Program::Mailbusd => Capabilities::of([Crash, Sockets]),
        };
        able.patient(PATIENCE_MS)
    }

    async fn start(self) -> Result<Served<C>, Failed> {
        Ok(Served {
            calls: 0,
            lines: C::Lines::default(),
            server: self.program.start()?,
            workspace: String::new(),
            start: self,
            name: self.name(),
            cases: 0,
            http: None,
        })
    }
}

impl<C: Remote> SystemUnderTest<C::Service> for Served<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.start.capabilities()
    }

    async fn begin(&mut self, _needs: &Needs) -> Result<(), Failure> {
        self.cases += 1;
        self.workspace = format!("case-{}", self.cases);
        self.forget_connections();
        Ok(())
    }

    async fn call(&mut self, command: &CommandOf<C>) -> Result<ReplyTo<C>, Failure> {
        self.calls += 1;
        self.start.client.call(self, command).await
    }

    async fn sleep(&mut self, ms: u64) {
        pause(ms).await;
    }

    async fn connect(&mut self, peer: &PeerOf<C>) -> Result<(), Failure> {
        C::connect(self, peer).await
    }

    async fn disconnect(&mut self, peer: &PeerOf<C>) -> Result<(), Failure> {
        C::disconnect(self, peer).await
    }

    async fn received(&mut self) -> Result<Vec<PushOf<C>>, Failure> {
        C::received(self).await
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        self.server.evict(C::CLASS, &self.workspace)
    }

    /// The connections are kept until the server is gone: their ends would be events.
    async fn crash(&mut self) -> Result<(), Failure> {
        self.server.kill_and_restart()?;
        self.forget_connections();
        Ok(())
    }
}

/// Waits in real time.
#[expect(clippy::disallowed_methods, reason = "the server is on the real clock")]
pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
