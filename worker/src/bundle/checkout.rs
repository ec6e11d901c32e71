//! Places of things in the checkout, and the lock that lets one process at a time change them.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::{Error, Package, Step};

/// The checkout that this program was built from, and which of its packages is bundled.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    root: PathBuf,
    worker: PathBuf,
    package: Package,
}

impl Checkout {
    pub(super) fn of_this_program(package: Package) -> Result<Self, Error> {
        let worker = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = worker.parent().unwrap_or(&worker).to_path_buf();
        let checkout = Self { root, worker, package };
        if checkout.wrangler_toml().is_file() && checkout.root.join("Cargo.lock").is_file() {
            Ok(checkout)
        } else {
            Err(Error::NoCheckout(checkout.folder()))
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the tools from npm.
    pub(super) fn worker(&self) -> &Path {
        &self.worker
    }

    pub(super) fn package(&self) -> Package {
        self.package
    }

    /// The folder of the package that is bundled.
    pub(super) fn folder(&self) -> PathBuf {
        self.root.join(self.package.folder)
    }

    pub(super) fn wrangler_toml(&self) -> PathBuf {
        self.folder().join("wrangler.toml")
    }

    /// Folder of the bundle, where `wrangler.toml` expects the script, too.
    pub(super) fn bundle_folder(&self) -> PathBuf {
        self.folder().join("build")
    }

    /// The nested build's own target folder: in the outer one it would wait for the lock of the
    /// cargo that runs the tests.
    pub(super) fn target_folder(&self) -> PathBuf {
        self.root.join("target").join("bundle")
    }

    /// Excludes every other process of this checkout until the file is dropped.
    pub(super) fn lock(&self, progress: &mut dyn FnMut(&Step)) -> Result<File, Error> {
        let folder = self.target_folder();
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let path = folder.join("lock");
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => progress(&Step::Wait),
            Err(TryLockError::Error(source)) => return Err(Error::file("lock", &path)(source)),
        }
        file.lock().map_err(Error::file("lock", &path))?;
        Ok(file)
    }
}
