//! `mailbusd`: a bus on one machine, on SQLite files: no Node, no account, no network beyond its own
//! address.

use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::namespace::OUTBOX_BUDGET;
use mailbus_worker::native::program::{self, Arguments, StartError};
use mailbus_worker::native::{
    Budget, Classes, FileDatabases, Host, Namespace, NamespaceSettings, Objects, Server,
    ServerSettings, SystemHost,
};
use mailbus_worker::object::Object;
use mailbus_worker::router::Class;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

/// A mailbus server on SQLite files.
#[derive(Debug, Parser)]
#[command(version)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
    /// Databases of a class that stay open; beyond, the one that has been idle longest is closed.
    #[arg(long, value_name = "COUNT", default_value_t = NamespaceSettings::default().open_databases)]
    open_databases: usize,
    /// How much may wait for slow readers, all of them together, in MiB; beyond, those go that have
    /// stalled longest.
    #[arg(long, value_name = "MIB", default_value_t = OUTBOX_BUDGET >> 20)]
    outbox_budget: usize,
}

/// Files that an open database takes: itself, its log, and the log once more for flushing.
const FILES_PER_DATABASE: u64 = 3;
/// Files for everything that is neither a database nor a connection.
const FILES_OF_THE_PROCESS: u64 = 64;

fn main() -> ExitCode {
    let program = Program::parse();
    program::start_log();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, serve(&program)),
        Err(error) => Err(StartError::Other(format!("cannot start the event loop: {error}"))),
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
    let _folder = arguments.take_folder()?;
    let host: Rc<dyn Host> = Rc::new(SystemHost::new());
    let settings = NamespaceSettings {
        open_databases: program.open_databases,
        outboxes: Budget::new(program.outbox_budget.saturating_mul(1 << 20)),
    };
    let data = &arguments.data;
    let classes = Classes::from([
        (Class::Lease, objects::<ProductionLeaseObject>(data, &settings, &host, Class::Lease)?),
        (
            Class::Mailbox,
            objects::<ProductionMailboxObject>(data, &settings, &host, Class::Mailbox)?,
        ),
    ]);

    let listen = arguments.listen;
    let unusable = |source| StartError::Listen { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    arguments
        .announce("mailbusd", address)
        .map_err(|error| StartError::Other(format!("nobody reads standard output: {error}")))?;
    let server = Server::new(host, access, ServerSettings::default(), classes);
    let databases = program.open_databases.saturating_mul(Class::ALL.len());
    server.listen(listener, connections(databases), program::asked_to_stop()).await;
    tracing::info!("stopped");
    Ok(())
}

/// The objects of a class, in a folder of its name, with their alarms ringing.
fn objects<O: Object + 'static>(
    data: &Path,
    settings: &NamespaceSettings,
    host: &Rc<dyn Host>,
    class: Class,
) -> Result<Rc<dyn Objects>, StartError> {
    let databases = FileDatabases::in_folder(&data.join(class.as_str()))
        .map_err(|error| StartError::Other(error.to_string()))?;
    let namespace = Namespace::<O>::new(Rc::clone(host), Rc::new(databases), settings.clone());
    tokio::task::spawn_local(namespace.ring_alarms());
    Ok(Rc::new(namespace))
}

/// How many connections there are files for.
fn connections(databases: usize) -> u32 {
    let databases = u64::try_from(databases).unwrap_or(u64::MAX);
    let taken = databases.saturating_mul(FILES_PER_DATABASE).saturating_add(FILES_OF_THE_PROCESS);
    u32::try_from(program::open_files().saturating_sub(taken).max(1)).unwrap_or(u32::MAX)
}
