//! A window counts messages, and whatever bytes they have.

use mailbus_spec::HostTime;
use mailbus_spec::limits::WINDOW_MAX_BYTES;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Window};

use crate::invariants::window;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, asking, calm_mail, handle, planted_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "window_counts_messages_alone",
    source: "spec/rules/refuted.md#a-window-without-bytes",
    breaks: window::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(widen))),
    plan: calm_mail,
};

fn widen(state: &mut MailboxMachine, host: HostTime, event: &Event<Command>) -> MailboxStep {
    let Some(Ask::Connect { agent, session, window: Some(window), types, last_seen }) =
        ask_of(event)
    else {
        return handle(state, host, event);
    };
    let ask = Ask::Connect {
        agent: agent.clone(),
        session: session.clone(),
        window: Window::new(window.messages(), WINDOW_MAX_BYTES),
        types: types.clone(),
        last_seen: *last_seen,
    };
    handle(state, host, &asking(event, ask))
}
