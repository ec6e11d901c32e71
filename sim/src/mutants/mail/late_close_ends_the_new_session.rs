//! The close of a socket ends its agent's session, whichever that is by then.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, Connection, MailboxMachine, MailboxStep};

use crate::invariants::one_session;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, asking, calm_mail, handle, planted_mail};
use crate::plan::{Action, Fault, FaultKind, MailAction, Plan, Transport};

pub(super) const MUTANT: Mutant = Mutant {
    name: "late_close_ends_the_new_session",
    source: "spec/rules/refuted.md#a-close-that-ends-the-new-session",
    breaks: one_session::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(end_whatever_lives))),
    plan: originals,
};

fn end_whatever_lives(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let Some(Ask::Disconnect { connection }) = ask_of(event) else {
        return handle(state, host, event);
    };
    let live = state.agents.get(&connection.agent).and_then(|agent| agent.live.as_ref());
    let Some(epoch) = live.map(|live| live.epoch) else { return handle(state, host, event) };
    let connection = Connection { agent: connection.agent.clone(), epoch };
    handle(state, host, &asking(event, Ask::Disconnect { connection }))
}

/// The mail of a seed in which all speak the original's protocol, in two processes each, which die.
fn originals(seed: u64) -> Plan {
    let mut plan = calm_mail(seed);
    for mail in plan.agents.iter_mut().filter_map(|agent| agent.mail.as_mut()) {
        mail.by = Transport::Original;
    }
    for operation in plan.operations.iter_mut().step_by(5) {
        operation.action = Action::Mail(MailAction::DuplicateProcess { for_ms: 8_000 });
    }
    for (number, at_ms) in (4_000..plan.heal_at_ms - 1_000).step_by(4_000).enumerate() {
        let agent = plan.agents[number % plan.agents.len()].agent;
        plan.faults.push(Fault { at_ms, kind: FaultKind::Crash { agent, down_ms: 500 } });
    }
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}
