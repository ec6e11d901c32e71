//! A session that negotiated nothing settles by being sent to, at once: what was on its way when its
//! socket broke is lost.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, MailboxMachine, MailboxStep};
use mailbus_spec::{HostTime, Ordinal};

use crate::invariants::mail_liveness;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, handle, planted_mail, rough_mail, take};

pub(super) const MUTANT: Mutant = Mutant {
    name: "pushed_is_settled",
    source: "spec/rules/refuted.md#silence-counted-from-the-accept",
    breaks: mail_liveness::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(settle_what_is_pushed))),
    plan: rough_mail,
};

fn settle_what_is_pushed(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let step = handle(state, host, event);
    let entries = &state.log.entries;
    for agent in state.agents.values_mut() {
        let silent = agent.live.iter().filter(|live| live.window.is_none());
        let sent = silent
            .flat_map(|live| live.flights.keys())
            .filter(|seq| entries.get(seq).is_some_and(|logged| !logged.message.ack_required));
        let sent: Vec<Ordinal> = sent.copied().collect();
        sent.into_iter().for_each(|seq| take(agent, seq));
    }
    step
}
