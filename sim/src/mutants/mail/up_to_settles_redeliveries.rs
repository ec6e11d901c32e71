//! An ack settles all that its session was sent up to it, what is on its way for the second time too.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Settled};
use mailbus_spec::{HostTime, Ordinal};

use crate::invariants::mail_liveness;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, calm_mail, flights, handle, planted_mail, take};

pub(super) const MUTANT: Mutant = Mutant {
    name: "up_to_settles_redeliveries",
    source: "spec/rules/refuted.md#up-to-that-takes-redeliveries",
    breaks: mail_liveness::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(settle_up_to))),
    plan: calm_mail,
};

fn settle_up_to(state: &mut MailboxMachine, host: HostTime, event: &Event<Command>) -> MailboxStep {
    let step = handle(state, host, event);
    if let Some(Ask::Ack { agent, what: Settled::Seqs(seqs) }) = ask_of(event) {
        let last = seqs.iter().max().copied().unwrap_or(Ordinal::ZERO);
        let sent = flights(state, agent).into_iter().filter(|seq| *seq <= last);
        let sent: Vec<Ordinal> = sent.collect();
        if let Some(agent) = state.agents.get_mut(agent) {
            sent.into_iter().for_each(|seq| take(agent, seq));
        }
    }
    step
}
