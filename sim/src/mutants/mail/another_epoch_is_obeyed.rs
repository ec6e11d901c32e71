//! A frame is taken at its agent's name: what a replaced session still sends, its acks too, has its
//! effect.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, Connection, MailboxMachine, MailboxStep};

use crate::invariants::one_session;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, handle, planted_mail, rough_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "another_epoch_is_obeyed",
    source: "spec/rules/refuted.md#frames-of-an-older-epoch",
    breaks: one_session::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(obey_the_name))),
    plan: rough_mail,
};

fn obey_the_name(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let Event::Command(Command { over: Some(over), ask }) = event else {
        return handle(state, host, event);
    };
    let live = state.agents.get(&over.agent).and_then(|agent| agent.live.as_ref());
    let over = live.map(|live| Connection { agent: over.agent.clone(), epoch: live.epoch });
    handle(state, host, &Event::Command(Command { over, ask: ask.clone() }))
}
