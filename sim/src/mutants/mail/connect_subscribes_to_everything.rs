//! A session that names no types is subscribed to everything, whatever its agent had chosen.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Pattern, Patterns};

use crate::invariants::no_phantom;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, asking, calm_mail, handle, planted_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "connect_subscribes_to_everything",
    source: "spec/rules/refuted.md#subscriptions-that-filter-deliveries",
    breaks: no_phantom::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(connect_to_all))),
    plan: calm_mail,
};

fn connect_to_all(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let Some(Ask::Connect { agent, session, window, types: None, last_seen }) = ask_of(event)
    else {
        return handle(state, host, event);
    };
    let ask = Ask::Connect {
        agent: agent.clone(),
        session: session.clone(),
        window: *window,
        types: Some(Patterns::from([Pattern::everything()])),
        last_seen: *last_seen,
    };
    handle(state, host, &asking(event, ask))
}
