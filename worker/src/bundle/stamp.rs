//! Stamp of a bundle: what it was made from and what it came to, in the format of `sha256sum`.
//!
//! The inputs are the sources that cargo's dep-info names (so an edit to native code rebuilds
//! nothing), the manifests and locks, the recipe in this folder, and the compiler's version. The
//! outputs are listed too: whoever runs `worker-build` into the same folder gets his bundle, and the
//! tests get theirs back.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::Error;
use super::assemble::{SCRIPT, WASM};
use super::checkout::Checkout;
use super::compile::Compiler;

const NAME: &str = "stamp";

/// Inputs that no dep-info names. A file that is not there counts as what it is: absent.
const MANIFESTS: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "spec/Cargo.toml",
    "worker/Cargo.toml",
    "worker/package-lock.json",
    ".cargo/config.toml",
];
const RECIPE: &str = "worker/src/bundle";

/// True if the bundle in `folder` is what its sources would give again.
pub(super) fn is_fresh(
    checkout: &Checkout,
    compiler: &Compiler,
    folder: &Path,
) -> Result<bool, Error> {
    let Ok(stamp) = fs::read_to_string(folder.join(NAME)) else { return Ok(false) };
    let Some(lines) = stamp.strip_prefix(&header(compiler)) else { return Ok(false) };
    for line in lines.lines() {
        let Some((hash, path)) = line.split_once("  ") else { return Ok(false) };
        if hash_of(&checkout.root().join(path))? != hash {
            return Ok(false);
        }
    }
    Ok(!lines.is_empty())
}

/// Writes down what the bundle in `folder` was made from; last, so that a stamp means a whole bundle.
///
/// An input that was edited since `begun` may not be what was compiled: its line matches nothing, and
/// the next caller builds again.
pub(super) fn write(
    checkout: &Checkout,
    compiler: &Compiler,
    sources: &[PathBuf],
    begun: SystemTime,
    folder: &Path,
) -> Result<(), Error> {
    let root = checkout.root();
    let mut inputs: Vec<PathBuf> = MANIFESTS.iter().map(|name| root.join(name)).collect();
    inputs.extend([checkout.wrangler_toml(), checkout.folder().join("Cargo.toml")]);
    inputs.extend(sources.iter().map(|source| root.join(source)));
    inputs.extend(recipe(&root.join(RECIPE))?);
    inputs.sort();
    inputs.dedup();

    let mut stamp = header(compiler);
    let mut add = |hash: String, file: &Path| {
        let shown = file.strip_prefix(root).unwrap_or(file);
        let _ = writeln!(stamp, "{hash}  {}", shown.display());
    };
    for input in inputs {
        let edited = fs::metadata(&input).and_then(|metadata| metadata.modified());
        let hash = match edited {
            Ok(edited) if edited >= begun => "edited-meanwhile".to_owned(),
            _ => hash_of(&input)?,
        };
        add(hash, &input);
    }
    for output in [folder.join(SCRIPT), folder.join(WASM)] {
        add(hash_of(&output)?, &output);
    }
    let path = folder.join(NAME);
    fs::write(&path, stamp).map_err(Error::file("write", &path))
}

fn header(compiler: &Compiler) -> String {
    compiler.version().lines().fold(String::new(), |header, line| header + "# " + line + "\n")
}

fn recipe(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::file("read", folder))?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(Error::file("read", folder)))
        .collect()
}

fn hash_of(path: &Path) -> Result<String, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok("absent".to_owned()),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}
