//! Mailboxes: the systems, and many agents at once.

mod concurrent;
pub mod native;
pub mod served;
mod spelling;

use libtest_mimic::{Failed, Trial};
use mailbus_conformance::{Capabilities, ModelSystem, SystemUnderTest};
use mailbus_spec::mailbox::MailboxMachine;

use crate::native::Way;
use crate::served::Serve;
use crate::trials::{Start, differential_trials, script_trials, scripts};
use native::Native;
use served::MailboxServe;

/// All trials of mailboxes.
pub fn trials() -> Vec<Trial> {
    let scripts = scripts::<MailboxMachine>();
    let mut trials = script_trials(Model, &scripts);
    trials.extend(script_trials(InThisProcess, &scripts));
    trials.extend(differential_trials(InThisProcess, 0..1_000, 100));
    for serve in [Serve::Mailbusd(Way::Requests), Serve::Workerd(Way::Requests)] {
        trials.extend(script_trials(MailboxServe(serve), &scripts));
        trials.extend(differential_trials(MailboxServe(serve), 2_000..2_050, 25));
        trials.push(concurrent::trial(MailboxServe(serve)));
    }
    trials
}

/// The specification itself: that the suite asks for nothing else.
#[derive(Clone, Copy)]
struct Model;

impl Start for Model {
    type Subject = MailboxMachine;
    type System = ModelSystem<MailboxMachine>;

    fn name(self) -> &'static str {
        "mailbox-model"
    }

    fn capabilities(self) -> Capabilities {
        SystemUnderTest::<MailboxMachine>::capabilities(&ModelSystem::default())
    }

    async fn start(self) -> Result<Self::System, Failed> {
        Ok(ModelSystem::default())
    }
}

/// The production object natively.
#[derive(Clone, Copy)]
struct InThisProcess;

impl Start for InThisProcess {
    type Subject = MailboxMachine;
    type System = Native;

    fn name(self) -> &'static str {
        "mailbox-native"
    }

    fn capabilities(self) -> Capabilities {
        Native::default().capabilities()
    }

    async fn start(self) -> Result<Native, Failed> {
        Ok(Native::default())
    }
}
