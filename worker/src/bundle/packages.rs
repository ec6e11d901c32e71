//! The tools that npm brings, in the exact versions of `worker/package-lock.json`.
//!
//! The packages' own install scripts are not run: they only move binaries that are there already,
//! or download what is not. So the binaries are taken from the packages of this platform.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::checkout::Checkout;
use super::command::run;
use super::{Error, Step};

/// The packages this project calls by name.
const TOOLS: [&str; 4] = ["binaryen", "esbuild", "workerd", "wrangler"];
/// `wrangler` of the locked version refuses older ones.
const NODE_MAJOR: u32 = 20;
const INSTALL_NODE: &str = "Node.js 20.3 or newer with npm";

/// The installed tools.
#[derive(Clone, Debug)]
pub(super) struct Packages {
    wasm_opt: PathBuf,
    esbuild: PathBuf,
    workerd: PathBuf,
    wrangler: PathBuf,
}

impl Packages {
    /// Finds the locked versions in `worker/node_modules`, or lets npm put them there.
    pub(super) fn provide(
        checkout: &Checkout,
        progress: &mut dyn FnMut(&Step),
    ) -> Result<Self, Error> {
        let folder = checkout.worker().join("node_modules");
        let locked = locked_versions(&checkout.worker().join("package-lock.json"))?;
        let current =
            locked.iter().all(|(name, version)| installed(&folder, name).as_ref() == Some(version));
        if !current {
            check_node()?;
            let names = locked.iter().map(|(name, version)| format!("{name} {version}"));
            progress(&Step::InstallPackages(names.collect()));
            run(
                Command::new("npm")
                    .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                    .current_dir(checkout.worker()),
                INSTALL_NODE,
                "it needs the npm registry",
            )?;
        }
        Self::find(&folder)
    }

    fn find(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            wasm_opt: existing(folder, "binaryen/bin/wasm-opt")?,
            esbuild: platform_binary(folder, "@esbuild", "", "bin/esbuild")?,
            workerd: platform_binary(folder, "@cloudflare", "workerd-", "bin/workerd")?,
            wrangler: existing(folder, "wrangler/bin/wrangler.js")?,
        })
    }

    /// A script for Node.
    pub(super) fn wasm_opt(&self) -> &Path {
        &self.wasm_opt
    }

    pub(super) fn esbuild(&self) -> &Path {
        &self.esbuild
    }

    pub(super) fn workerd(&self) -> &Path {
        &self.workerd
    }

    /// A script for Node.
    pub(super) fn wrangler(&self) -> &Path {
        &self.wrangler
    }
}

/// Runs a script of a package.
pub(super) fn run_node(command: &mut Command, advice: &'static str) -> Result<String, Error> {
    run(command, INSTALL_NODE, advice)
}

fn check_node() -> Result<(), Error> {
    let found = run(Command::new("node").arg("--version"), INSTALL_NODE, "is Node.js intact?")?;
    let major = found.trim().trim_start_matches('v').split('.').next();
    match major.and_then(|digits| digits.parse::<u32>().ok()) {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        _ => Err(Error::OldProgram {
            program: "node",
            found: found.trim().to_owned(),
            advice: INSTALL_NODE,
        }),
    }
}

fn locked_versions(path: &Path) -> Result<Vec<(&'static str, String)>, Error> {
    let lock = read_json(path)?;
    TOOLS
        .iter()
        .map(|name| {
            let version = lock
                .get("packages")
                .and_then(|packages| packages.get(format!("node_modules/{name}")))
                .and_then(|package| package.get("version"))
                .and_then(Value::as_str);
            match version {
                Some(version) => Ok((*name, version.to_owned())),
                None => Err(Error::malformed(path, format!("locks no version of {name}"))),
            }
        })
        .collect()
}

fn installed(folder: &Path, name: &str) -> Option<String> {
    let package = read_json(&folder.join(name).join("package.json")).ok()?;
    package.get("version")?.as_str().map(str::to_owned)
}

fn read_json(path: &Path) -> Result<Value, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    serde_json::from_str(&text).map_err(|reason| Error::malformed(path, reason))
}

fn existing(folder: &Path, file: &str) -> Result<PathBuf, Error> {
    let path = folder.join(file);
    if path.is_file() { Ok(path) } else { Err(missing(folder, file.to_owned())) }
}

/// npm installs of a tool's many platform packages only the one that fits: there is one to find.
fn platform_binary(folder: &Path, scope: &str, prefix: &str, file: &str) -> Result<PathBuf, Error> {
    let scope_folder = folder.join(scope);
    let entries = fs::read_dir(&scope_folder).map_err(Error::file("read", &scope_folder))?;
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(file))
        .find(|path| path.is_file())
        .ok_or_else(|| missing(folder, format!("{scope}/{prefix}*/{file}")))
}

fn missing(folder: &Path, package: String) -> Error {
    Error::MissingPackage { package, folder: folder.to_path_buf() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_names_every_tool_and_no_download_address() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("package-lock.json");
        let names = locked_versions(&path).unwrap().into_iter().map(|(name, _)| name);
        assert!(names.eq(TOOLS));
        assert!(!fs::read_to_string(&path).unwrap().contains("\"resolved\""));
    }
}
