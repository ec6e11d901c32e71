//! `mailbus-workerd`: the release bundle in Cloudflare's own runtime, on this machine.

use std::collections::BTreeMap;
use std::pin::pin;
use std::process::ExitCode;

use clap::Parser;
use futures_util::future::{Either, select};
use mailbus_worker::bundle;
use mailbus_worker::native::cli::{self, Arguments, SECRET, StartError};
use mailbus_worker::router::{ALLOW_ANONYMOUS, Access, SUSPENDED, Suspended};
use mailbus_worker::workerd::{Log, Options, Workerd};

/// A mailbus server in workerd: the very module that is deployed, built first if it is stale.
#[derive(Debug, Parser)]
#[command(version)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    let program = Program::parse();
    cli::start_log();
    match serve(&program.arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailbus-workerd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), StartError> {
    let access = arguments.access()?;
    let _folder = arguments.take_folder()?;
    let bundle = bundle::provide(&mut |step| tracing::info!("{step}")).map_err(other)?;
    let mut environment = BTreeMap::new();
    if access == Access::Anonymous {
        environment.insert(ALLOW_ANONYMOUS.to_owned(), "true".to_owned());
    }
    let suspended = arguments.suspended();
    if suspended != Suspended::default() {
        environment.insert(SUSPENDED.to_owned(), suspended.names());
    }
    if let Ok(secret) = std::env::var(SECRET) {
        environment.insert(SECRET.to_owned(), secret);
    }
    let mut workerd = Workerd::start(Options {
        bundle,
        data: arguments.data.clone(),
        listen: arguments.listen,
        environment,
        evictable: false,
        companion: None,
        front: None,
        log: Log::Inherit,
    })
    .map_err(other)?;
    arguments.announce("mailbus-workerd", workerd.address()).map_err(other)?;
    let event_loop = tokio::runtime::Builder::new_current_thread().enable_all().build();
    event_loop.map_err(other)?.block_on(until_asked_to_stop(&mut workerd))?;
    // Nothing acknowledged is lost by a kill, and open sockets would keep it from ending otherwise.
    workerd.kill();
    tracing::info!("stopped");
    Ok(())
}

/// Waits until the program is asked to stop. A runtime that ends before is a failure, so that whoever
/// supervises this program starts it again.
async fn until_asked_to_stop(workerd: &mut Workerd) -> Result<(), StartError> {
    match select(pin!(cli::asked_to_stop()), pin!(workerd.ended())).await {
        Either::Left(_) => Ok(()),
        Either::Right((how, _)) => Err(other(format!(
            "workerd has ended by itself ({how}). What was acknowledged is on disk: start again"
        ))),
    }
}

fn other(error: impl std::fmt::Display) -> StartError {
    StartError::Other(error.to_string())
}
