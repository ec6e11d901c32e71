//! The host that runs the object: production's namespace, server and endpoint over simulated streams.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{FutureExt, LocalBoxFuture};
use mailbus_spec::Workspace;
use mailbus_spec::wire::{Code, Problem, frame};
use mailbus_worker::native::namespace::Submitted;
use mailbus_worker::native::{
    Arrival, Databases, Exchange, Flush, Host, Namespace, NamespaceSettings, Objects, Opened,
    Server, ServerSettings, Stopped,
};
use mailbus_worker::router::{self, Access};
use mailbus_worker::storage::StorageError;
use turmoil::net::TcpListener;

use crate::engine::stage::ObjectUnderTest;
use crate::engine::streams::{ObjectHost, PORT};
use crate::engine::{Stage, alarms};
use crate::marks::Mark;

/// How long the object's host takes to flush its log.
const FLUSH: Duration = Duration::from_millis(40);

/// The one workspace of a simulation.
pub(crate) fn workspace() -> Workspace {
    Workspace::new("sim").expect("a plain name")
}

/// What runs on the object's host.
pub(crate) async fn run(stage: Rc<Stage>) -> turmoil::Result {
    let host: Rc<dyn Host> = Rc::new(ObjectHost { stage: Rc::clone(&stage) });
    let databases = Rc::new(SimulatedDatabases { stage: Rc::clone(&stage) });
    let namespace = Namespace::new(Rc::clone(&host), databases, NamespaceSettings::default());
    stage.namespace.replace(Some(namespace.clone()));
    let objects = Rc::new(Observed { stage: Rc::clone(&stage), namespace });
    let server = Server::new(
        host,
        Access::Anonymous,
        ServerSettings::default(),
        Rc::clone(&objects) as Rc<dyn Objects>,
    );
    tokio::task::spawn_local(alarms::ring(Rc::clone(&objects)));
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::task::spawn_local(Rc::clone(&server).serve_connection(stream));
    }
}

/// A deploy: every socket ends, and memory is lost.
///
/// Not by [`Server::stop`], which wakes connections in an order that tokio draws at random.
pub(crate) fn deploy(stage: &Stage) {
    if let Some(namespace) = stage.namespace.borrow().as_ref() {
        namespace.crash(&workspace());
    }
}

/// The namespace, seen from outside: after each event it is known whether it was committed.
pub(crate) struct Observed {
    pub stage: Rc<Stage>,
    pub namespace: Namespace<ObjectUnderTest>,
}

impl Observed {
    /// Whether the object came through its last event: a failed one costs it its memory.
    fn came_through(&self) -> bool {
        self.namespace.with(&workspace(), |instance| instance.is_awake()).unwrap_or(false)
    }
}

impl Objects for Observed {
    fn submit(&self, workspace: &Workspace, arrival: &Arrival<'_>) -> Submitted {
        if self.stage.now() < self.stage.closed_until.get() {
            return closed(arrival);
        }
        let submitted = self.namespace.submit(workspace, arrival);
        let committed = self.came_through();
        if !committed && !matches!(arrival, Arrival::Closed { .. }) {
            self.stage.reach(Mark::StorageFailed);
        }
        self.stage.settle_handled(committed);
        self.stage.alarm_bell.notify_one();
        submitted
    }
}

/// The operator keeps the workspace closed after a restore.
fn closed(arrival: &Arrival<'_>) -> Submitted {
    let refused = Problem::new(Code::Restoring, "The workspace is being restored.");
    let answer = match arrival {
        Arrival::Request(_) => Ok(Exchange::Answered(router::refusal(&refused))),
        _ => {
            let _ = frame::error(&refused);
            Err(Stopped)
        }
    };
    std::future::ready(answer).boxed_local()
}

/// The databases of the object's host, whose flushes take time.
struct SimulatedDatabases {
    stage: Rc<Stage>,
}

impl Databases for SimulatedDatabases {
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError> {
        let opened = self.stage.databases.open(workspace)?;
        let flush = opened.flush.map(|inner| {
            Rc::new(SlowFlush { stage: Rc::clone(&self.stage), inner }) as Rc<dyn Flush>
        });
        Ok(Opened { flush, ..opened })
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        self.stage.databases.existing()
    }
}

struct SlowFlush {
    stage: Rc<Stage>,
    inner: Rc<dyn Flush>,
}

impl Flush for SlowFlush {
    #[expect(clippy::disallowed_methods, reason = "simulated hosts sleep by turmoil's true time")]
    fn flush(&self) -> LocalBoxFuture<'static, io::Result<()>> {
        let stage = Rc::clone(&self.stage);
        let committed = stage.committed.get();
        let flushed = self.inner.flush();
        Box::pin(async move {
            tokio::time::sleep(FLUSH).await;
            flushed.await?;
            stage.durable.set(committed);
            Ok(())
        })
    }
}
