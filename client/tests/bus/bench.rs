//! The production objects behind the production server, in memory and in virtual time, and buses at it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join, select};
use mailbus_client::bus::{BusEvent, CloudflareMailBus, Draft, Handlers, MailBus, Setup};
use mailbus_client::clocks::{Clocks, RunningClocks};
use mailbus_client::transport::{Authority, Connector, Endpoint, Streams};
use mailbus_spec::belief::Reading;
use mailbus_spec::{AgentId, HostTime, SessionId, Workspace};
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::{
    Classes, HostClock, MemoryDatabases, Namespace, NamespaceSettings, Objects, Server,
    ServerSettings,
};
use mailbus_worker::object::{Object, Woken};
use mailbus_worker::router::{Access, Class};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, split};
use tokio::task::{AbortHandle, JoinHandle, LocalSet, spawn_local};
use tokio::time::Instant;

const NOON: u64 = 1_800_000_000_000;

/// Trouble between buses and service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Whole,
    /// Connections are refused.
    NoConnection,
    /// Connections are made, and nothing ever comes back.
    Deaf,
    /// Requests arrive and are done, and nothing ever comes back.
    Mute,
    /// Bytes reach the service at 40 kB a second.
    Slow,
    /// Somebody else answers everything, with this status and body.
    Stranger(u16, &'static str),
}

/// tokio's clock as everybody's.
#[derive(Clone, Copy)]
pub struct TestClock {
    origin: Instant,
}

impl TestClock {
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

impl Clocks for TestClock {
    fn reading(&self) -> Reading {
        let monotonic = self.now();
        Reading { monotonic, wall: monotonic + Duration::from_millis(NOON) }
    }

    #[expect(clippy::disallowed_methods, reason = "the tests' clock is tokio's, paused")]
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(span)
    }
}

impl RunningClocks for TestClock {}

impl HostClock for TestClock {
    fn now(&self) -> HostTime {
        HostTime(NOON + u64::try_from(self.origin.elapsed().as_millis()).unwrap())
    }

    fn uptime(&self) -> Duration {
        self.origin.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "the tests' clock is tokio's, paused")]
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

pub type Bus = CloudflareMailBus<TestClock>;

#[derive(Clone)]
pub struct Bench(Rc<Service>);

struct Service {
    clock: TestClock,
    server: Rc<Server>,
    mailboxes: Namespace<ProductionMailboxObject>,
    mode: Cell<Mode>,
    connections: RefCell<Vec<AbortHandle>>,
    runs: Cell<u64>,
}

#[derive(Clone)]
struct InMemory(Bench);

impl Connector for InMemory {
    type Stream = DuplexStream;

    async fn connect(&self, _: &Authority) -> io::Result<DuplexStream> {
        let service = &self.0.0;
        let (near, far) = tokio::io::duplex(64 << 10);
        match service.mode.get() {
            Mode::NoConnection => return Err(io::ErrorKind::ConnectionRefused.into()),
            Mode::Deaf => {
                // Held open, read by nobody.
                let held = spawn_local(async move {
                    let _far = far;
                    std::future::pending::<()>().await;
                });
                service.connections.borrow_mut().push(held.abort_handle());
            }
            Mode::Mute => {
                let (mut mute, end) = tokio::io::duplex(64 << 10);
                let served = spawn_local(Rc::clone(&service.server).serve_connection(end));
                let carrying = spawn_local(async move {
                    let (mut asking, _answering) = split(far);
                    let _ = copy(&mut asking, &mut mute).await;
                    std::future::pending::<()>().await;
                });
                let mut connections = service.connections.borrow_mut();
                connections.extend([carrying.abort_handle(), served.abort_handle()]);
            }
            Mode::Stranger(status, body) => {
                let answering = spawn_local(answer(far, status, body));
                service.connections.borrow_mut().push(answering.abort_handle());
            }
            Mode::Slow => {
                let (slow, end) = tokio::io::duplex(4 << 10);
                let carrying = spawn_local(carry_slowly(far, slow));
                let served = spawn_local(Rc::clone(&service.server).serve_connection(end));
                let mut connections = service.connections.borrow_mut();
                connections.extend([carrying.abort_handle(), served.abort_handle()]);
            }
            Mode::Whole => {
                let served = spawn_local(Rc::clone(&service.server).serve_connection(far));
                service.connections.borrow_mut().push(served.abort_handle());
            }
        }
        Ok(near)
    }
}

impl Bench {
    /// Runs a test in virtual time.
    pub fn run(test: impl AsyncFnOnce(Bench)) {
        Self::run_for(Access::Anonymous, test);
    }

    /// The same at a service with this access.
    #[expect(clippy::disallowed_methods, reason = "the tests' clock is tokio's, paused")]
    pub fn run_for(access: Access, test: impl AsyncFnOnce(Bench)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let clock = TestClock { origin: Instant::now() };
            let host: Rc<dyn HostClock> = Rc::new(clock);
            let mailboxes = namespace(&host, ProductionMailboxObject::wake);
            let classes = Classes::from([
                (Class::Lease, objects(&host, ProductionLeaseObject::wake)),
                (Class::Mailbox, Rc::new(mailboxes.clone()) as Rc<dyn Objects>),
            ]);
            let server = Server::new(host, access, ServerSettings::default(), classes);
            let service = Service {
                clock,
                server,
                mailboxes,
                mode: Cell::new(Mode::Whole),
                connections: RefCell::default(),
                runs: Cell::new(0),
            };
            test(Bench(Rc::new(service))).await;
        });
    }

    /// The bus of a new run of an agent, with its loop running.
    pub fn bus(&self, name: &str) -> Bus {
        let run = self.0.runs.get() + 1;
        self.0.runs.set(run);
        self.bus_of(setup(name, &run.to_string(), run))
    }

    pub fn bus_of(&self, setup: Setup) -> Bus {
        self.bus_and_loop(setup).0
    }

    pub fn bus_and_loop(&self, setup: Setup) -> (Bus, JoinHandle<()>) {
        let (bus, sessions, handlers) = self.bus_apart(setup);
        let running = join(sessions, handlers.run());
        (bus, spawn_local(async { drop(running.await) }))
    }

    /// A bus with its sessions running, and its handlers to be run elsewhere.
    pub fn bus_apart(&self, setup: Setup) -> (Bus, JoinHandle<()>, Handlers<TestClock>) {
        let endpoint =
            Endpoint::new("http://localhost:8787", Workspace::new("team").unwrap()).unwrap();
        let carrier = Streams::new(endpoint, InMemory(self.clone()), setup.exchanges);
        let (bus, driver) = Bus::over(setup, carrier, self.0.clock);
        let (sessions, handlers) = driver.split();
        (bus, spawn_local(sessions.run()), handlers)
    }

    pub fn now(&self) -> Duration {
        self.0.clock.now()
    }

    pub fn clock(&self) -> TestClock {
        self.0.clock
    }

    pub async fn pass(&self, span: Duration) {
        Clocks::sleep(&self.0.clock, span).await;
    }

    pub fn set_mode(&self, mode: Mode) {
        self.0.mode.set(mode);
    }

    /// Every connection breaks; no object hears of it.
    pub fn break_connections(&self) {
        for connection in self.0.connections.borrow_mut().drain(..) {
            connection.abort();
        }
    }

    /// The mailbox object's process ends, and another begins.
    pub fn crash_mailbox(&self) {
        self.0.mailboxes.crash(&Workspace::new("team").unwrap());
    }
}

/// The objects of a class, in memory.
pub fn objects<O: Object + 'static>(
    host: &Rc<dyn HostClock>,
    wake: fn(Woken) -> O,
) -> Rc<dyn Objects> {
    Rc::new(namespace(host, wake))
}

fn namespace<O: Object + 'static>(host: &Rc<dyn HostClock>, wake: fn(Woken) -> O) -> Namespace<O> {
    let (databases, settings) = (Rc::new(MemoryDatabases::new()), NamespaceSettings::default());
    let namespace = Namespace::new(Rc::clone(host), databases, settings, wake);
    spawn_local(namespace.ring_alarms());
    namespace
}

/// Carries bytes from the first at 40 kB a second, and back as they come.
async fn carry_slowly(from: DuplexStream, to: DuplexStream) {
    let ((mut from_in, mut from_out), (mut to_in, mut to_out)) = (split(from), split(to));
    let there = async {
        let mut buffer = [0; 4_000];
        while let Ok(read) = from_in.read(&mut buffer).await
            && read > 0
        {
            pause(Duration::from_micros(25 * u64::try_from(read).unwrap())).await;
            if to_out.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    select(pin!(there), pin!(copy(&mut to_in, &mut from_out))).await;
}

/// Answers whatever is asked first, the body some time after the head, and hangs up.
async fn answer(mut stream: DuplexStream, status: u16, body: &'static str) {
    let _ = stream.read(&mut [0; 4_096]).await;
    let length = body.len();
    let head = format!("HTTP/1.1 {status} So\r\ncontent-length: {length}\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    pause(Duration::from_millis(100)).await;
    let _ = stream.write_all(body.as_bytes()).await;
}

#[expect(clippy::disallowed_methods, reason = "the tests' clock is tokio's, paused")]
async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub fn setup(name: &str, session: &str, seed: u64) -> Setup {
    Setup::new(agent(name), SessionId::new(session).unwrap(), seed)
}

/// Has every message of this type noted as its sender and payload.
pub async fn note(bus: &Bus, kind: &str, notes: &Notes) {
    let notes = notes.clone();
    bus.subscribe(kind, move |mail| {
        notes.add(format!("{}: {}", mail.from(), mail.raw_payload().unwrap_or("nothing")));
        std::future::ready(Ok(()))
    })
    .await
    .unwrap();
}

pub fn draft(kind: &str, text: &str) -> Draft {
    Draft::new(kind).payload(&text).unwrap()
}

/// Begins both.
pub async fn begin(a: &Bus, b: &Bus) {
    a.initialize().await.unwrap();
    b.initialize().await.unwrap();
}

/// The buses of `a` and of `b`, who handles `news`: what it heard, and what it was told.
pub async fn newsroom(bench: &Bench) -> (Bus, Bus, Notes, Notes) {
    let (a, b) = (bench.bus("a"), bench.bus("b"));
    let (heard, told) = (Notes::default(), Notes::default());
    told.listen(&b);
    note(&b, "news", &heard).await;
    begin(&a, &b).await;
    (a, b, heard, told)
}

pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Notes of a handler or a listener.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Notes what happens to a bus.
    pub fn listen(&self, bus: &Bus) {
        let notes = self.clone();
        bus.on_event(move |event| {
            notes.add(match event {
                BusEvent::Connected { resumed, .. } => format!("connected, resumed: {resumed}"),
                BusEvent::Disconnected => "disconnected".to_owned(),
                BusEvent::Gap(gap) => format!("lost {}", gap.count),
                BusEvent::Restored { .. } => "restored".to_owned(),
                BusEvent::Unhandled(mail) => format!("unhandled {}", mail.kind()),
                BusEvent::HandlerFailed { error, .. } => format!("failed: {error}"),
                BusEvent::HandlerTimedOut { .. } => "timed out".to_owned(),
                BusEvent::MailEnded(why) => format!("ended: {why:?}"),
                other => format!("{other:?}"),
            });
        });
    }
}
