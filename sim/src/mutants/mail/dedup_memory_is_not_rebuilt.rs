//! The ids of accepted messages are kept in memory, and an object that wakes does not read them from
//! its log.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Message, Outcome};
use mailbus_spec::{HostTime, Ordinal};

use crate::invariants::accept_once;
use crate::mutants::Mutant;
use crate::mutants::mail::{ask_of, handle, planted_mail, rough_mail};
use crate::sut::MailModel;

pub(super) const MUTANT: Mutant = Mutant {
    name: "dedup_memory_is_not_rebuilt",
    source: "spec/rules/refuted.md#a-repeatable-message-that-was-collected",
    breaks: accept_once::NAME,
    sut: planted_mail(|| Box::new(MemoryAlone::default())),
    plan: rough_mail,
};

#[derive(Default)]
struct MemoryAlone {
    known: BTreeSet<Ordinal>,
}

impl MailModel for MemoryAlone {
    fn handle(
        &mut self,
        state: &mut MailboxMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> MailboxStep {
        let (Some(Ask::Publish { message } | Ask::Send { message, .. }), Some(id)) =
            (ask_of(event), id_of(event))
        else {
            return handle(state, host, event);
        };
        let mut hidden: BTreeMap<Ordinal, Arc<Message>> = BTreeMap::new();
        for (seq, logged) in &mut state.log.entries {
            let same =
                logged.message.from == message.from && logged.message.id.as_ref() == Some(id);
            if same && !self.known.contains(seq) {
                let nameless = Message { id: None, ..(*logged.message).clone() };
                hidden.insert(*seq, std::mem::replace(&mut logged.message, Arc::new(nameless)));
            }
        }
        let step = handle(state, host, event);
        for (seq, message) in hidden {
            if let Some(logged) = state.log.entries.get_mut(&seq) {
                logged.message = message;
            }
        }
        if let Some(Ok(Outcome::Accepted { seq, .. })) = step.reply.as_ref().map(|r| &r.answer) {
            self.known.insert(*seq);
        }
        step
    }
}

fn id_of(event: &Event<Command>) -> Option<&mailbus_spec::mailbox::MessageId> {
    match ask_of(event) {
        Some(Ask::Publish { message } | Ask::Send { message, .. }) => message.id.as_ref(),
        _ => None,
    }
}
