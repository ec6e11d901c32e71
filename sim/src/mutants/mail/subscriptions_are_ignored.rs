//! What is published goes to everybody.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Pattern, Patterns};

use crate::invariants::no_phantom;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, calm_mail, handle, planted_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "subscriptions_are_ignored",
    source: "spec/rules/refuted.md#subscriptions-that-are-ignored",
    breaks: no_phantom::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(publish_to_all))),
    plan: calm_mail,
};

fn publish_to_all(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let Some(Ask::Publish { .. }) = ask_of(event) else { return handle(state, host, event) };
    let known = |state: &mut MailboxMachine, types: &mut dyn FnMut(&mut Option<Patterns>)| {
        let agents = state.agents.values_mut();
        agents.filter_map(|agent| agent.registration.as_mut()).for_each(|r| types(&mut r.types));
    };
    let mut kept = Vec::new();
    known(state, &mut |types| {
        kept.push(types.replace(Patterns::from([Pattern::everything()])));
    });
    let step = handle(state, host, event);
    let mut kept = kept.into_iter();
    known(state, &mut |types| *types = kept.next().flatten());
    step
}
