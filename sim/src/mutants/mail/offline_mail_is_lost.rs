//! A message reaches whoever has a socket when it is accepted, and nobody else.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, MailboxMachine, MailboxStep, Outcome};

use crate::invariants::mail_liveness;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, handle, planted_mail, rough_mail, take};

pub(super) const MUTANT: Mutant = Mutant {
    name: "offline_mail_is_lost",
    source: "spec/rules/refuted.md#offline-mail-that-is-never-delivered",
    breaks: mail_liveness::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(keep_for_the_present))),
    plan: rough_mail,
};

fn keep_for_the_present(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let step = handle(state, host, event);
    if let Some(Ok(Outcome::Accepted { seq, .. })) = step.reply.as_ref().map(|r| &r.answer) {
        let absent = state.agents.values_mut().filter(|agent| agent.live.is_none());
        absent.for_each(|agent| take(agent, *seq));
    }
    step
}
