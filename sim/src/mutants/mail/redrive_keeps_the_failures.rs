//! A dead letter that is given a second chance keeps its failures, and dies of the next.

use mailbus_spec::HostTime;
use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};

use crate::invariants::no_innocent_dead;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, calm_mail, handle, planted_mail};
use crate::plan::mail::{HandlerScript, MailAction};
use crate::plan::{Action, Plan};

pub(super) const MUTANT: Mutant = Mutant {
    name: "redrive_keeps_the_failures",
    source: "spec/rules/refuted.md#a-redrive-that-keeps-its-failures",
    breaks: no_innocent_dead::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(keep_failures))),
    plan: redrives,
};

fn keep_failures(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let before = state.clone();
    let step = handle(state, host, event);
    if let Some(Ask::Redrive { agent: name, .. }) = ask_of(event)
        && let (Some(agent), Some(before)) = (state.agents.get_mut(name), before.agents.get(name))
    {
        for (seq, open) in &mut agent.inbox.open {
            if before.failed.contains_key(seq) {
                open.failures = limits::MAX_DELIVERIES - 1;
            }
        }
    }
    step
}

/// The mail of a seed, much of which fails for good, and is given a second chance.
fn redrives(seed: u64) -> Plan {
    let mut plan = calm_mail(seed);
    for (number, operation) in plan.operations.iter_mut().enumerate() {
        match &mut operation.action {
            Action::Mail(MailAction::Send { script, copies, .. }) => {
                *script = HandlerScript::Fail { times: 7 };
                *copies = 1;
            }
            action if number % 2 == 0 => *action = Action::Mail(MailAction::Redrive),
            _ => {}
        }
    }
    plan
}
