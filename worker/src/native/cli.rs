//! Command line of the programs that run a bus on one machine: their arguments, their start and
//! their end.

use std::convert::Infallible;
use std::fs::{File, TryLockError};
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

use crate::router::{ALLOW_ANONYMOUS, Access, SUSPENDED, Suspended};

use super::descriptors::{self, TooFew};
use super::fsync;

/// The environment variable with the secret that signs tokens. It is no argument: every process of
/// the machine can read those.
pub const SECRET: &str = "MAILBUS_SECRET";

/// The arguments of `mailbusd` and `mailbus-workerd`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Address to listen on; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,
    /// The folder of the databases, made if it is not there. One process at a time.
    #[arg(long, value_name = "FOLDER", default_value = "mailbus-data")]
    pub data: PathBuf,
    /// Let everybody in who reaches the address, which must be a loopback one, under any name.
    #[arg(long, env = ALLOW_ANONYMOUS, value_parser = lets_everybody_in)]
    pub anonymous: bool,
    /// Workspaces, with commas between them, that are being restored: nothing of them is answered but `recover`,
    /// until the program is started without.
    #[arg(long, value_name = "WORKSPACES", env = SUSPENDED, default_value = "")]
    pub suspend: Suspended,
    /// Print the line that says it is ready as a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Reason why a program did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Anonymous access beyond this machine.
    #[error("anonymous access is for this machine alone: listen on a loopback address, not on {0}")]
    Exposed(SocketAddr),
    /// Another process has the folder.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The folder cannot be made or used.
    #[error("cannot use {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Error of the system.
        source: io::Error,
    },
    /// The process may not have enough files open.
    #[error(transparent)]
    TooFewFiles(#[from] TooFew),
    /// Something else, in the words of who found it.
    #[error("{0}")]
    Other(String),
}

/// A data folder that is this process's alone while this lives.
#[derive(Debug)]
pub struct Folder {
    _lock: File,
}

/// Meaning of the variable that stands for the flag.
fn lets_everybody_in(value: &str) -> Result<bool, Infallible> {
    Ok(Access::of_variable(value) == Access::Anonymous)
}

impl Arguments {
    /// Access that is given. Says so on standard error if that is to everybody.
    ///
    /// # Errors
    /// [`StartError::Exposed`] for anonymous access on an address that others can reach.
    pub fn access(&self) -> Result<Access, StartError> {
        if !self.anonymous {
            // Without a secret nobody can have a token, and with one nobody checks it yet.
            tracing::warn!("every request will be refused: start with --anonymous to let all in");
            return Ok(Access::Closed);
        }
        if !self.listen.ip().is_loopback() {
            return Err(StartError::Exposed(self.listen));
        }
        eprintln!(
            "anonymous access: anybody on this machine may take any name, and do what an admin may \
             (force, forget, recover)"
        );
        Ok(Access::Anonymous)
    }

    /// Workspaces that are suspended. Says so on standard error if there are any.
    #[must_use]
    pub fn suspended(&self) -> Suspended {
        let names = self.suspend.names();
        if !names.is_empty() {
            eprintln!("suspended, and answered 503 but for `recover`: {names}");
        }
        self.suspend.clone()
    }

    /// Makes the data folder, durably, and takes it for this process. What this process and those that it
    /// starts make from now on is for their owner alone: mail is nobody else's.
    ///
    /// # Errors
    /// [`StartError::InUse`], [`StartError::Folder`].
    pub fn take_folder(&self) -> Result<Folder, StartError> {
        let failed = |source| StartError::Folder { folder: self.data.clone(), source };
        keep_to_owner();
        fsync::create(&self.data).map_err(failed)?;
        if is_open_to_others(&self.data).map_err(failed)? {
            let folder = self.data.display();
            tracing::warn!(
                "others on this machine may look into {folder}: `chmod -R go= {folder}`"
            );
        }
        let lock = File::create(self.data.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StartError::InUse(self.data.clone())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Prints the one line on standard output: that the program is ready, and where.
    ///
    /// # Errors
    /// If nobody can read it.
    pub fn announce(&self, program: &str, address: SocketAddr) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let pid = std::process::id();
            writeln!(out, r#"{{"program":"{program}","url":"http://{address}","pid":{pid}}}"#)?;
        } else {
            writeln!(out, "{program} listening on http://{address}")?;
        }
        out.flush()
    }
}

/// Sends the program's log to standard error, at the level that `RUST_LOG` says, else `info`.
pub fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Fails only where a log has been started already, which is then as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
}

/// Ends when the program is asked to end: `SIGINT` or `SIGTERM`.
pub async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use futures_util::future::{Either, select};
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            let interrupt = std::pin::pin!(tokio::signal::ctrl_c());
            let terminate = std::pin::pin!(terminate.recv());
            match select(interrupt, terminate).await {
                Either::Left(_) | Either::Right(_) => return,
            }
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Number of files that the process may have open, after asking for as many as it may ask for.
#[must_use]
pub fn open_files() -> u64 {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let grant = |current| setrlimit(Resource::Nofile, Rlimit { current, ..limit }).is_ok();
        descriptors::raise(limit.current, limit.maximum, grant).unwrap_or(u64::MAX)
    }
    #[cfg(not(unix))]
    {
        512
    }
}

/// From now on what this process makes is for its owner alone, and what it starts inherits that.
fn keep_to_owner() {
    #[cfg(unix)]
    {
        use rustix::fs::Mode;
        let _ = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    }
}

/// True if others than its owner may do anything with a folder, which was there before.
///
/// # Errors
/// What the system said.
fn is_open_to_others(folder: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        Ok(std::fs::metadata(folder)?.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        Ok(false)
    }
}
