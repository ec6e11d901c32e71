//! The real runtime: Cloudflare's `workerd` with the release bundle, on this machine.
//!
//! What `wrangler dev` puts around `workerd` makes it several times slower, so it is started
//! directly, from a configuration made for the occasion. It stores on disk like a
//! deployment, is ended by `SIGKILL` alone (a polite signal waits for open sockets without limit), and
//! can be told to drop an object from memory, which a deployment does when it likes.
//!
//! No process of `workerd` outlives the program that started it, however that ends: by itself, by a
//! signal to it or to its process group. Dropping [`Workerd`] ends it too.

mod config;
mod error;
mod eviction;
mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::bundle::Bundle;

pub use error::Error;

use process::Process;

/// Options for running a bundle.
#[derive(Clone)]
pub struct Options {
    /// Bundle to run.
    pub bundle: Bundle,
    /// The folder for the objects' databases, made if it is not there. One process at a time.
    pub data: PathBuf,
    /// Address to listen on for HTTP; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Text bindings of the worker. Their values pass through the process's environment, so no
    /// secret is written to disk.
    pub environment: BTreeMap<String, String>,
    /// True if [`Workerd::evict`] works. It opens a second port, on loopback, without any authentication:
    /// for tests alone.
    pub evictable: bool,
    /// Another worker in the same process: the source of its one module. It is bound to the objects under
    /// the names that the deployment gives them, and listens on a second port of loopback.
    pub companion: Option<String>,
    /// A module in front of the bundle's own, which it imports as `./index.js` and has the exports of:
    /// for tests that make the platform fail.
    pub front: Option<String>,
    /// Place where the runtime's and the worker's messages go.
    pub log: Log,
}

impl fmt::Debug for Options {
    /// Names the bindings and keeps their values: one of them is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("data", &self.data)
            .field("listen", &self.listen)
            .field("environment", &self.environment.keys())
            .field("evictable", &self.evictable)
            .field("companion", &self.companion.is_some())
            .field("front", &self.front.is_some())
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// Place where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Log {
    /// To the standard error of this program.
    Inherit,
    /// To the end of a file, so that a test that fails can show them.
    File(PathBuf),
}

/// A running `workerd`. Dropping it kills it.
#[derive(Debug)]
pub struct Workerd {
    options: Options,
    process: Process,
}

impl Workerd {
    /// Starts the runtime and waits until it listens, some 50 ms.
    ///
    /// # Errors
    /// [`Error`] if the folder cannot be made or the process does not start listening; it carries
    /// the last messages of the process, where a file has them.
    pub fn start(options: Options) -> Result<Self, Error> {
        let process = Process::start(&options)?;
        Ok(Self { options, process })
    }

    /// Address where it listens, the real port included.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.options.listen.ip(), self.process.ports().http)
    }

    /// Address of the [companion](Options::companion), if there is one.
    #[must_use]
    pub fn companion(&self) -> Option<SocketAddr> {
        let port = self.process.ports().companion?;
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Ends when the runtime has ended although nobody here asked it to: it crashed, or somebody killed
    /// it. Says how, in words. To be asked once a start.
    pub async fn ended(&mut self) -> String {
        self.process.ended().await.map_or_else(|error| error.to_string(), |how| how.to_string())
    }

    /// Ends the process at once, as a power cut would, and returns when it is gone.
    pub fn kill(self) {
        drop(self);
    }

    /// Kills the process and starts another on the same data and the same address.
    ///
    /// # Errors
    /// As for [`Workerd::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.options.listen = self.address();
        self.process.kill();
        self.process = Process::start(&self.options)?;
        Ok(())
    }

    /// Drops one object from memory, as the platform does when it is idle: its storage, its sockets
    /// and their attachments stay. `class` is the exported class, `name` the object's.
    ///
    /// # Errors
    /// [`Error`] if the runtime was not started [evictable](Options::evictable) or refuses, for
    /// instance because the object was never called.
    pub fn evict(&self, class: &str, name: &str) -> Result<(), Error> {
        let port = self.process.ports().eviction.ok_or(Error::NotEvictable)?;
        eviction::evict(port, class, name)
    }
}
