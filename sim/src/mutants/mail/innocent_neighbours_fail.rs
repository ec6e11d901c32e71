//! The end of a session is a failure of everything that was in flight to it.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};
use mailbus_spec::{HostTime, limits};

use crate::invariants::no_innocent_dead;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, flights, handle, planted_mail};
use crate::plan::mail::{HandlerScript, MailAction, Transport};
use crate::plan::{Action, Plan};

pub(super) const MUTANT: Mutant = Mutant {
    name: "innocent_neighbours_fail",
    source: "spec/rules/refuted.md#deliveries-that-kill-a-message",
    breaks: no_innocent_dead::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(fail_all_in_flight))),
    plan: many_ends,
};

fn fail_all_in_flight(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let Some(Ask::Disconnect { connection }) = ask_of(event) else {
        return handle(state, host, event);
    };
    let name = connection.agent.clone();
    let in_flight = if state.is_live(connection) { flights(state, &name) } else { [].into() };
    let working =
        state.agents.get(&name).and_then(|agent| agent.live.as_ref()).and_then(|live| live.working);
    let step = handle(state, host, event);
    if let Some(agent) = state.agents.get_mut(&name) {
        for seq in in_flight.into_iter().filter(|seq| Some(*seq) != working) {
            if let Some(open) = agent.inbox.open.get_mut(&seq) {
                // The next one is its last.
                open.failures = (open.failures + 1).min(limits::MAX_DELIVERIES - 1);
            }
        }
    }
    step
}

/// The mail of a seed with handlers that die, and others that fail, of agents with wide windows.
fn many_ends(seed: u64) -> Plan {
    let mut plan = super::calm_mail(seed);
    let sendings = plan.operations.iter_mut().zip([0, 1, 2].into_iter().cycle());
    for (operation, which) in sendings {
        if let Action::Mail(MailAction::Send { script, copies, .. }) = &mut operation.action {
            *script = match which {
                0 => HandlerScript::Crash { times: 2 },
                _ => HandlerScript::Fail { times: 2 },
            };
            *copies = (*copies).min(2);
        }
    }
    for mail in plan.agents.iter_mut().filter_map(|agent| agent.mail.as_mut()) {
        mail.by = Transport::Bus { messages: 200, bytes: 1 << 20, handlers: 1 };
    }
    plan
}
