//! What a socket keeps is how far its session was sent: that a message was pushed again is forgotten
//! when the object leaves memory, and it is pushed a third time.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, MailboxMachine, MailboxStep};

use crate::invariants::window;
use crate::mutants::Mutant;
use crate::mutants::mail::{handle, planted_mail};
use crate::plan::mail::{HandlerScript, MailAction, Transport};
use crate::plan::{Action, Fault, FaultKind, Plan};
use crate::sut::MailModel;

pub(super) const MUTANT: Mutant = Mutant {
    name: "attachment_forgets_redeliveries",
    source: "spec/rules/refuted.md#an-attachment-without-redeliveries",
    breaks: window::NAME,
    sut: planted_mail(|| Box::new(Forgetful)),
    plan: evictions,
};

struct Forgetful;

impl MailModel for Forgetful {
    fn handle(
        &mut self,
        state: &mut MailboxMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> MailboxStep {
        handle(state, host, event)
    }

    fn woken(&mut self, state: &mut MailboxMachine) {
        for live in state.agents.values_mut().filter_map(|agent| agent.live.as_mut()) {
            live.flights.retain(|_, flight| !flight.again);
        }
    }
}

/// The mail of a seed, much of which fails and is then handled slowly, with narrow windows and an
/// object that often leaves memory.
fn evictions(seed: u64) -> Plan {
    let mut plan = super::calm_mail(seed);
    for operation in plan.operations.iter_mut().step_by(2) {
        if let Action::Mail(MailAction::Send { script, copies, .. }) = &mut operation.action {
            *script = HandlerScript::Fail { times: 2 };
            *copies = 3;
        }
    }
    for mail in plan.agents.iter_mut().filter_map(|agent| agent.mail.as_mut()) {
        mail.by = Transport::Bus { messages: 1, bytes: 10_000, handlers: 1 };
    }
    let evicted = (5_000..plan.heal_at_ms).step_by(700);
    plan.faults.extend(evicted.map(|at_ms| Fault { at_ms, kind: FaultKind::Evict {} }));
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}
