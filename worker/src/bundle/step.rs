//! Steps of the set-up, for a person who waits for them.

use std::fmt;

/// One step of the set-up, told before it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another process is building the same bundle.
    Wait,
    /// npm fetches the named packages.
    InstallPackages(Vec<String>),
    /// rustup fetches the compiler's WebAssembly target.
    InstallTarget,
    /// cargo compiles the worker.
    Compile,
    /// wasm-bindgen writes the JavaScript that talks to the module.
    Bind,
    /// wasm-opt makes the module smaller.
    Optimise,
    /// esbuild makes one script of the generated ones.
    Join,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait => write!(f, "waiting for another process that builds the worker"),
            Self::InstallPackages(packages) => {
                write!(f, "installing from npm: {}", packages.join(", "))
            }
            Self::InstallTarget => write!(f, "installing Rust's target {}", super::compile::TARGET),
            Self::Compile => write!(f, "compiling the worker to WebAssembly"),
            Self::Bind => write!(f, "generating its JavaScript bindings"),
            Self::Optimise => write!(f, "optimising the WebAssembly"),
            Self::Join => write!(f, "joining the scripts"),
        }
    }
}
