//! The release bundle, for tests that run it.

use std::sync::OnceLock;

use libtest_mimic::Failed;
use mailbus_worker::bundle::{self, Bundle};

/// The release bundle, built once; each step of it is one line.
pub fn release_bundle() -> Result<Bundle, Failed> {
    static BUNDLE: OnceLock<Result<Bundle, String>> = OnceLock::new();
    let built = BUNDLE.get_or_init(|| {
        let bundle = bundle::provide(&mut |step| eprintln!("set-up: {step}"));
        if let Ok(bundle) = &bundle {
            eprintln!("set-up: {} runs {}", bundle.workerd().display(), bundle.folder().display());
        }
        bundle.map_err(|error| error.to_string())
    });
    built.clone().map_err(Failed::from)
}
