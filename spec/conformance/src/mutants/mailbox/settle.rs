//! Mutants that settle more or less than an ack names.

use std::collections::BTreeSet;

use mailbus_spec::mailbox::{Ask, MailboxStep, Settled};
use mailbus_spec::{Ordinal, StateMachine};

use super::{Mutant, ask_of, asking, flights, take};

/// An ack names an id, and settles the message of that id for everybody.
pub const ACK_BY_ID_SETTLES_EVERYBODYS: Mutant = Mutant::rule(
    "ack_by_id_settles_everybodys",
    "spec/rules/refuted.md#an-ack-of-somebody-elses-message",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Ack { what: Settled::Id(id), .. }) = ask_of(event) {
            let named = state.log.entries.iter();
            let named = named.filter(|(_, logged)| logged.message.id.as_ref() == Some(id));
            let named: Vec<Ordinal> = named.map(|(seq, _)| *seq).collect();
            for agent in state.agents.values_mut() {
                named.iter().for_each(|seq| take(agent, *seq));
            }
        }
        step
    },
);

/// An ack settles all that its session was sent up to it, what is on its way for the second time too.
pub const UP_TO_SETTLES_REDELIVERIES: Mutant = Mutant::rule(
    "up_to_settles_redeliveries",
    "spec/rules/refuted.md#up-to-that-takes-redeliveries",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Ack { agent, what }) = ask_of(event) {
            let last = match what {
                Settled::Seqs(seqs) => seqs.iter().max().copied(),
                Settled::UpTo(last) => Some(*last),
                Settled::Id(_) | Settled::Gap(_) => None,
            };
            let last = last.unwrap_or(Ordinal::ZERO);
            let sent = flights(state, agent).into_iter().filter(|seq| *seq <= last);
            let sent: Vec<Ordinal> = sent.collect();
            if let Some(agent) = state.agents.get_mut(agent) {
                sent.into_iter().for_each(|seq| take(agent, seq));
            }
        }
        step
    },
);

/// An ack by id settles what its agent was never shown beside what it was.
pub const ACK_BY_ID_SETTLES_WHAT_NOBODY_WAS_SHOWN: Mutant = Mutant::rule(
    "ack_by_id_settles_what_nobody_was_shown",
    "spec/rules/refuted.md#an-ack-by-id-of-what-nobody-was-shown",
    |state, host, event| {
        let Some(Ask::Ack { agent, what: Settled::Id(id) }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let is_called = |seq: &&Ordinal| {
            let logged = state.log.entries.get(seq);
            logged.is_some_and(|logged| logged.message.is_called(**seq, id))
        };
        let open = state.agents.get(agent).into_iter().flat_map(|agent| agent.inbox.open.keys());
        let seqs = open.filter(is_called).copied().collect();
        let ask = Ask::Ack { agent: agent.clone(), what: Settled::Seqs(seqs) };
        state.handle(host, &asking(event, ask))
    },
);

/// An ack of several messages is answered as if it had settled them all, and settles the first.
pub const ACK_OF_MANY_SETTLES_ONE: Mutant = Mutant::rule(
    "ack_of_many_settles_one",
    "spec/rules/mailboxes.md#settling-a-message",
    |state, host, event| {
        let Some(Ask::Ack { agent: name, what: Settled::Seqs(seqs) }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let before = state.agents.get(name).map(|agent| agent.inbox.clone());
        let step = state.handle(host, event);
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
    },
);

/// An ack settles everything under the message's id, whoever sent it.
pub const ACK_SETTLES_ALL_OF_ITS_ID: Mutant = Mutant::rule(
    "ack_settles_all_of_its_id",
    "spec/rules/refuted.md#an-ack-of-somebody-elses-message",
    |state, host, event| {
        let Some(Ask::Ack { agent, what: Settled::Seqs(seqs) }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let id = |seq: &Ordinal| state.log.entries.get(seq).map(|logged| logged.message.id.clone());
        let ids: BTreeSet<_> = seqs.iter().map(id).collect();
        let open = state.agents.get(agent).into_iter().flat_map(|agent| agent.inbox.open.keys());
        let seqs = open.filter(|pending| ids.contains(&id(pending))).copied().collect();
        let ask = Ask::Ack { agent: agent.clone(), what: Settled::Seqs(seqs) };
        state.handle(host, &asking(event, ask))
    },
);

/// An ack does not say that it wrote, so nothing of it is stored.
pub const ACK_DOES_NOT_SAY_THAT_IT_WROTE: Mutant = Mutant::rule(
    "ack_does_not_say_that_it_wrote",
    "spec/rules/README.md#events",
    |state, host, event| {
        let step = state.handle(host, event);
        let wrote = step.wrote && !matches!(ask_of(event), Some(Ask::Ack { .. }));
        MailboxStep { wrote, ..step }
    },
);
