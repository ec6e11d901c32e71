//! `mailbusd`: a bus on one machine, on SQLite files: no Node, no account, no network beyond its own
//! address.

use std::io;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use clap::Parser;
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::cli::{self, Arguments, StartError};
use mailbus_worker::native::descriptors;
use mailbus_worker::native::loops::{self, Place, Stop};
use mailbus_worker::native::namespace::OUTBOX_BUDGET;
use mailbus_worker::native::{
    Budget, Classes, EventLoop, FileDatabases, Namespace, NamespaceSettings, Objects, OwnDatabases,
    Places, Server, ServerSettings, SystemClock,
};
use mailbus_worker::object::{Object, Woken};
use mailbus_worker::router::{Access, Class};
use tokio::net::TcpListener;

/// A mailbus server on SQLite files.
#[derive(Debug, Parser)]
#[command(version)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
    /// Databases that stay open, all together; the one that has been idle longest is closed for
    /// another. By default as many as the process's limit of open files allows.
    #[arg(long, value_name = "COUNT")]
    open_databases: Option<usize>,
    /// Memory that is kept of objects whose databases are closed, in MiB: without it they read
    /// everything again.
    #[arg(long, value_name = "MIB", default_value_t = NamespaceSettings::default().kept_bytes >> 20)]
    kept_memory: u64,
    /// Memory of what waits for slow readers, all of them together, in MiB; beyond, those go that
    /// have stalled longest.
    #[arg(long, value_name = "MIB", default_value_t = OUTBOX_BUDGET >> 20)]
    outbox_budget: usize,
    /// Event loops, each on a thread of its own: one for each core, unless you say otherwise.
    #[arg(long, value_name = "COUNT", default_value_t = cores())]
    threads: NonZeroUsize,
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn main() -> ExitCode {
    let program = Program::parse();
    cli::start_log();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(serve(&program)),
        Err(error) => Err(StartError::Other(format!("cannot start: {error}"))),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailbusd: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(program: &Program) -> Result<(), StartError> {
    let arguments = &program.arguments;
    let access = arguments.access()?;
    let loops = program.threads;
    let classes = NonZeroUsize::new(Class::ALL.len()).unwrap_or(NonZeroUsize::MIN);
    let namespaces = loops.saturating_mul(classes);
    let files = cli::open_files();
    let shared = descriptors::share(files, namespaces, loops, program.open_databases)?;
    tracing::info!(
        files,
        connections = shared.connections,
        databases = shared.databases.saturating_mul(namespaces.get()),
        "open at most"
    );
    let _folder = arguments.take_folder()?;
    let unusable = |source| StartError::Listen { listen: arguments.listen, source };
    let listener = TcpListener::bind(arguments.listen).await.map_err(unusable)?;
    let listener = listener.into_std().map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;

    let deployment = Deployment {
        clock: SystemClock::new(),
        access,
        leases: databases(arguments, Class::Lease)?,
        mailboxes: databases(arguments, Class::Mailbox)?,
        settings: NamespaceSettings {
            open_databases: shared.databases,
            kept_bytes: program.kept_memory.saturating_mul((1 << 20) / namespaces.get() as u64),
            outboxes: Budget::new(program.outbox_budget.saturating_mul(1 << 20)),
        },
        server: ServerSettings { suspended: arguments.suspended(), ..ServerSettings::default() },
        listener: Arc::new(listener),
        places: Places::new(shared.connections),
    };
    arguments
        .announce("mailbusd", address)
        .map_err(|error| StartError::Other(format!("nobody reads standard output: {error}")))?;
    let body = move |event_loop, stop| deployment.clone().run(event_loop, stop);
    loops::run(loops, cli::asked_to_stop(), body)
        .await
        .map_err(|error| StartError::Other(error.to_string()))?;
    tracing::info!("stopped");
    Ok(())
}

/// The databases of a class, in a folder of its name.
fn databases(arguments: &Arguments, class: Class) -> Result<FileDatabases, StartError> {
    FileDatabases::in_folder(&arguments.data.join(class.as_str()))
        .map_err(|error| StartError::Other(error.to_string()))
}

/// Settings that the event loops have in common.
#[derive(Clone)]
struct Deployment {
    clock: SystemClock,
    access: Access,
    leases: FileDatabases,
    mailboxes: FileDatabases,
    settings: NamespaceSettings,
    server: ServerSettings,
    listener: Arc<std::net::TcpListener>,
    places: Places,
}

impl Deployment {
    /// One loop: its share of the workspaces, and of the connections.
    async fn run(self, event_loop: EventLoop, stop: Stop) -> io::Result<()> {
        let place = event_loop.place();
        let own = Classes::from([
            (Class::Lease, self.objects(&self.leases, place, ProductionLeaseObject::wake)),
            (Class::Mailbox, self.objects(&self.mailboxes, place, ProductionMailboxObject::wake)),
        ]);
        let (all, others) = event_loop.join(own);
        tokio::task::spawn_local(others);
        let listener = TcpListener::from_std(self.listener.try_clone()?)?;
        let server = Server::new(Rc::new(self.clock), self.access, self.server, all);
        server.listen(listener, self.places, stop.asked()).await;
        Ok(())
    }

    /// The objects of a class that live on a loop, with their alarms ringing.
    fn objects<O: Object + 'static>(
        &self,
        databases: &FileDatabases,
        place: &Place,
        wake: fn(Woken) -> O,
    ) -> Rc<dyn Objects> {
        let databases = Rc::new(OwnDatabases::new(databases.clone(), place));
        let namespace = Namespace::new(Rc::new(self.clock), databases, self.settings.clone(), wake);
        tokio::task::spawn_local(namespace.ring_alarms());
        tokio::task::spawn_local(namespace.keep_tidy());
        Rc::new(namespace)
    }
}
