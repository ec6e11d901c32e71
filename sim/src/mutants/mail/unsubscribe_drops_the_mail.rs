//! An agent that unsubscribes loses what it was addressed before.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};
use mailbus_spec::{HostTime, Ordinal};

use crate::invariants::mail_liveness;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, handle, planted_mail, rough_mail, take};

pub(super) const MUTANT: Mutant = Mutant {
    name: "unsubscribe_drops_the_mail",
    source: "spec/rules/refuted.md#subscriptions-that-filter-deliveries",
    breaks: mail_liveness::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(drop_unwanted))),
    plan: rough_mail,
};

fn drop_unwanted(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let step = handle(state, host, event);
    if let Some(Ask::Unsubscribe { agent, .. }) = ask_of(event)
        && let Some(agent) = state.agents.get_mut(agent)
    {
        let entries = &state.log.entries;
        let unwanted = agent.inbox.open.keys().filter(|seq| {
            let logged = entries.get(seq);
            logged.is_some_and(|logged| logged.to.is_none() && !agent.wants(&logged.message))
        });
        let unwanted: Vec<Ordinal> = unwanted.copied().collect();
        unwanted.into_iter().for_each(|seq| take(agent, seq));
    }
    step
}
