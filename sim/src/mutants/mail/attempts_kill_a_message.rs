//! A message is given up after five deliveries, failed or not.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};
use mailbus_spec::{HostTime, limits};

use crate::invariants::no_innocent_dead;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, handle, hostile_mail, planted_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "attempts_kill_a_message",
    source: "spec/rules/refuted.md#deliveries-that-kill-a-message",
    breaks: no_innocent_dead::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(count_attempts))),
    plan: hostile_mail,
};

fn count_attempts(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    if let Some(Ask::Nack { agent, seq, .. }) = ask_of(event)
        && let Some(agent) = state.agents.get_mut(agent)
        && let Some(open) = agent.inbox.open.get_mut(seq)
        && open.attempts + 1 >= limits::MAX_DELIVERIES
    {
        open.failures = limits::MAX_DELIVERIES - 1;
    }
    handle(state, host, event)
}
