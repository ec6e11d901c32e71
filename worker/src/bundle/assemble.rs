//! From the compiled module to the two files that a runtime loads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailbus_spec::wire::Problem;
use wasm_bindgen_cli_support::Bindgen;

use super::checkout::Checkout;
use super::command::run;
use super::packages::{Packages, run_node};
use super::{Deployment, Error, Step};

/// The script; a module that imports the other file.
pub(crate) const SCRIPT: &str = "index.js";
/// The compiled code.
pub(crate) const WASM: &str = "index_bg.wasm";

const SHIM: &str = include_str!("shim.js");

/// WebAssembly features of the module. Named one by one: with all features wasm-opt may choose an
/// encoding that the runtime does not know yet.
const FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-exception-handling",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Makes the bundle beside its place and moves it there file by file, so that whoever reads the
/// folder never sees half a file.
pub(super) fn assemble(
    checkout: &Checkout,
    packages: &Packages,
    deployment: &Deployment,
    wasm: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(&Step),
) -> Result<(), Error> {
    let staging = checkout.target_folder().join("staging");
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(Error::file("clear", &staging))?;
    }
    fs::create_dir_all(&staging).map_err(Error::file("create", &staging))?;
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;

    progress(&Step::Bind);
    bind(wasm, &staging)?;
    progress(&Step::Optimise);
    let optimised = optimise(packages, &staging)?;
    progress(&Step::Join);
    let script = join(packages, deployment, &staging)?;

    for (from, name) in [(optimised, WASM), (script, SCRIPT)] {
        let to = folder.join(name);
        // Staging may lie on another file system, from which nothing can be renamed to here.
        let beside = folder.join(format!(".{name}"));
        fs::copy(&from, &beside).map_err(Error::file("write", &beside))?;
        fs::rename(&beside, &to).map_err(Error::file("write", &to))?;
    }
    Ok(())
}

/// The same settings as `worker-build`'s.
fn bind(wasm: &Path, staging: &Path) -> Result<(), Error> {
    let mut bindgen = Bindgen::new();
    let bound = bindgen.module(true).and_then(|bindgen| {
        bindgen
            .input_path(wasm)
            .out_name("index")
            .typescript(false)
            .omit_default_module_path(false)
            .reset_state_function(true)
            .force_enable_abort_handler(true)
            .generate(staging)
    });
    bound.map_err(|reason| Error::Bind(format!("{reason:#}")))
}

fn optimise(packages: &Packages, staging: &Path) -> Result<PathBuf, Error> {
    let optimised = staging.join("optimised.wasm");
    let mut command = Command::new("node");
    command
        .arg(packages.wasm_opt())
        .arg(staging.join(WASM))
        .arg("-o")
        .arg(&optimised)
        // The names stay: a trap in production then says where.
        .args(["-Os", "--debuginfo"])
        .args(FEATURES);
    run_node(&mut command, "please report this")?;
    Ok(optimised)
}

fn join(packages: &Packages, deployment: &Deployment, staging: &Path) -> Result<PathBuf, Error> {
    let shim = staging.join("shim.js");
    let classes = deployment
        .bindings()
        .iter()
        .map(|binding| format!("export const {0} = durable(module.{0});\n", binding.class));
    let internal = format!("const INTERNAL = {};\n", Problem::internal().to_json());
    let text = [SHIM.to_owned(), internal].into_iter().chain(classes).collect::<String>();
    fs::write(&shim, text).map_err(Error::file("write", &shim))?;

    let script = staging.join("joined.js");
    let mut command = Command::new(packages.esbuild());
    command
        .args(["shim.js", "--bundle", "--minify", "--format=esm", "--log-level=warning"])
        .args(["--external:./index_bg.wasm", "--external:cloudflare:*", "--outfile=joined.js"])
        .current_dir(staging);
    run(&mut command, "esbuild", "please report this")?;

    // The runtimes give the compiled module for a plain import; not all know `import source` yet.
    let text = fs::read_to_string(&script).map_err(Error::file("read", &script))?;
    fs::write(&script, text.replace("import source ", "import "))
        .map_err(Error::file("write", &script))?;
    Ok(script)
}
