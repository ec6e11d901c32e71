//! What an event pushes leaves in the order of a set that has none: here, the latest first.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, MailboxMachine, MailboxStep};

use crate::invariants::order;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, calm_mail, handle, planted_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "pushes_in_no_order",
    source: "spec/rules/mailboxes.md#the-order-of-pushes",
    breaks: order::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(reverse))),
    plan: calm_mail,
};

fn reverse(state: &mut MailboxMachine, host: HostTime, event: &Event<Command>) -> MailboxStep {
    let mut step = handle(state, host, event);
    step.pushes.reverse();
    step
}
