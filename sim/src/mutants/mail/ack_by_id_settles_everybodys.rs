//! An ack names an id, and settles the message of that id for everybody.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Settled};
use mailbus_spec::{HostTime, Ordinal};

use crate::invariants::no_loss;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, handle, planted_mail, rough_mail, take};

pub(super) const MUTANT: Mutant = Mutant {
    name: "ack_by_id_settles_everybodys",
    source: "spec/rules/refuted.md#an-ack-of-somebody-elses-message",
    breaks: no_loss::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(settle_for_all))),
    plan: rough_mail,
};

fn settle_for_all(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let step = handle(state, host, event);
    if let Some(Ask::Ack { what: Settled::Id(id), .. }) = ask_of(event) {
        let named = state.log.entries.iter();
        let named = named.filter(|(_, logged)| logged.message.id.as_ref() == Some(id));
        let named: Vec<Ordinal> = named.map(|(seq, _)| *seq).collect();
        for agent in state.agents.values_mut() {
            named.iter().for_each(|seq| take(agent, *seq));
        }
    }
    step
}
