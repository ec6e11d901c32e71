//! Price of one event on the production mailbox object, natively: in memory, on disk, and on disk
//! with a flush shared by 1, 16 and 64 events that arrive together.
//!
//! Every event is a request or a frame with its JSON, writes one row, and is answered. A millisecond
//! passes with every event, and what is settled is collected in the course of it; neither the rounds of
//! collection nor the events that prepare another are in the figures. The ratio between the groups is
//! what group flush is worth on this disk.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use futures_util::future::join_all;
use mailbus_benches::clock::TickingClock;
use mailbus_benches::mail::message;
use mailbus_benches::native::{Mail, NEGOTIATED, post, these, up_to};
use mailbus_spec::{Ordinal, Workspace};
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::{
    Arrival, Completion, Database, Databases, FileDatabases, HostClock, MemoryDatabases, Namespace,
    NamespaceSettings, Objects, Outbox,
};
use mailbus_worker::object::{Body, Request, SocketId};

/// Number of messages that a session is pushed before it settles them.
const UNSETTLED: usize = 200;

/// An object whose connected agents settle now and then.
struct Connected {
    mail: Mail,
    sockets: Vec<SocketId>,
    unsettled: Vec<Ordinal>,
}

impl Connected {
    fn new(database: Database, sessions: usize) -> Self {
        let mut mail = Mail::new(database);
        let connect = |n| mail.connect(NEGOTIATED, &format!("agent-{n}"));
        let sockets = (0..sessions).map(connect).collect();
        Self { mail, sockets, unsettled: Vec::new() }
    }

    /// Room for one more message to everybody.
    fn make_room(&mut self) {
        if self.unsettled.len() < UNSETTLED {
            return;
        }
        if let Some(last) = self.unsettled.last() {
            let frame = up_to(*last);
            for socket in &self.sockets {
                self.mail.acknowledge(*socket, &frame);
            }
        }
        self.unsettled.clear();
        self.mail.ring();
    }

    fn publish(&mut self) {
        let (seq, delivered) = self.mail.publish();
        assert_eq!(delivered.frames.len(), self.sockets.len());
        self.unsettled.push(seq);
        black_box(delivered);
    }

    fn send(&mut self) {
        let (seq, delivered) = self.mail.send("agent-0");
        assert_eq!(delivered.frames.len(), 1);
        self.unsettled.push(seq);
        black_box(delivered);
    }

    /// So many messages to the only agent, and the frame that acknowledges them.
    fn prepare_ack(&mut self, count: usize) -> String {
        let seqs: Vec<Ordinal> = (0..count).map(|_| self.mail.publish().0).collect();
        self.mail.ring();
        these(&seqs)
    }

    fn acknowledge(&mut self, frame: &str) {
        black_box(self.mail.acknowledge(self.sockets[0], frame));
    }
}

fn prepared(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: BenchmarkId,
    connected: Connected,
    event: impl Fn(&mut Connected),
) {
    let connected = RefCell::new(connected);
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        let prepare = || connected.borrow_mut().make_room();
        let event = |()| event(&mut connected.borrow_mut());
        bencher.iter_batched(prepare, event, BatchSize::PerIteration);
    });
}

fn instances(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    for kind in ["in memory", "on disk, unflushed"] {
        let mut files = 0;
        let mut database = || {
            files += 1;
            match kind {
                "in memory" => Database::in_memory(),
                _ => Database::in_file(&folder.path().join(format!("{files}.sqlite"))),
            }
            .expect("a database")
        };
        let mut group = criterion.benchmark_group(format!("mail, {kind}"));
        for sessions in [1, 16, 128] {
            let connected = Connected::new(database(), sessions);
            let name = BenchmarkId::new("publish to sessions", sessions);
            prepared(&mut group, name, connected, Connected::publish);
        }
        let connected = Connected::new(database(), 1);
        let name = BenchmarkId::from_parameter("send to a session");
        prepared(&mut group, name, connected, Connected::send);
        for count in [1, 100] {
            let connected = RefCell::new(Connected::new(database(), 1));
            let name = BenchmarkId::new("ack frame", count);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(name, |bencher| {
                let prepare = || connected.borrow_mut().prepare_ack(count);
                let event = |frame: String| connected.borrow_mut().acknowledge(&frame);
                bencher.iter_batched(prepare, event, BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

/// One workspace of a namespace, in which one agent is connected.
struct Office {
    namespace: Namespace<ProductionMailboxObject>,
    workspace: Workspace,
    clock: Rc<TickingClock>,
    socket: SocketId,
    outbox: Arc<Outbox>,
    published: u64,
    unsettled: usize,
}

impl Office {
    async fn open(databases: Rc<dyn Databases>) -> Self {
        let clock = Rc::new(TickingClock::default());
        let shared: Rc<dyn HostClock> = Rc::<TickingClock>::clone(&clock);
        let settings = NamespaceSettings::default();
        let namespace = Namespace::new(shared, databases, settings, ProductionMailboxObject::wake);
        let workspace = Workspace::new("bench").expect("a plain name");
        let query = format!("{NEGOTIATED}agent-0");
        let subscribe = Arrival::Request(Request {
            method: "GET",
            action: "subscribe",
            query: &query,
            upgrade: true,
            body: Body::Whole(b""),
        });
        match namespace.submit(&workspace, &subscribe).await {
            Ok(Completion::Accepted { socket, outbox }) => {
                Self { namespace, workspace, clock, socket, outbox, published: 0, unsettled: 0 }
            }
            other => panic!("{other:?}"),
        }
    }

    /// The bodies of the next messages; what the agent was pushed before is settled by now.
    async fn prepare(&mut self, size: usize) -> Vec<String> {
        while self.outbox.try_next().is_some() {}
        self.outbox.took_all(self.clock.uptime());
        if self.unsettled >= UNSETTLED {
            let text = up_to(Ordinal::MAX);
            let acknowledge = Arrival::Frame { socket: self.socket, text: &text };
            self.namespace.submit(&self.workspace, &acknowledge).await.expect("it is flushed");
            let now = self.clock.now();
            for (due, _) in self.namespace.pending_alarms() {
                if due <= now {
                    let rung = self.namespace.submit(&self.workspace, &Arrival::Alarm);
                    rung.await.expect("it is flushed");
                }
            }
            self.unsettled = 0;
        }
        self.unsettled += size;
        let bodies = self.published..self.published + size as u64;
        self.published = bodies.end;
        bodies.map(|number| message("sender", number)).collect()
    }

    async fn publish(&self, bodies: &[String]) {
        let submit = |body: &String| self.namespace.submit(&self.workspace, &post("publish", body));
        for completion in join_all(bodies.iter().map(submit)).await {
            let answered =
                matches!(&completion, Ok(Completion::Answered(response)) if response.status == 200);
            assert!(answered, "{completion:?}");
        }
    }
}

fn groups(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let on_disk = FileDatabases::in_folder(folder.path()).expect("a folder of databases");
    let kinds: [(&str, Rc<dyn Databases>); 2] =
        [("in memory", Rc::new(MemoryDatabases::new())), ("on disk", Rc::new(on_disk))];
    for (kind, databases) in kinds {
        let local = tokio::task::LocalSet::new();
        let office = runtime.block_on(local.run_until(Office::open(databases)));
        let office = RefCell::new(office);
        let mut group = criterion.benchmark_group(format!("mail, group flush, {kind}"));
        for size in [1, 16, 64] {
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new("publish to a session", size), |bencher| {
                let prepare = || {
                    let mut office = office.borrow_mut();
                    runtime.block_on(local.run_until(office.prepare(size)))
                };
                let event = |bodies: Vec<String>| {
                    let office = office.borrow();
                    runtime.block_on(local.run_until(office.publish(&bodies)));
                };
                bencher.iter_batched(prepare, event, BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, instances, groups);
criterion_main!(benches);
