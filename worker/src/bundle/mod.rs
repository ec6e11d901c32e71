//! The set-up: from the sources of this checkout to the files that a Workers runtime loads.
//!
//! One pipeline serves everybody. The tests, the simulator, `mailbus-workerd`, `wrangler dev` and
//! `wrangler deploy` (through its build command) all get their bundle from [`provide`], so what is
//! tested is, byte for byte, what is deployed.
//!
//! ```text
//! cargo build ──► wasm-bindgen ──► wasm-opt ──► shim + esbuild ──► worker/build/{index.js, index_bg.wasm, stamp}
//!  nested, for      a library      npm binaryen    npm esbuild
//!  wasm32
//! ```
//!
//! # Why not `worker-build`
//!
//! It does the same steps, and `worker-build --release` works here too, into the same folder. But it
//! fetches two binaries from a code host where it is not told otherwise, takes minutes to install,
//! links the system's OpenSSL, and its shim leaves a request without an answer when the module
//! traps. Here `wasm-bindgen` is a library of the version pinned beside the macro's, so there is
//! nothing to install and nothing to disagree; `wasm-opt`, `esbuild`, `workerd` and `wrangler` come
//! from npm in the exact versions of `worker/package-lock.json`.
//!
//! # Invariants
//!
//! * Nothing here runs at build time: no `build.rs` reaches the network.
//! * A bundle is rebuilt exactly when one of its inputs or outputs differs from its stamp.
//! * Processes that ask at once build once: the first holds a file lock, the others find it done.

mod assemble;
mod checkout;
mod command;
mod compile;
mod deployment;
mod error;
mod packages;
mod stamp;
mod step;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use deployment::{Binding, Deployment};
pub use error::Error;
pub use step::Step;

use checkout::Checkout;
use packages::Packages;

/// A release bundle on disk, and what is needed to run or deploy it.
#[derive(Clone, Debug)]
pub struct Bundle {
    folder: PathBuf,
    deployment: Deployment,
    checkout: Checkout,
    packages: Packages,
}

/// A package of this checkout that is a Worker: it has a `wrangler.toml` beside its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name to cargo.
    pub name: &'static str,
    /// Its folder in the checkout.
    pub folder: &'static str,
}

impl Package {
    /// The deployment: the classes and the router in front of them.
    pub const MAILBUS: Self = Self { name: "mailbus-worker", folder: "worker" };
}

/// The release bundle of [`Package::MAILBUS`], as [`provide_of`].
///
/// # Errors
/// As there.
pub fn provide(progress: &mut dyn FnMut(&Step)) -> Result<Bundle, Error> {
    provide_of(Package::MAILBUS, progress)
}

/// The release bundle of a package of this checkout, built first if it is stale.
///
/// `progress` hears of each step before it is taken; a bundle that is up to date takes none. Waits
/// for another process that is building.
///
/// # Errors
/// [`Error`] says what could not be had or done, and what to install.
pub fn provide_of(package: Package, progress: &mut dyn FnMut(&Step)) -> Result<Bundle, Error> {
    let checkout = Checkout::of_this_program(package)?;
    let deployment = Deployment::read(&checkout.wrangler_toml())?;
    let _lock = checkout.lock(progress)?;
    let packages = Packages::provide(&checkout, progress)?;
    let compiler = compile::Compiler::provide(progress)?;
    let folder = checkout.bundle_folder();
    if !stamp::is_fresh(&checkout, &compiler, &folder)? {
        let module = compiler.compile(&checkout, progress)?;
        assemble::assemble(&checkout, &packages, &deployment, &module.wasm, &folder, progress)?;
        stamp::write(&checkout, &compiler, &module.sources, module.begun, &folder)?;
    }
    Ok(Bundle { folder, deployment, checkout, packages })
}

impl Bundle {
    /// The folder with `index.js` and `index_bg.wasm`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names, classes and the runtime's date, by `wrangler.toml`.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The runtime that the tests and `mailbus-workerd` start.
    #[must_use]
    pub fn workerd(&self) -> &Path {
        self.packages.workerd()
    }

    /// `wrangler` of the locked version, in the folder of its configuration.
    ///
    /// It runs in the caller's process group: whoever kills the group ends the `workerd` under
    /// `wrangler dev` too.
    #[must_use]
    pub fn wrangler(&self) -> Command {
        let mut command = Command::new("node");
        command.arg(self.packages.wrangler()).current_dir(self.checkout.worker());
        command
    }
}
