//! The nested cargo run that compiles the worker to WebAssembly.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::checkout::Checkout;
use super::command::run;
use super::{Error, Step};

/// Target that the Workers runtime executes.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

const INSTALL_RUST: &str = "Rust from rustup.rs";
const NEEDS_CRATES: &str = "a first build needs crates.io";

/// The settings that make the module small. They travel with this command, so that a native release
/// build compiles fast and keeps its symbols; stripping is left to wasm-opt.
const SIZE: [&str; 4] = [
    "profile.release.lto=\"fat\"",
    "profile.release.codegen-units=1",
    "profile.release.opt-level=\"s\"",
    "profile.release.debug=false",
];

/// Variables of cargo and rustc that say where things are, not how they are built.
const KEPT: [&str; 8] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_SOURCE_",
    "RUSTUP_HOME",
    "RUSTUP_DIST_",
    "RUSTUP_TOOLCHAIN",
];

/// The Rust compiler with the WebAssembly target.
#[derive(Clone, Debug)]
pub(super) struct Compiler {
    version: String,
}

/// A compiled module, before wasm-bindgen has seen it.
#[derive(Clone, Debug)]
pub(super) struct Module {
    /// The file.
    pub wasm: PathBuf,
    /// Every source it was compiled from, as cargo's dep-info lists them.
    pub sources: Vec<PathBuf>,
    /// Time at which the compiler began to read them, by the clock of the file system.
    pub begun: SystemTime,
}

impl Compiler {
    /// Finds the compiler, and lets rustup add the target if it is not there.
    pub(super) fn provide(progress: &mut dyn FnMut(&Step)) -> Result<Self, Error> {
        let broken = "is the Rust installation intact?";
        let version = run(clean("rustc").arg("-vV"), INSTALL_RUST, broken)?;
        let folder = run(
            clean("rustc").args(["--target", TARGET, "--print", "target-libdir"]),
            INSTALL_RUST,
            broken,
        )?;
        if !Path::new(folder.trim()).is_dir() {
            progress(&Step::InstallTarget);
            run(
                clean("rustup").args(["target", "add", TARGET]),
                "rustup, or the target wasm32-unknown-unknown for your Rust",
                "install the target by hand",
            )?;
        }
        Ok(Self { version })
    }

    /// `rustc -vV`, all of it: another compiler makes another module.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn compile(
        &self,
        checkout: &Checkout,
        progress: &mut dyn FnMut(&Step),
    ) -> Result<Module, Error> {
        progress(&Step::Compile);
        let target_folder = checkout.target_folder();
        let begun = touch(&target_folder.join("begun"))?;
        let mut cargo = clean("cargo");
        cargo
            .args(["build", "--release", "--lib", "--locked"])
            .args(["--package", checkout.package().name])
            .args(["--target", TARGET])
            .arg("--target-dir")
            .arg(&target_folder)
            .args(SIZE.iter().flat_map(|setting| ["--config", setting]))
            // The macros then use the futures of `js-sys`, as they do under `worker-build`.
            .env("WASM_BINDGEN_USE_JS_SYS", "1")
            .current_dir(checkout.root());
        run(&mut cargo, INSTALL_RUST, NEEDS_CRATES)?;
        let release = target_folder.join(TARGET).join("release");
        let stem = release.join(checkout.package().name.replace('-', "_"));
        let sources = sources(&stem.with_extension("d"))?;
        Ok(Module { wasm: stem.with_extension("wasm"), sources, begun })
    }
}

/// A command of the toolchain without what the cargo around it has set: coverage flags or a wrapper
/// would change the module, a target folder would make it wait for the outer build's lock.
fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_toolchain = ["CARGO", "RUST", "__CARGO"].iter().any(|start| text.starts_with(start));
        if of_toolchain && !KEPT.iter().any(|kept| text.starts_with(kept)) {
            command.env_remove(&name);
        }
    }
    command
}

/// The file system's own time, which is what files' ages can be compared with.
fn touch(path: &Path) -> Result<SystemTime, Error> {
    std::fs::write(path, "").map_err(Error::file("write", path))?;
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.map_err(Error::file("read", path))
}

/// Reads a dep-info file: `output: source source …`, blanks within a path escaped.
fn sources(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    match text.lines().next().and_then(|line| line.split_once(": ")) {
        Some((_, list)) => Ok(split_paths(list)),
        None => Err(Error::malformed(path, "is no dep-info")),
    }
}

fn split_paths(list: &str) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    let mut word = String::new();
    let mut letters = list.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.next_if_eq(&' ').is_some() => word.push(' '),
            ' ' => sources.push(PathBuf::from(std::mem::take(&mut word))),
            other => word.push(other),
        }
    }
    sources.push(PathBuf::from(word));
    sources.retain(|source| !source.as_os_str().is_empty());
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_blank_is_one_path() {
        let sources = split_paths(r"/a/lib.rs /my\ code/b.sql  /c\d.rs");
        assert_eq!(sources, ["/a/lib.rs", "/my code/b.sql", r"/c\d.rs"].map(PathBuf::from));
    }

    #[test]
    fn a_nested_run_keeps_where_things_are_and_drops_how_they_are_built() {
        let kept = |name: &str| KEPT.iter().any(|kept| name.starts_with(kept));
        for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_NET_OFFLINE"] {
            assert!(kept(name), "{name}");
        }
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_TARGET_DIR"] {
            assert!(!kept(name), "{name}");
        }
    }
}
