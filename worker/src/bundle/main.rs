//! `mailbus-bundle`: builds the release bundle if it is stale. It is wrangler's build command.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match mailbus_worker::bundle::provide(&mut |step| say(&step.to_string())) {
        Ok(bundle) => {
            say(&format!("the bundle is in {}", bundle.folder().display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// One write to a line: wrangler puts its own prefix before each.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("mailbus: {line}\n").as_bytes());
}
