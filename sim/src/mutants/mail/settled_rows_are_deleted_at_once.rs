//! A message that everybody has settled is deleted at once: its id is free for the sender's retry.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};

use crate::invariants::accept_once;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, handle, held, planted_mail, rough_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "settled_rows_are_deleted_at_once",
    source: "spec/rules/refuted.md#a-repeatable-message-that-was-collected",
    breaks: accept_once::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(delete_what_is_settled))),
    plan: rough_mail,
};

fn delete_what_is_settled(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let step = handle(state, host, event);
    if let Some(Ask::Ack { .. }) = ask_of(event) {
        let held = held(state);
        state.log.entries.retain(|seq, _| held.contains(seq));
    }
    step
}
