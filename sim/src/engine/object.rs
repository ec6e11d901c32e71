//! The host that runs the objects: production's namespaces, server and endpoints over simulated
//! streams.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{FutureExt, LocalBoxFuture};
use mailbus_spec::Workspace;
use mailbus_spec::wire::{Code, Problem, frame};
use mailbus_worker::lease::LeaseObject;
use mailbus_worker::mailbox::MailboxObject;
use mailbus_worker::native::namespace::Submitted;
use mailbus_worker::native::{
    Arrival, Classes, Completion, Databases, Flush, HostClock, Namespace, NamespaceSettings,
    Objects, Opened, Server, ServerSettings, Stopped,
};
use mailbus_worker::object::{Object, Woken};
use mailbus_worker::router::{Access, Class};
use mailbus_worker::storage::StorageError;
use turmoil::net::TcpListener;

use crate::engine::alarms::Troubled;
use crate::judge::history::Recorded;
use crate::judge::marks::Mark;
use crate::sut::{SutLeases, SutMailboxes};
use crate::world::Context;
use crate::world::hosted::Hosted;
use crate::world::hosts::{ObjectHost, PORT, workspace};

/// Time that the objects' host takes to flush a log.
const FLUSH: Duration = Duration::from_millis(40);

/// What runs on the objects' host.
pub(crate) async fn run(context: Rc<Context>) -> turmoil::Result {
    let host: Rc<dyn HostClock> = Rc::new(ObjectHost { context: Rc::clone(&context) });
    let own = Rc::clone(&context);
    let lease = move |woken| {
        LeaseObject::over(woken, |pending, _| SutLeases::wake(Rc::clone(&own), pending))
    };
    let leases =
        Observed::host(&context, &host, |context| &context.leases, Context::settle_leases, lease);
    let own = Rc::clone(&context);
    let mailbox = move |woken| {
        MailboxObject::over(woken, |pending, kept| {
            SutMailboxes::wake(Rc::clone(&own), pending, kept)
        })
    };
    let mail =
        Observed::host(&context, &host, |context| &context.mail, Context::settle_mail, mailbox);
    let classes = Classes::from([(Class::Lease, leases), (Class::Mailbox, mail)]);
    let server = Server::new(host, Access::Anonymous, ServerSettings::default(), classes);
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::task::spawn_local(Rc::clone(&server).serve_connection(stream));
    }
}

/// The objects of one class, seen from outside: after each event it is known whether it was committed.
pub(crate) struct Observed<O, S: Recorded> {
    pub context: Rc<Context>,
    pub namespace: Namespace<O>,
    /// Place in the context of what belongs to them.
    hosted: fn(&Context) -> &Hosted<O, S>,
    settle: fn(&Context, bool),
}

impl<O: Object + 'static, S: Recorded> Observed<O, S> {
    /// Runs the objects of a class, with their alarms.
    fn host(
        context: &Rc<Context>,
        host: &Rc<dyn HostClock>,
        hosted: fn(&Context) -> &Hosted<O, S>,
        settle: fn(&Context, bool),
        wake: impl Fn(Woken) -> O + 'static,
    ) -> Rc<dyn Objects> {
        let databases = Rc::new(SimulatedDatabases { context: Rc::clone(context), hosted });
        let namespace =
            Namespace::new(Rc::clone(host), databases, NamespaceSettings::default(), wake);
        hosted(context).namespace.replace(Some(namespace.clone()));
        let objects = Rc::new(Self { context: Rc::clone(context), namespace, hosted, settle });
        Troubled::ring(&objects);
        objects
    }

    /// Delivers an event to the object of the simulation's workspace.
    pub fn deliver(&self, arrival: &Arrival<'_>) -> Submitted {
        self.submit(&workspace(), arrival)
    }

    /// What belongs to them.
    pub fn hosted(&self) -> &Hosted<O, S> {
        (self.hosted)(&self.context)
    }

    /// True if the object came through its last event: a failed one costs it its memory.
    fn came_through(&self) -> bool {
        self.namespace.with(&workspace(), |instance| instance.is_awake()).unwrap_or(false)
    }
}

impl<O: Object + 'static, S: Recorded> Objects for Observed<O, S> {
    fn submit(&self, workspace: &Workspace, arrival: &Arrival<'_>) -> Submitted {
        if self.context.now() < self.context.closed_until.get() {
            return closed(arrival);
        }
        let submitted = self.namespace.submit(workspace, arrival);
        let committed = self.came_through();
        if !committed && !matches!(arrival, Arrival::Closed { .. }) {
            self.context.reach(Mark::StorageFailed);
        }
        (self.settle)(&self.context, committed);
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
struct SimulatedDatabases<O, S: Recorded> {
    context: Rc<Context>,
    hosted: fn(&Context) -> &Hosted<O, S>,
}

impl<O: Object + 'static, S: Recorded> Databases for SimulatedDatabases<O, S> {
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError> {
        let opened = (self.hosted)(&self.context).databases.open(workspace)?;
        let flush = opened.flush.map(|inner| {
            let (context, hosted) = (Rc::clone(&self.context), self.hosted);
            Rc::new(SlowFlush { context, hosted, inner }) as Rc<dyn Flush>
        });
        Ok(Opened { flush, ..opened })
    }

    fn delete(&self, workspace: &Workspace) -> Result<(), StorageError> {
        (self.hosted)(&self.context).databases.delete(workspace)
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        (self.hosted)(&self.context).databases.existing()
    }
}

struct SlowFlush<O, S: Recorded> {
    context: Rc<Context>,
    hosted: fn(&Context) -> &Hosted<O, S>,
    inner: Rc<dyn Flush>,
}

impl<O: Object + 'static, S: Recorded> Flush for SlowFlush<O, S> {
    #[expect(clippy::disallowed_methods, reason = "simulated hosts sleep by turmoil's true time")]
    fn flush(&self) -> LocalBoxFuture<'static, io::Result<()>> {
        let (context, hosted) = (Rc::clone(&self.context), self.hosted);
        let committed = hosted(&context).committed();
        let flushed = self.inner.flush();
        Box::pin(async move {
            tokio::time::sleep(FLUSH).await;
            flushed.await?;
            hosted(&context).durable.set(committed);
            Ok(())
        })
    }
}
