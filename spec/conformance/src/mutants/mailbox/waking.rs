//! Mutants that trust their memory, or forget to be woken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Open;
use mailbus_spec::mailbox::{
    Ask, Command, MailboxMachine, MailboxStep, Message, MessageId, Outcome,
};
use mailbus_spec::{HostTime, Ordinal, StateMachine, Timestamp};

use super::{Mutant, ask_of, outcome};
use crate::mutants::Model;

/// The ids of accepted messages are kept in memory, and an object that wakes does not read them from
/// its log.
pub const DEDUP_MEMORY_IS_NOT_REBUILT: Mutant = Mutant::model(
    "dedup_memory_is_not_rebuilt",
    "spec/rules/refuted.md#a-repeatable-message-that-was-collected",
    || Box::new(MemoryAlone::default()),
);

#[derive(Default)]
struct MemoryAlone {
    known: BTreeSet<Ordinal>,
}

impl Model<MailboxMachine> for MemoryAlone {
    fn handle(
        &mut self,
        state: &mut MailboxMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> MailboxStep {
        let (Some(Ask::Publish { message } | Ask::Send { message, .. }), Some(id)) =
            (ask_of(event), id_of(event))
        else {
            return state.handle(host, event);
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
        let step = state.handle(host, event);
        for (seq, message) in hidden {
            if let Some(logged) = state.log.entries.get_mut(&seq) {
                logged.message = message;
            }
        }
        if let Some(Outcome::Accepted { seq, .. }) = outcome(&step) {
            self.known.insert(*seq);
        }
        step
    }
}

fn id_of(event: &Event<Command>) -> Option<&MessageId> {
    match ask_of(event) {
        Some(Ask::Publish { message } | Ask::Send { message, .. }) => message.id.as_ref(),
        _ => None,
    }
}

/// Attachments say how far a session was sent: that a message was pushed again is forgotten when the object
/// leaves memory, and it is pushed a third time.
pub const ATTACHMENT_FORGETS_REDELIVERIES: Mutant = Mutant::waking(
    "attachment_forgets_redeliveries",
    "spec/rules/refuted.md#an-attachment-without-redeliveries",
    |state| {
        for live in state.agents.values_mut().filter_map(|agent| agent.live.as_mut()) {
            live.flights.retain(|_, flight| !flight.again);
        }
    },
);

/// Times at which messages that were given back come again are kept in memory: an object that wakes sends
/// all of them at once.
pub const DUE_TIMES_ARE_MEMORY_ALONE: Mutant = Mutant::waking(
    "due_times_are_memory_alone",
    "spec/rules/refuted.md#delays-without-a-bound",
    |state| {
        let floor = state.clock.floor;
        for open in state.agents.values_mut().flat_map(|agent| agent.inbox.open.values_mut()) {
            open.due = open.due.map(|due| due.min(floor));
        }
    },
);

/// The alarm is set for what is to be pushed, and not for what is to be collected.
pub const SETTLED_ROWS_STAY: Mutant = Mutant::alarm(
    "settled_rows_stay",
    "spec/rules/mailboxes.md#retention-and-collection",
    |state| {
        let open = state.agents.values().filter(|agent| agent.live.is_some());
        let due = open.flat_map(|agent| agent.inbox.open.values()).filter_map(|open| open.due);
        due.filter(|due| *due > state.clock.floor).min()
    },
);

/// The alarm forgets what one event had to leave over, and looks at what was given back for later alone.
pub const ALARM_FORGETS_WHAT_IS_LEFT_OVER: Mutant = Mutant::alarm(
    "alarm_forgets_what_is_left_over",
    "spec/rules/mailboxes.md#the-order-of-pushes",
    |state| alarm_for(state, |open| open.due > Some(state.clock.floor)),
);

/// The alarm forgets what was given back for later.
pub const ALARM_FORGETS_DELAYS: Mutant =
    Mutant::alarm("alarm_forgets_delays", "spec/rules/mailboxes.md#giving-back", |state| {
        alarm_for(state, |open| open.due.is_none())
    });

/// The alarm of a machine that has nothing open but this.
fn alarm_for(state: &MailboxMachine, looks_at: impl Fn(&Open) -> bool) -> Option<Timestamp> {
    let mut seen = state.clone();
    for agent in seen.agents.values_mut() {
        agent.inbox.open.retain(|_, open| looks_at(open));
    }
    seen.next_alarm()
}
