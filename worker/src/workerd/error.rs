//! Reason why the runtime does not run, for a person who can do something about it.

use std::io;
use std::path::PathBuf;

/// `workerd` could not be started or spoken to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder or a file in it could not be made.
    #[error("cannot write {}: {source}", path.display())]
    Data {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The shell that guards the process could not be started.
    #[error("cannot run `sh`: {0}")]
    Spawn(
        /// Error of the system.
        io::Error,
    ),
    /// The process ended, or closed its report, before it listened.
    #[error("workerd does not listen on {listen} ({status}); is the address taken?{messages}")]
    NotListening {
        /// The address it was given.
        listen: std::net::SocketAddr,
        /// End of it.
        status: String,
        /// Its last messages, each on a line of its own, or nothing.
        messages: String,
    },
    /// Eviction was not asked for when the runtime was started.
    #[error("this workerd was not started evictable")]
    NotEvictable,
    /// The runtime could not be asked to evict an object.
    #[error("cannot reach workerd to evict an object: {0}")]
    Unreachable(
        /// Error of the system.
        io::Error,
    ),
    /// The runtime would not evict the object.
    #[error("workerd did not evict {class} {name}: {answer}")]
    NotEvicted {
        /// The object's class.
        class: String,
        /// Its name.
        name: String,
        /// Answer of the runtime.
        answer: String,
    },
}
