//! Planted bugs of mail. Mistakes of the object are the reference model with its state rearranged
//! around an event; mistakes of the client are made around its carrier, or in what its application
//! does with it.

mod ack_by_id_settles_everybodys;
mod ack_of_many_settles_one;
mod acks_before_handling;
mod another_epoch_is_obeyed;
mod attachment_forgets_redeliveries;
mod attachments_outlive_a_rollback;
mod attempts_kill_a_message;
mod connect_subscribes_to_everything;
mod dedup_memory_is_not_rebuilt;
mod due_times_are_memory_alone;
mod forget_keeps_the_mail;
mod gap_is_told_once;
mod innocent_neighbours_fail;
mod late_close_ends_the_new_session;
mod offline_mail_is_lost;
mod one_failed_open_is_the_last;
mod pushed_is_settled;
mod pushes_in_no_order;
mod redrive_keeps_the_failures;
mod seen_messages_are_dropped;
mod seq_from_the_clock_alone;
mod settled_rows_are_deleted_at_once;
mod settled_rows_stay;
mod subscriptions_are_ignored;
mod unsubscribe_drops_the_mail;
mod up_to_settles_redeliveries;
mod window_counts_messages_alone;

use std::collections::BTreeSet;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Agent;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine};

use crate::mutants::Mutant;
use crate::plan::{Plan, Profile};
use crate::sut::{MailClientRules, MailModel, MailVariant, Sut};

/// Every planted bug of mail.
pub(super) const GALLERY: &[Mutant] = &[
    // The client's.
    one_failed_open_is_the_last::MUTANT,
    acks_before_handling::MUTANT,
    seen_messages_are_dropped::MUTANT,
    // What is accepted, and for whom.
    settled_rows_are_deleted_at_once::MUTANT,
    dedup_memory_is_not_rebuilt::MUTANT,
    seq_from_the_clock_alone::MUTANT,
    subscriptions_are_ignored::MUTANT,
    connect_subscribes_to_everything::MUTANT,
    unsubscribe_drops_the_mail::MUTANT,
    offline_mail_is_lost::MUTANT,
    // Whose session it is.
    another_epoch_is_obeyed::MUTANT,
    late_close_ends_the_new_session::MUTANT,
    // What is pushed.
    attachment_forgets_redeliveries::MUTANT,
    attachments_outlive_a_rollback::MUTANT,
    window_counts_messages_alone::MUTANT,
    pushes_in_no_order::MUTANT,
    due_times_are_memory_alone::MUTANT,
    // What is settled, and what is given up.
    ack_by_id_settles_everybodys::MUTANT,
    up_to_settles_redeliveries::MUTANT,
    ack_of_many_settles_one::MUTANT,
    pushed_is_settled::MUTANT,
    innocent_neighbours_fail::MUTANT,
    attempts_kill_a_message::MUTANT,
    redrive_keeps_the_failures::MUTANT,
    gap_is_told_once::MUTANT,
    // What is let go of.
    forget_keeps_the_mail::MUTANT,
    settled_rows_stay::MUTANT,
];

/// A mistake of the mailbox object, which production's client meets.
const fn planted_mail(model: fn() -> Box<dyn MailModel>) -> Sut {
    Sut { mail: MailVariant::Model(model), ..Sut::SPEC }
}

/// A mistake of the mail client, which meets production's object.
const fn planted_mail_client(rules: MailClientRules) -> Sut {
    Sut { mail_client: rules, ..Sut::NATIVE }
}

/// The mail of a seed with every kind of fault.
fn rough_mail(seed: u64) -> Plan {
    Plan::from_seed(seed, Some(Profile::Rough)).without_leases()
}

/// The mail of a seed with a fault here and there.
pub(super) fn calm_mail(seed: u64) -> Plan {
    Plan::from_seed(seed, Some(Profile::Calm)).without_leases()
}

/// The mail of a seed with many faults at once, and clocks outside the bound.
fn hostile_mail(seed: u64) -> Plan {
    Plan::from_seed(seed, Some(Profile::Hostile)).without_leases()
}

/// A model that keeps nothing in memory, so that a function says it all.
struct PlantedMail(fn(&mut MailboxMachine, HostTime, &Event<Command>) -> MailboxStep);

impl MailModel for PlantedMail {
    fn handle(
        &mut self,
        state: &mut MailboxMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> MailboxStep {
        (self.0)(state, host, event)
    }
}

/// What an event asks for.
fn ask_of(event: &Event<Command>) -> Option<&Ask> {
    match event {
        Event::Command(command) => Some(&command.ask),
        Event::Alarm => None,
    }
}

/// The same event with another question.
fn asking(event: &Event<Command>, ask: Ask) -> Event<Command> {
    match event {
        Event::Command(Command { over, .. }) => Event::Command(Command { over: over.clone(), ask }),
        Event::Alarm => Event::Alarm,
    }
}

/// Takes a message out of an inbox, and out of flight.
fn take(agent: &mut Agent, seq: Ordinal) {
    if let Some(open) = agent.inbox.open.remove(&seq) {
        agent.inbox.bytes = agent.inbox.bytes.saturating_sub(open.bytes);
    }
    if let Some(live) = &mut agent.live {
        live.flights.remove(&seq);
    }
}

/// What is in flight to an agent.
fn flights(state: &MailboxMachine, agent: &AgentId) -> BTreeSet<Ordinal> {
    let live = state.agents.get(agent).and_then(|agent| agent.live.as_ref());
    live.map(|live| live.flights.keys().copied().collect()).unwrap_or_default()
}

/// The messages that somebody is owed or keeps among his dead letters.
fn held(state: &MailboxMachine) -> BTreeSet<Ordinal> {
    let agents = state.agents.iter();
    let held = agents.flat_map(|(_, agent)| agent.inbox.open.keys().chain(agent.failed.keys()));
    held.copied().collect()
}

/// What the reference model does.
fn handle(state: &mut MailboxMachine, host: HostTime, event: &Event<Command>) -> MailboxStep {
    StateMachine::handle(state, host, event)
}
