//! The specification's object behind HTTP and WebSocket, in memory, with faults.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt, select_biased};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mailbus_client::clocks::{Clocks, RunningClocks};
use mailbus_client::lease::LeaseClient;
use mailbus_client::session::lease::{Config, LeaseSession};
use mailbus_client::transport::{Authority, BearerToken, Connector, Endpoint, connect};
use mailbus_spec::belief::Reading;
use mailbus_spec::lease::{LeaseMachine, Push};
use mailbus_spec::machine::{Event, StateMachine};
use mailbus_spec::wire::lease::{
    Call, decode_frame, decode_request, decode_subscribe, encode_push, encode_reply,
};
use mailbus_spec::wire::{Answer, Code, Problem, frame};
use mailbus_spec::{AgentId, Holder, HostTime, SessionId, Workspace};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, LocalSet, spawn_blocking, spawn_local};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::wires::listen;

const NOON: u64 = 1_800_000_000_000;

/// Fault of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Whole,
    /// It refuses to open sockets.
    NoSockets,
    /// Open sockets take frames and pings and answer none.
    DeafSockets,
    /// It reads and answers nothing at all.
    Silent,
    /// It refuses connections.
    NoConnection,
    /// Connections are never made, and never refused.
    BlackHole,
}

pub struct Service {
    origin: Instant,
    object: RefCell<LeaseMachine>,
    sockets: RefCell<Vec<Socket>>,
    log: RefCell<Vec<String>>,
    mode: Cell<Mode>,
    connections: Cell<usize>,
    /// Number of connections that are dead, the oldest.
    forgotten: Cell<usize>,
    token: RefCell<Option<String>>,
    /// The step at which clients are put aside next, and for how long.
    pause: Cell<Option<(Step, Duration)>>,
    put_aside_for: Cell<Duration>,
}

struct Socket {
    holder: Holder,
    /// `None` closes it.
    outbox: UnboundedSender<Option<String>>,
}

#[derive(Clone)]
pub struct Bench(Rc<Service>);

/// Step at which a client is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// After the run loop has taken from the session what is due, before any of it is written.
    BeforeWriting,
    /// While it makes a connection.
    Connecting,
}

/// tokio's clock, as both clocks; whoever is put aside finds that they have jumped.
#[derive(Clone)]
pub struct TestClocks(Bench);

impl Clocks for TestClocks {
    fn reading(&self) -> Reading {
        let monotonic = self.0.now() + self.0.0.put_aside_for.get();
        Reading { monotonic, wall: monotonic + Duration::from_secs(1_000_000) }
    }

    #[expect(clippy::disallowed_methods, reason = "the tests' clock is tokio's, paused")]
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
        // The run loop makes its timer between its turn and its first look at anything else.
        self.0.reach(Step::BeforeWriting);
        tokio::time::sleep(span)
    }
}

impl RunningClocks for TestClocks {}

#[derive(Clone)]
struct InMemory(Bench);

impl Connector for InMemory {
    type Stream = DuplexStream;

    async fn connect(&self, authority: &Authority) -> io::Result<DuplexStream> {
        assert_eq!(authority.host, "bus.test");
        match self.0.0.mode.get() {
            Mode::NoConnection => return Err(io::ErrorKind::ConnectionRefused.into()),
            Mode::BlackHole => std::future::pending().await,
            _ => {}
        }
        self.0.reach(Step::Connecting);
        let (near, far) = tokio::io::duplex(64 << 10);
        let bench = self.0.clone();
        spawn_local(async move { bench.serve(far).await });
        Ok(near)
    }
}

pub fn endpoint() -> Endpoint {
    Endpoint::new("http://bus.test:8787", Workspace::new("team").unwrap()).unwrap()
}

pub fn session(agent: &str, config: Config) -> LeaseSession {
    let holder =
        Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::new("1").unwrap() };
    LeaseSession::new(holder, config, agent.len() as u64)
}

type Client = LeaseClient<TestClocks>;

impl Bench {
    /// Runs a test in virtual time.
    pub fn run(test: impl AsyncFnOnce(Bench)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self::run_on(runtime.enable_time().start_paused(true), test);
    }

    /// Runs a test in real time, over the loopback.
    pub fn run_on_loopback(test: impl AsyncFnOnce(Bench)) {
        Self::run_on(tokio::runtime::Builder::new_current_thread().enable_all(), test);
    }

    fn run_on(runtime: &mut tokio::runtime::Builder, test: impl AsyncFnOnce(Bench)) {
        let runtime = runtime.build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let service = Service {
                origin: now(),
                object: RefCell::default(),
                sockets: RefCell::default(),
                log: RefCell::default(),
                mode: Cell::new(Mode::Whole),
                connections: Cell::new(0),
                forgotten: Cell::new(0),
                token: RefCell::default(),
                pause: Cell::default(),
                put_aside_for: Cell::default(),
            };
            test(Bench(Rc::new(service))).await;
        });
    }

    pub fn client(&self, agent: &str) -> Client {
        self.client_and_loop(agent).0
    }

    pub fn client_with(&self, agent: &str, config: Config) -> Client {
        self.start(session(agent, config), endpoint()).0
    }

    pub fn client_and_loop(&self, agent: &str) -> (Client, JoinHandle<()>) {
        self.start(session(agent, Config::default()), endpoint())
    }

    pub fn client_with_token(&self, agent: &str, token: &str) -> Client {
        let endpoint = endpoint().with_token(BearerToken::new(token).unwrap());
        self.start(session(agent, Config::default()), endpoint).0
    }

    fn start(&self, session: LeaseSession, endpoint: Endpoint) -> (Client, JoinHandle<()>) {
        let clocks = TestClocks(self.clone());
        let (client, driver) = connect(session, endpoint, InMemory(self.clone()), clocks);
        (client, spawn_local(driver.run()))
    }

    pub fn spawn<F: Future + 'static>(&self, work: F) -> JoinHandle<F::Output> {
        spawn_local(work)
    }

    pub async fn pass(&self, span: Duration) {
        sleep(span).await;
    }

    pub fn now(&self) -> Duration {
        self.0.origin.elapsed()
    }

    pub fn set_mode(&self, mode: Mode) {
        self.0.mode.set(mode);
    }

    /// Puts the clients aside for `span` when one of them gets to `step`.
    pub fn pause_at(&self, step: Step, span: Duration) {
        self.0.pause.set(Some((step, span)));
    }

    fn reach(&self, step: Step) {
        if let Some((_, span)) = self.0.pause.get().filter(|(at, _)| *at == step) {
            self.0.pause.set(None);
            self.0.put_aside_for.set(self.0.put_aside_for.get() + span);
        }
    }

    pub fn require_token(&self, token: &str) {
        *self.0.token.borrow_mut() = Some(format!("Bearer {token}"));
    }

    pub fn log(&self) -> Vec<String> {
        self.0.log.borrow().clone()
    }

    pub fn connections(&self) -> usize {
        self.0.connections.get()
    }

    /// Whatever lies on the way has forgotten the connections there are: nothing comes back over them.
    pub fn forget_connections(&self) {
        self.0.forgotten.set(self.connections());
    }

    pub fn live_leases(&self) -> usize {
        self.0.object.borrow().leases.len()
    }

    pub fn live_tickets(&self) -> usize {
        self.0.object.borrow().queue.len()
    }

    pub fn close_sockets(&self) {
        for socket in self.0.sockets.borrow_mut().drain(..) {
            let _ = socket.outbox.send(None);
        }
    }

    /// Serves at a free port of the loopback, and says where.
    pub async fn listen(&self) -> SocketAddr {
        let bench = self.clone();
        listen(move |stream| bench.clone().serve(stream)).await
    }

    /// Waits for another process, which has to end well.
    pub async fn succeeds(&self, mut process: Command) {
        let output = spawn_blocking(move || process.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let number = self.connections() + 1;
        self.0.connections.set(number);
        let service = service_fn(|request| {
            let bench = self.clone();
            async move {
                if number <= bench.0.forgotten.get() {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(bench.respond(request).await)
            }
        });
        let mut http = http1::Builder::new();
        http.auto_date_header(false);
        let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if self.0.mode.get() == Mode::Silent {
            std::future::pending::<()>().await;
        }
        let shown = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        if self.0.token.borrow().as_deref().is_some_and(|token| shown != Some(token)) {
            let problem = Problem::new(Code::Unauthorized, "who are you?");
            return response(problem.to_answer());
        }
        assert!(request.headers().contains_key("host"));
        let path = request.uri().path().to_owned();
        let action = path.strip_prefix("/v1/team/lease/").expect("the workspace's leases");
        if action == "subscribe" {
            return self.subscribe(request);
        }
        assert_eq!(request.headers()["content-type"], "application/json");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        match decode_request(action, &body) {
            Ok(call) => response(self.answer("http", &call)),
            Err(problem) => response(problem.to_answer()),
        }
    }

    fn subscribe(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if self.0.mode.get() == Mode::NoSockets {
            return response(Problem::new(Code::Overloaded, "no sockets").to_answer());
        }
        let subscribe = decode_subscribe(request.uri().query().unwrap()).unwrap();
        let key = derive_accept_key(request.headers()["sec-websocket-key"].as_bytes());
        let (outbox, mut inbox) = unbounded_channel();
        let holder = subscribe.holder.clone();
        self.0.sockets.borrow_mut().push(Socket { holder: holder.clone(), outbox });
        let bench = self.clone();
        spawn_local(async move {
            let upgraded = hyper::upgrade::on(request).await.unwrap();
            let mut socket =
                WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            loop {
                if matches!(bench.0.mode.get(), Mode::DeafSockets | Mode::Silent) {
                    bench.pass(Duration::from_secs(1)).await;
                    continue;
                }
                select_biased! {
                    text = inbox.recv().fuse() => match text {
                        Some(Some(text)) => {
                            if socket.send(Message::text(text)).await.is_err() { return }
                        }
                        _ => return,
                    },
                    message = socket.next().fuse() => match message {
                        Some(Ok(Message::Text(text))) => bench.on_frame(&holder, &text),
                        Some(Ok(_)) => {}
                        _ => return,
                    },
                }
            }
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-accept", key)
            .body(Full::default())
            .unwrap()
    }

    fn on_frame(&self, holder: &Holder, text: &str) {
        let answers: Vec<Answer> = decode_frame(text, Some(holder))
            .unwrap()
            .into_iter()
            .map(|call| match call {
                Ok(call) => self.answer("socket", &call),
                Err(problem) => problem.to_answer(),
            })
            .collect();
        self.push(holder, frame::replies(&answers));
    }

    fn answer(&self, way: &str, call: &Call) -> Answer {
        self.0.log.borrow_mut().push(format!("{way} {}", call.command.name()));
        let host = HostTime(NOON + u64::try_from(self.now().as_millis()).unwrap());
        let event = Event::Command(call.command.clone());
        let step = self.0.object.borrow_mut().handle(host, &event);
        for Push { to, notice } in step.pushes {
            self.push(&to, encode_push(&notice));
        }
        encode_reply(call.attempt.number, call.dialect, &step.reply.unwrap())
    }

    fn push(&self, to: &Holder, text: String) {
        for socket in self.0.sockets.borrow().iter().filter(|socket| socket.holder == *to) {
            let _ = socket.outbox.send(Some(text.clone()));
        }
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    Response::builder()
        .status(answer.status)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(answer.body)))
        .unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the tests' clock is tokio's, paused")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the tests' clock is tokio's, paused")]
async fn sleep(span: Duration) {
    tokio::time::sleep(span).await;
}
