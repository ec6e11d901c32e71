//! A `seq` is the host's time: two messages of one millisecond, or of a host whose clock went back, get
//! the same.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};
use mailbus_spec::{HostTime, Ordinal};

use crate::invariants::accept_once;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, calm_mail, handle, planted_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "seq_from_the_clock_alone",
    source: "spec/rules/refuted.md#ordinals-from-the-clock-alone",
    breaks: accept_once::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(accept_by_the_clock))),
    plan: calm_mail,
};

fn accept_by_the_clock(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    if let Some(Ask::Publish { .. } | Ask::Send { .. }) = ask_of(event) {
        state.last_seq = Ordinal::ZERO;
    }
    handle(state, host, event)
}
