//! The production objects behind a real server: the release module in workerd, or `mailbusd`, over
//! HTTP and WebSocket, on this machine's clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use libtest_mimic::Failed;
use mailbus_conformance::{Capabilities, Capability, Failure, Needs, SystemUnderTest};
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseReply, Push};
use mailbus_spec::wire::lease::{encode_frame, encode_subscribe};
use mailbus_spec::{Holder, LeasePath};
use mailbus_worker::workerd::{self, Log, Options, Workerd};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::native::{Way, speaker};
use super::spelling;
use super::trials::Start;
use crate::support::bundle::release_bundle;
use crate::support::daemon::Daemon;
use crate::support::http::Connection;

/// Time for which a case may wait for real time to pass.
const PATIENCE_MS: u64 = 3_000;

/// A server that can be killed, and the folder of its data.
pub struct Server {
    program: Program,
    folder: TempDir,
}

enum Program {
    /// Cloudflare's runtime with the release module.
    Workerd(Box<Workerd>),
    /// The single-machine server.
    Mailbusd(Box<Daemon>),
}

impl Server {
    /// The release module in workerd.
    pub fn workerd() -> Result<Self, Failed> {
        let bundle = release_bundle()?;
        let folder = tempfile::tempdir()?;
        let workerd = Workerd::start(Options {
            bundle,
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
        })?;
        Ok(Self { program: Program::Workerd(Box::new(workerd)), folder })
    }

    /// `mailbusd`.
    pub fn mailbusd() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let daemon = Daemon::start(&folder.path().join("data"), &["--anonymous"]);
        Ok(Self { program: Program::Mailbusd(Box::new(daemon)), folder })
    }

    /// Address where it listens now.
    pub fn address(&self) -> SocketAddr {
        match &self.program {
            Program::Workerd(workerd) => workerd.address(),
            Program::Mailbusd(daemon) => daemon.address,
        }
    }

    /// Kills it with `SIGKILL` and starts it on the same data.
    pub fn kill_and_restart(&mut self) -> Result<(), Failure> {
        match &mut self.program {
            Program::Workerd(workerd) => workerd.restart().map_err(broken),
            Program::Mailbusd(daemon) => {
                daemon.kill();
                **daemon = Daemon::start(&self.folder.path().join("data"), &["--anonymous"]);
                Ok(())
            }
        }
    }

    /// Drops an object of this class from memory.
    pub fn evict(&self, class: &str, workspace: &str) -> Result<(), Failure> {
        match &self.program {
            Program::Workerd(workerd) => match workerd.evict(class, workspace) {
                // One that was never called is in no memory.
                Ok(()) | Err(workerd::Error::NotEvicted { .. }) => Ok(()),
                Err(error) => Err(broken(error)),
            },
            Program::Mailbusd(_) => Err(Failure::Unsupported(Capability::Evict)),
        }
    }
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::Broken(error.to_string())
}

pub fn unknown(error: impl std::fmt::Display) -> Failure {
    Failure::Unknown(error.to_string())
}

/// A `protocol=1` socket of one holder.
pub struct Socket {
    holder: Holder,
    stream: WebSocketStream<TcpStream>,
    /// What it received unasked.
    pub pushes: Vec<Push>,
}

impl Socket {
    /// Opens one.
    pub async fn open(
        address: SocketAddr,
        workspace: &str,
        holder: &Holder,
    ) -> Result<Self, Failure> {
        let query = encode_subscribe(holder);
        let url = format!("ws://{address}/v1/{workspace}/lease/subscribe?{query}");
        let io = TcpStream::connect(address).await.map_err(unknown)?;
        let (stream, _) = tokio_tungstenite::client_async(url, io).await.map_err(unknown)?;
        Ok(Self { holder: holder.clone(), stream, pushes: Vec::new() })
    }

    /// One command, and its reply.
    pub async fn call(&mut self, call: u64, command: &Command) -> Result<LeaseReply, Failure> {
        let frame = Message::text(encode_frame(&[(call, command)]));
        self.stream.send(frame).await.map_err(unknown)?;
        loop {
            let message = self.stream.next().await;
            let message = message.ok_or_else(|| unknown("the socket was closed"))?;
            let Message::Text(text) = message.map_err(unknown)? else { continue };
            let mut notices: Vec<Notice> = Vec::new();
            let reply = spelling::received(Some(call), text.as_str(), &mut notices)?;
            let to = |notice| Push { to: self.holder.clone(), notice };
            self.pushes.extend(notices.into_iter().map(to));
            if let Some(reply) = reply {
                return Ok(reply);
            }
        }
    }

    /// Waits for all that was sent to it before: a reply comes after it.
    async fn catch_up(&mut self, call: u64) -> Result<(), Failure> {
        let path = LeasePath::new("nobody/asks/for/this").map_err(broken)?;
        self.call(call, &Command::Status { path }).await.map(drop)
    }

    async fn close(mut self) -> Result<(), Failure> {
        self.stream.close(None).await.map_err(broken)?;
        while let Some(Ok(_)) = self.stream.next().await {}
        Ok(())
    }
}

/// One HTTP request with a command, and its reply.
pub async fn post(
    connection: &mut Connection,
    workspace: &str,
    call: u64,
    command: &Command,
) -> Result<LeaseReply, Failure> {
    let (action, body) = spelling::request(call, command);
    let path = format!("/v1/{workspace}/lease/{action}");
    let answer = connection.post(&path, &body).await.map_err(unknown)?;
    spelling::answered(call, answer.status, &answer.body)
}

/// A server and what is open to it during a case.
pub struct Served {
    start: Serve,
    server: Server,
    cases: u64,
    calls: u64,
    workspace: String,
    http: Option<Connection>,
    listening: BTreeMap<Holder, Socket>,
    calling: BTreeMap<Holder, Socket>,
}

/// Which server, and how commands reach it.
#[derive(Clone, Copy, Debug)]
pub enum Serve {
    /// The release module in workerd.
    Workerd(Way),
    /// `mailbusd`.
    Mailbusd(Way),
}

impl Serve {
    fn way(self) -> Way {
        match self {
            Self::Workerd(way) | Self::Mailbusd(way) => way,
        }
    }

    /// Starts the server alone.
    pub fn server(self) -> Result<Server, Failed> {
        match self {
            Self::Workerd(_) => Server::workerd(),
            Self::Mailbusd(_) => Server::mailbusd(),
        }
    }
}

impl Start for Serve {
    type Subject = LeaseMachine;
    type System = Served;

    fn name(self) -> &'static str {
        match self {
            Self::Workerd(Way::Requests) => "workerd",
            Self::Workerd(Way::Frames) => "workerd-frames",
            Self::Mailbusd(Way::Requests) => "mailbusd",
            Self::Mailbusd(Way::Frames) => "mailbusd-frames",
        }
    }

    fn capabilities(self) -> Capabilities {
        use Capability::{Crash, Evict, Sockets};
        let able = match self {
            Self::Workerd(_) => Capabilities::of([Crash, Evict, Sockets]),
            Self::Mailbusd(_) => Capabilities::of([Crash, Sockets]),
        };
        able.patient(PATIENCE_MS)
    }

    async fn start(self) -> Result<Served, Failed> {
        Ok(Served {
            start: self,
            server: self.server()?,
            cases: 0,
            calls: 0,
            workspace: String::new(),
            http: None,
            listening: BTreeMap::new(),
            calling: BTreeMap::new(),
        })
    }
}

impl Served {
    async fn request(&mut self, command: &Command) -> Result<LeaseReply, Failure> {
        let mut connection = match self.http.take() {
            Some(connection) => connection,
            None => Connection::open(self.server.address()).await.map_err(broken)?,
        };
        let reply = post(&mut connection, &self.workspace, self.calls, command).await;
        self.http = Some(connection);
        reply
    }

    async fn frame(&mut self, command: &Command) -> Result<LeaseReply, Failure> {
        let holder = speaker(command);
        if !self.calling.contains_key(&holder) {
            let address = self.server.address();
            let socket = Socket::open(address, &self.workspace, &holder).await?;
            self.calling.insert(holder.clone(), socket);
        }
        let socket = self.calling.get_mut(&holder).ok_or_else(|| broken("no socket"))?;
        socket.call(self.calls, command).await
    }

    fn forget_connections(&mut self) {
        self.http = None;
        self.listening.clear();
        self.calling.clear();
    }
}

impl SystemUnderTest<LeaseMachine> for Served {
    fn name(&self) -> &str {
        self.start.name()
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

    async fn call(&mut self, command: &Command) -> Result<LeaseReply, Failure> {
        self.calls += 1;
        match self.start.way() {
            Way::Requests => self.request(command).await,
            Way::Frames => self.frame(command).await,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the server is on the real clock")]
    async fn sleep(&mut self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn connect(&mut self, holder: &Holder) -> Result<(), Failure> {
        if !self.listening.contains_key(holder) {
            let address = self.server.address();
            let socket = Socket::open(address, &self.workspace, holder).await?;
            self.listening.insert(holder.clone(), socket);
        }
        Ok(())
    }

    async fn disconnect(&mut self, holder: &Holder) -> Result<(), Failure> {
        match self.listening.remove(holder) {
            Some(socket) => socket.close().await,
            None => Ok(()),
        }
    }

    async fn received(&mut self) -> Result<Vec<Push>, Failure> {
        let mut pushes = Vec::new();
        for socket in self.listening.values_mut() {
            self.calls += 1;
            socket.catch_up(self.calls).await?;
            pushes.append(&mut socket.pushes);
        }
        Ok(pushes)
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        self.server.evict("LeaseDurableObject", &self.workspace)
    }

    async fn crash(&mut self) -> Result<(), Failure> {
        self.forget_connections();
        self.server.kill_and_restart()
    }
}
