//! Mailboxes: the systems, and many agents at once.

mod concurrent;
mod native;
mod served;
mod spelling;

use libtest_mimic::Trial;
use mailbus_spec::mailbox::MailboxMachine;

use crate::native::InThisProcess;
use crate::served::{Program, Serve};
use crate::trials::{Client, Model, differential_trials, script_trials, scripts};

/// A client of mailboxes. Commands over a session are frames, all others requests.
#[derive(Clone, Copy)]
pub struct Mailboxes;

impl Client for Mailboxes {
    type Service = MailboxMachine;

    fn name(self, system: &str) -> String {
        format!("mailbox-{system}")
    }
}

/// All trials of mailboxes.
pub fn trials() -> Vec<Trial> {
    let scripts = scripts::<MailboxMachine>();
    let mut trials = script_trials(Model(Mailboxes), &scripts);
    trials.extend(script_trials(InThisProcess(Mailboxes), &scripts));
    trials.extend(differential_trials(InThisProcess(Mailboxes), 0..1_000, 100));
    for program in Program::BOTH {
        let serve = Serve { program, client: Mailboxes };
        trials.extend(script_trials(serve, &scripts));
        trials.extend(differential_trials(serve, 2_000..2_050, 25));
        trials.push(concurrent::trial(serve));
    }
    trials
}
