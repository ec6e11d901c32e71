//! An ack of several messages is answered as if it had settled them all, and settles the first.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Settled};

use crate::invariants::no_delivery_after_settle;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, calm_mail, handle, planted_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "ack_of_many_settles_one",
    source: "spec/rules/mailboxes.md#settling-a-message",
    breaks: no_delivery_after_settle::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(settle_the_first))),
    plan: calm_mail,
};

fn settle_the_first(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let Some(Ask::Ack { agent: name, what: Settled::Seqs(seqs) }) = ask_of(event) else {
        return handle(state, host, event);
    };
    let before = state.agents.get(name).map(|agent| agent.inbox.clone());
    let step = handle(state, host, event);
    if let (Some(before), Some(agent)) = (before, state.agents.get_mut(name)) {
        for seq in seqs.iter().skip(1) {
            let open = before.open.get(seq).filter(|_| !agent.inbox.open.contains_key(seq));
            if let Some(open) = open {
                agent.inbox.open.insert(*seq, *open);
                agent.inbox.bytes += open.bytes;
            }
        }
    }
    step
}
