//! Reason why there is no bundle, for a person who can do something about it.

use std::io;
use std::path::{Path, PathBuf};

/// The set-up could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program was built from sources that are gone.
    #[error(
        "the sources that this program was built from are not at {}: run it from a checkout",
        .0.display()
    )]
    NoCheckout(
        /// Places where they were.
        PathBuf,
    ),
    /// A program that the set-up needs is not there.
    #[error("`{program}` cannot be run ({source}); install {advice}")]
    MissingProgram {
        /// Its name.
        program: String,
        /// Source that brings it.
        advice: &'static str,
        /// Error of the system.
        source: io::Error,
    },
    /// A program is too old.
    #[error("`{program}` is {found}; install {advice}")]
    OldProgram {
        /// Its name.
        program: &'static str,
        /// Version that it says it is.
        found: String,
        /// Version to install instead.
        advice: &'static str,
    },
    /// A program ran and failed.
    #[error("`{command}` failed ({status}); {advice}\n{output}")]
    Failed {
        /// The command line.
        command: String,
        /// End of it.
        status: std::process::ExitStatus,
        /// Remedy to try.
        advice: &'static str,
        /// The last it printed.
        output: String,
    },
    /// A package is not where npm should have put it.
    #[error("npm left no {package} in {}; delete that folder and try again", folder.display())]
    MissingPackage {
        /// The package, or the file of it.
        package: String,
        /// The `node_modules` folder.
        folder: PathBuf,
    },
    /// wasm-bindgen refused the compiled module.
    #[error("wasm-bindgen cannot read the compiled module: {0}")]
    Bind(String),
    /// A file of the checkout says something that cannot be understood.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Fault in it.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// Action that was tried.
        action: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
}

impl Error {
    /// Names the file and the attempt in an I/O error.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }

    /// A file that is there and makes no sense.
    pub(super) fn malformed(path: &Path, reason: impl ToString) -> Self {
        Self::Malformed { path: path.to_path_buf(), reason: reason.to_string() }
    }
}
