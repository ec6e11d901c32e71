//! Goal: the production code is what the specification says, natively and as the release module in
//! workerd, alone and under many clients at once.
//!
//! Method: one suite (`mailbus_conformance`) for every system. Each trial is named
//! `system::kind::case`; the systems of mailboxes begin with `mailbox-`. What a system cannot do is listed as ignored, with the reason.
//!
//! ```text
//! cargo test -p mailbus-worker --test conformance                    all of it
//! cargo test -p mailbus-worker --test conformance -- native::script  some of it
//! ```

mod support;

#[path = "conformance/concurrent.rs"]
mod concurrent;
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

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed};
use mailbus_conformance::{Capabilities, ModelSystem, SystemUnderTest};
use mailbus_spec::lease::LeaseMachine;
use native::{Native, Way};
use served::Serve;
use trials::{Start, differential_trials, script_trials, scripts};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let scripts = scripts::<LeaseMachine>();
    let mut trials = script_trials(Model, &scripts);
    for way in [Way::Requests, Way::Frames] {
        trials.extend(script_trials(way, &scripts));
    }
    trials.extend(differential_trials(Way::Requests, 0..1_000, 100));
    trials.extend(differential_trials(Way::Frames, 1_000..1_200, 100));
    for way in [Way::Requests, Way::Frames] {
        for serve in [Serve::Mailbusd(way), Serve::Workerd(way)] {
            trials.extend(script_trials(serve, &scripts));
            trials.extend(differential_trials(serve, 2_000..2_050, 25));
        }
    }
    for serve in [Serve::Mailbusd(Way::Requests), Serve::Workerd(Way::Requests)] {
        trials.push(concurrent::trial(serve));
    }
    trials.extend(mailbox::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The specification itself: that the suite asks for nothing else.
#[derive(Clone, Copy)]
struct Model;

impl Start for Model {
    type Subject = LeaseMachine;
    type System = ModelSystem<LeaseMachine>;

    fn name(self) -> &'static str {
        "model"
    }

    fn capabilities(self) -> Capabilities {
        SystemUnderTest::<LeaseMachine>::capabilities(&ModelSystem::default())
    }

    async fn start(self) -> Result<Self::System, Failed> {
        Ok(ModelSystem::default())
    }
}

impl Start for Way {
    type Subject = LeaseMachine;
    type System = Native;

    fn name(self) -> &'static str {
        match self {
            Self::Requests => "native",
            Self::Frames => "native-frames",
        }
    }

    fn capabilities(self) -> Capabilities {
        Native::new(self).capabilities()
    }

    async fn start(self) -> Result<Native, Failed> {
        Ok(Native::new(self))
    }
}
