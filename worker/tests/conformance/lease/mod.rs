//! Leases: the systems, and many clients at once.

mod concurrent;
mod native;
mod served;
mod spelling;

use libtest_mimic::Trial;
use mailbus_spec::lease::{Command, LeaseMachine};
use mailbus_spec::{AgentId, Holder, SessionId};

use crate::native::InThisProcess;
use crate::served::{Program, Serve};
use crate::trials::{Client, Model, differential_trials, script_trials, scripts};

/// Ways in which commands reach an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Each as an HTTP request.
    Requests,
    /// Each as a frame over a socket of its holder.
    Frames,
}

/// A client of leases that speaks in one way.
#[derive(Clone, Copy)]
pub struct Leases(pub Way);

impl Client for Leases {
    type Service = LeaseMachine;

    fn name(self, system: &str) -> String {
        match self.0 {
            Way::Requests => system.to_owned(),
            Way::Frames => format!("{system}-frames"),
        }
    }
}

/// All trials of leases.
pub fn trials() -> Vec<Trial> {
    let scripts = scripts::<LeaseMachine>();
    let (requests, frames) = (Leases(Way::Requests), Leases(Way::Frames));
    let mut trials = script_trials(Model(requests), &scripts);
    for client in [requests, frames] {
        trials.extend(script_trials(InThisProcess(client), &scripts));
    }
    trials.extend(differential_trials(InThisProcess(requests), 0..1_000, 100));
    trials.extend(differential_trials(InThisProcess(frames), 1_000..1_200, 100));
    for client in [requests, frames] {
        for program in Program::BOTH {
            let serve = Serve { program, client };
            trials.extend(script_trials(serve, &scripts));
            trials.extend(differential_trials(serve, 2_000..2_050, 25));
        }
    }
    let concurrent = |program| concurrent::trial(Serve { program, client: requests });
    trials.extend(Program::BOTH.map(concurrent));
    trials
}

/// Owner of the socket that a command goes over; questions and an admin's commands have one of
/// their own.
fn speaker(command: &Command) -> Holder {
    match command {
        Command::Acquire(acquire) => acquire.holder().clone(),
        Command::Renew { holder, .. }
        | Command::Release { holder, .. }
        | Command::Cancel { holder, .. } => holder.clone(),
        _ => Holder {
            agent: AgentId::new("observer").expect("a valid name"),
            session: SessionId::original(),
        },
    }
}
