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
use mailbus_worker::router::{Access, Class};
use mailbus_worker::storage::StorageError;
use turmoil::net::TcpListener;

use crate::engine::alarms::Troubled;
use crate::judge::history::marks::Mark;
use crate::sut::Tested;
use crate::sut::machine::{SutMachine, SutObject};
use crate::world::Context;
use crate::world::hosted::Hosted;
use crate::world::hosts::{ObjectHost, PORT};

/// Time that the objects' host takes to flush a log.
const FLUSH: Duration = Duration::from_millis(40);

/// Program of the objects' host.
pub(crate) async fn run(context: Rc<Context>) -> turmoil::Result {
    let host: Rc<dyn HostClock> = Rc::new(ObjectHost { context: Rc::clone(&context) });
    let leases = Observed::host(&context, &host, &context.leases);
    let mail = Observed::host(&context, &host, &context.mail);
    let classes = Classes::from([(Class::Lease, leases), (Class::Mailbox, mail)]);
    let server = Server::new(host, Access::Anonymous, ServerSettings::default(), classes);
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::task::spawn_local(Rc::clone(&server).serve_connection(stream));
    }
}

/// The objects of one class, seen from outside: after each event it is known whether it was committed.
struct Observed<S: Tested> {
    context: Rc<Context>,
    hosted: Rc<Hosted<S>>,
    namespace: Namespace<SutObject<S>>,
}

impl<S: Tested> Observed<S> {
    /// Runs the objects of a class, with their alarms.
    fn host(
        context: &Rc<Context>,
        host: &Rc<dyn HostClock>,
        hosted: &Rc<Hosted<S>>,
    ) -> Rc<dyn Objects> {
        let lives = Rc::clone(&hosted.lives);
        let wake = move |woken| {
            S::object(woken, |pending, kept| SutMachine::wake(Rc::clone(&lives), pending, kept))
        };
        let databases = Rc::new(SimulatedDatabases { hosted: Rc::clone(hosted) });
        let settings = NamespaceSettings::default();
        let namespace = Namespace::new(Rc::clone(host), databases, settings, wake);
        hosted.namespace.replace(Some(namespace.clone()));
        let (own, hosted) = (Rc::clone(context), Rc::clone(hosted));
        let ringing = (Rc::clone(context), Rc::clone(&hosted), namespace.clone());
        let objects: Rc<dyn Objects> = Rc::new(Self { context: own, hosted, namespace });
        let (context, hosted, namespace) = ringing;
        Troubled::ring(context, hosted, &namespace, &objects);
        objects
    }
}

impl<S: Tested> Objects for Observed<S> {
    fn submit(&self, workspace: &Workspace, arrival: &Arrival<'_>) -> Submitted {
        if self.context.now() < self.context.closed_until.get() {
            return closed(arrival);
        }
        let submitted = self.namespace.submit(workspace, arrival);
        // A failed event costs an object its memory.
        let committed = self.hosted.with(|instance| instance.is_awake()).unwrap_or(false);
        if !committed && !matches!(arrival, Arrival::Closed { .. }) {
            self.context.reach(Mark::StorageFailed);
        }
        self.hosted.settle(&mut self.context.history.borrow_mut(), committed);
        submitted
    }
}

/// The operator keeps the workspace closed after a restore.
fn closed(arrival: &Arrival<'_>) -> Submitted {
    let refused = Problem::new(Code::Restoring, "The workspace is being restored.");
    let answer = match arrival {
        Arrival::Request(_) => Ok(Completion::Answered((&refused).into())),
        _ => {
            let _ = frame::error(&refused);
            Err(Stopped)
        }
    };
    std::future::ready(answer).boxed_local()
}

/// The databases of the objects' host, whose flushes take time.
struct SimulatedDatabases<S: Tested> {
    hosted: Rc<Hosted<S>>,
}

impl<S: Tested> Databases for SimulatedDatabases<S> {
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError> {
        let opened = self.hosted.databases.open(workspace)?;
        let flush = opened.flush.map(|inner| {
            Rc::new(SlowFlush { hosted: Rc::clone(&self.hosted), inner }) as Rc<dyn Flush>
        });
        Ok(Opened { flush, ..opened })
    }

    fn delete(&self, workspace: &Workspace) -> Result<(), StorageError> {
        self.hosted.databases.delete(workspace)
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        self.hosted.databases.existing()
    }
}

struct SlowFlush<S: Tested> {
    hosted: Rc<Hosted<S>>,
    inner: Rc<dyn Flush>,
}

impl<S: Tested> Flush for SlowFlush<S> {
    #[expect(clippy::disallowed_methods, reason = "simulated hosts sleep by turmoil's true time")]
    fn flush(&self) -> LocalBoxFuture<'static, io::Result<()>> {
        let hosted = Rc::clone(&self.hosted);
        let committed = hosted.committed();
        let flushed = self.inner.flush();
        Box::pin(async move {
            tokio::time::sleep(FLUSH).await;
            flushed.await?;
            hosted.durable.set(committed);
            Ok(())
        })
    }
}
