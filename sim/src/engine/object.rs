//! The host that runs the objects: production's namespaces, server and endpoints over simulated
//! streams.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{FutureExt, LocalBoxFuture};
use mailbus_spec::Workspace;
use mailbus_spec::wire::{Code, Problem, frame};
use mailbus_worker::native::namespace::Submitted;
use mailbus_worker::native::{
    Arrival, Classes, Completion, Databases, Flush, HostClock, Namespace, NamespaceSettings,
    Objects, Opened, Server, ServerSettings, Stopped,
};
use mailbus_worker::object::Object;
use mailbus_worker::router::{self, Access, Class};
use mailbus_worker::storage::StorageError;
use turmoil::net::TcpListener;

use crate::engine::Stage;
use crate::engine::alarms::Troubled;
use crate::engine::hosted::Hosted;
use crate::engine::streams::{ObjectHost, PORT};
use crate::history::Wrote;
use crate::marks::Mark;

/// How long the objects' host takes to flush a log.
const FLUSH: Duration = Duration::from_millis(40);

/// The one workspace of a simulation.
pub(crate) fn workspace() -> Workspace {
    Workspace::new("sim").expect("a plain name")
}

/// What runs on the objects' host.
pub(crate) async fn run(stage: Rc<Stage>) -> turmoil::Result {
    let host: Rc<dyn HostClock> = Rc::new(ObjectHost { stage: Rc::clone(&stage) });
    let classes = Classes::from([
        (Class::Lease, Observed::host(&stage, &host, |stage| &stage.leases, Stage::settle_leases)),
        (Class::Mailbox, Observed::host(&stage, &host, |stage| &stage.mail, Stage::settle_mail)),
    ]);
    let server = Server::new(host, Access::Anonymous, ServerSettings::default(), classes);
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
    stage.leases.crash();
    stage.mail.crash();
}

/// The objects of one class, seen from outside: after each event it is known whether it was committed.
pub(crate) struct Observed<O, C, S> {
    pub stage: Rc<Stage>,
    pub namespace: Namespace<O>,
    /// Where the stage keeps what belongs to them.
    hosted: fn(&Stage) -> &Hosted<O, C, S>,
    settle: fn(&Stage, bool),
}

impl<O: Object + 'static, C: 'static, S: Wrote + 'static> Observed<O, C, S> {
    /// Runs the objects of a class, with their alarms.
    fn host(
        stage: &Rc<Stage>,
        host: &Rc<dyn HostClock>,
        hosted: fn(&Stage) -> &Hosted<O, C, S>,
        settle: fn(&Stage, bool),
    ) -> Rc<dyn Objects> {
        let databases = Rc::new(SimulatedDatabases { stage: Rc::clone(stage), hosted });
        let namespace = Namespace::new(Rc::clone(host), databases, NamespaceSettings::default());
        hosted(stage).namespace.replace(Some(namespace.clone()));
        let objects = Rc::new(Self { stage: Rc::clone(stage), namespace, hosted, settle });
        Troubled::ring(&objects);
        objects
    }

    /// Delivers an event to the object of the simulation's workspace.
    pub fn deliver(&self, arrival: &Arrival<'_>) -> Submitted {
        self.submit(&workspace(), arrival)
    }

    /// What belongs to them.
    pub fn hosted(&self) -> &Hosted<O, C, S> {
        (self.hosted)(&self.stage)
    }

    /// Whether the object came through its last event: a failed one costs it its memory.
    fn came_through(&self) -> bool {
        self.namespace.with(&workspace(), |instance| instance.is_awake()).unwrap_or(false)
    }
}

impl<O: Object + 'static, C: 'static, S: Wrote + 'static> Objects for Observed<O, C, S> {
    fn submit(&self, workspace: &Workspace, arrival: &Arrival<'_>) -> Submitted {
        if self.stage.now() < self.stage.closed_until.get() {
            return closed(arrival);
        }
        let submitted = self.namespace.submit(workspace, arrival);
        let committed = self.came_through();
        if !committed && !matches!(arrival, Arrival::Closed { .. }) {
            self.stage.reach(Mark::StorageFailed);
        }
        (self.settle)(&self.stage, committed);
        submitted
    }
}

/// The operator keeps the workspace closed after a restore.
fn closed(arrival: &Arrival<'_>) -> Submitted {
    let refused = Problem::new(Code::Restoring, "The workspace is being restored.");
    let answer = match arrival {
        Arrival::Request(_) => Ok(Completion::Answered(router::refusal(&refused))),
        _ => {
            let _ = frame::error(&refused);
            Err(Stopped)
        }
    };
    std::future::ready(answer).boxed_local()
}

/// The databases of the objects' host, whose flushes take time.
struct SimulatedDatabases<O, C, S> {
    stage: Rc<Stage>,
    hosted: fn(&Stage) -> &Hosted<O, C, S>,
}

impl<O: Object + 'static, C: 'static, S: Wrote + 'static> Databases
    for SimulatedDatabases<O, C, S>
{
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError> {
        let opened = (self.hosted)(&self.stage).databases.open(workspace)?;
        let flush = opened.flush.map(|inner| {
            let (stage, hosted) = (Rc::clone(&self.stage), self.hosted);
            Rc::new(SlowFlush { stage, hosted, inner }) as Rc<dyn Flush>
        });
        Ok(Opened { flush, ..opened })
    }

    fn delete(&self, workspace: &Workspace) -> Result<(), StorageError> {
        (self.hosted)(&self.stage).databases.delete(workspace)
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        (self.hosted)(&self.stage).databases.existing()
    }
}

struct SlowFlush<O, C, S> {
    stage: Rc<Stage>,
    hosted: fn(&Stage) -> &Hosted<O, C, S>,
    inner: Rc<dyn Flush>,
}

impl<O: Object + 'static, C: 'static, S: Wrote + 'static> Flush for SlowFlush<O, C, S> {
    #[expect(clippy::disallowed_methods, reason = "simulated hosts sleep by turmoil's true time")]
    fn flush(&self) -> LocalBoxFuture<'static, io::Result<()>> {
        let (stage, hosted) = (Rc::clone(&self.stage), self.hosted);
        let committed = hosted(&stage).committed();
        let flushed = self.inner.flush();
        Box::pin(async move {
            tokio::time::sleep(FLUSH).await;
            flushed.await?;
            hosted(&stage).durable.set(committed);
            Ok(())
        })
    }
}
