//! Goal: the production code is what the specification says, natively and as the release module in
//! workerd, alone and under many clients at once.
//!
//! Method: one suite (`mailbus_conformance`) for every system. Each trial is named
//! `system::kind::case`; the systems of mailboxes begin with `mailbox-`. What a system cannot do is listed as
//! ignored, with the reason.
//!
//! ```text
//! cargo test -p mailbus-worker --test conformance                    all of it
//! cargo test -p mailbus-worker --test conformance -- native::script  some of it
//! ```

mod support;

#[path = "conformance/lease/mod.rs"]
mod lease;
#[path = "conformance/mailbox/mod.rs"]
mod mailbox;
#[path = "conformance/native.rs"]
mod native;
#[path = "conformance/served.rs"]
mod served;
#[path = "conformance/spelling.rs"]
mod spelling;
#[path = "conformance/trials.rs"]
mod trials;
#[path = "conformance/world.rs"]
mod world;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = lease::trials();
    trials.extend(mailbox::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}
