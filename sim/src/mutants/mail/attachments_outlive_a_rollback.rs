//! What sockets keep is set before the event's transaction has ended: of an event that was undone it
//! stays that its messages were sent.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, MailboxMachine, MailboxStep};

use crate::invariants::mail_liveness;
use crate::mutants::Mutant;
use crate::mutants::mail::{handle, planted_mail};
use crate::plan::{Fault, FaultKind, Plan};
use crate::sut::MailModel;
use crate::world::Context;

pub(super) const MUTANT: Mutant = Mutant {
    name: "attachments_outlive_a_rollback",
    source: "spec/rules/refuted.md#effects-inside-a-transaction",
    breaks: mail_liveness::NAME,
    sut: planted_mail(|| Box::new(Hasty)),
    plan: failing_storage,
};

struct Hasty;

impl MailModel for Hasty {
    fn handle(
        &mut self,
        state: &mut MailboxMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> MailboxStep {
        handle(state, host, event)
    }

    fn undone(&mut self, state: &MailboxMachine) {
        Context::current().leaked_mail.replace(Some(state.clone()));
    }

    fn woken(&mut self, state: &mut MailboxMachine) {
        let Some(leaked) = Context::current().leaked_mail.take() else { return };
        for (name, agent) in &mut state.agents {
            let live = leaked.agents.get(name).and_then(|agent| agent.live.as_ref());
            if let (Some(kept), Some(live)) = (&mut agent.live, live)
                && kept.epoch == live.epoch
            {
                kept.flights.clone_from(&live.flights);
            }
        }
    }
}

/// The mail of a seed under a storage that often fails.
fn failing_storage(seed: u64) -> Plan {
    let mut plan = super::calm_mail(seed);
    let fails = (3_000..plan.heal_at_ms - 1_000).step_by(1_300);
    plan.faults.extend(fails.map(|at_ms| {
        let kind = FaultKind::StorageError { statement: 2 };
        Fault { at_ms, kind }
    }));
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}
