//! Mutants that take a message to others than it is for.

use mailbus_spec::mailbox::state::Open;
use mailbus_spec::mailbox::{Ask, MailboxMachine, Message, Outcome, Pattern, Patterns};
use mailbus_spec::{AgentId, Ordinal, StateMachine};

use super::{Mutant, ask_of, asking, outcome, outcome_mut, take};

/// Messages that are published go to everybody.
pub const SUBSCRIPTIONS_ARE_IGNORED: Mutant = Mutant::rule(
    "subscriptions_are_ignored",
    "spec/rules/refuted.md#subscriptions-that-are-ignored",
    |state, host, event| {
        let Some(Ask::Publish { .. }) = ask_of(event) else { return state.handle(host, event) };
        let known = |state: &mut MailboxMachine, types: &mut dyn FnMut(&mut Option<Patterns>)| {
            let agents = state.agents.values_mut();
            agents
                .filter_map(|agent| agent.registration.as_mut())
                .for_each(|r| types(&mut r.types));
        };
        let mut kept = Vec::new();
        known(state, &mut |types| {
            kept.push(types.replace(Patterns::from([Pattern::everything()])));
        });
        let step = state.handle(host, event);
        let mut kept = kept.into_iter();
        known(state, &mut |types| *types = kept.next().flatten());
        step
    },
);

/// A session that names no types is subscribed to everything, whatever its agent had chosen.
pub const CONNECT_SUBSCRIBES_TO_EVERYTHING: Mutant = Mutant::rule(
    "connect_subscribes_to_everything",
    "spec/rules/refuted.md#subscriptions-that-filter-deliveries",
    |state, host, event| {
        let Some(Ask::Connect { agent, session, window, types: None, last_seen }) = ask_of(event)
        else {
            return state.handle(host, event);
        };
        let ask = Ask::Connect {
            agent: agent.clone(),
            session: session.clone(),
            window: *window,
            types: Some(Patterns::from([Pattern::everything()])),
            last_seen: *last_seen,
        };
        state.handle(host, &asking(event, ask))
    },
);

/// An agent that unsubscribes loses what it was addressed before.
pub const UNSUBSCRIBE_DROPS_THE_MAIL: Mutant = Mutant::rule(
    "unsubscribe_drops_the_mail",
    "spec/rules/refuted.md#subscriptions-that-filter-deliveries",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Unsubscribe { agent, .. }) = ask_of(event)
            && let Some(agent) = state.agents.get_mut(agent)
        {
            let entries = &state.log.entries;
            let unwanted = agent.inbox.open.keys().filter(|seq| {
                let logged = entries.get(seq);
                logged.is_some_and(|logged| logged.to.is_none() && !agent.wants(&logged.message))
            });
            let unwanted: Vec<Ordinal> = unwanted.copied().collect();
            unwanted.into_iter().for_each(|seq| take(agent, seq));
        }
        step
    },
);

/// A message reaches whoever has a socket when it is accepted, and nobody else.
pub const OFFLINE_MAIL_IS_LOST: Mutant = Mutant::rule(
    "offline_mail_is_lost",
    "spec/rules/refuted.md#offline-mail-that-is-never-delivered",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Outcome::Accepted { seq, .. }) = outcome(&step) {
            let absent = state.agents.values_mut().filter(|agent| agent.live.is_none());
            absent.for_each(|agent| take(agent, *seq));
        }
        step
    },
);

/// The sender gets its own publication.
pub const PUBLISHED_TO_ITS_SENDER: Mutant = Mutant::rule(
    "published_to_its_sender",
    "spec/rules/mailboxes.md#recipients",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Publish { message }) = ask_of(event)
            && let Some(Outcome::Accepted { seq, .. }) = outcome(&step)
            && state.agents.get(&message.from).is_some_and(|agent| agent.wants(message))
        {
            address(state, &message.from, *seq, message);
        }
        step
    },
);

/// Subscribing fetches what was published before.
pub const SUBSCRIBING_FETCHES: Mutant = Mutant::rule(
    "subscribing_fetches",
    "spec/rules/mailboxes.md#recipients",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Subscribe { agent: name, .. }) = ask_of(event)
            && let Some(agent) = state.agents.get(name)
        {
            let published = state.log.entries.iter().filter(|(_, row)| row.to.is_none());
            let wanted = published
                .filter(|(_, row)| row.message.from != *name && agent.wants(&row.message))
                .map(|(seq, row)| (*seq, row.message.clone()));
            for (seq, message) in wanted.collect::<Vec<_>>() {
                address(state, name, seq, &message);
            }
        }
        step
    },
);

/// Makes a message pending for an agent that it was not addressed to.
fn address(state: &mut MailboxMachine, name: &AgentId, seq: Ordinal, message: &Message) {
    let Some(agent) = state.agents.get_mut(name) else { return };
    if !agent.inbox.open.contains_key(&seq) {
        agent.inbox.bytes += message.bytes();
        agent.inbox.open.insert(seq, Open { bytes: message.bytes(), ..Open::default() });
    }
}

/// A sender is not told that nobody is known by the name it has sent to.
pub const STRANGERS_ARE_SAID_TO_BE_KNOWN: Mutant = Mutant::rule(
    "strangers_are_said_to_be_known",
    "spec/rules/refuted.md#a-misspelt-name-that-is-accepted-like-any-other",
    |state, host, event| {
        let mut step = state.handle(host, event);
        if let Some(Outcome::Accepted { known: known @ Some(_), near, .. }) = outcome_mut(&mut step)
        {
            (*known, *near) = (Some(true), Vec::new());
        }
        step
    },
);

/// The wish that a recipient be known is ignored.
pub const ANYBODY_MAY_BE_UNKNOWN: Mutant = Mutant::rule(
    "anybody_may_be_unknown",
    "spec/rules/refuted.md#a-misspelt-name-that-is-accepted-like-any-other",
    |state, host, event| {
        let Some(Ask::Send { to, message, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let ask = Ask::Send { to: to.clone(), message: message.clone(), must_know: false };
        state.handle(host, &asking(event, ask))
    },
);
