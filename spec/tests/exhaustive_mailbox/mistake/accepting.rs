//! Mistakes about what is accepted, for whom, and what is told of it.

use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Open;
use mailbus_spec::mailbox::{
    Ask, Command, MailboxMachine, MailboxStep, Message, Notice, Outcome, Pattern, Patterns, Push,
    Connection,
};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine};

use super::{Mistake, ask};

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
    let before = object.clone();
    let step = match (mistake, ask(event)) {
        (Mistake::IdsWithoutSender, Some(Ask::Publish { message } | Ask::Send { message, .. })) => {
            // Of rows of others with this id it is made the sender, as long as the event lasts.
            let mut other = object.clone();
            for logged in other.log.entries.values_mut() {
                if logged.message.id == message.id {
                    let same = Message { from: message.from.clone(), ..(*logged.message).clone() };
                    logged.message = same.into();
                }
            }
            let answer = other.handle(host, event);
            let taken = answer.reply.as_ref().is_some_and(|reply| {
                !matches!(reply.answer, Ok(Outcome::Accepted { .. } | Outcome::Sent))
            });
            if taken {
                let step = object.handle(host, &super::question());
                MailboxStep { reply: answer.reply, ..step }
            } else {
                object.handle(host, event)
            }
        }
        (Mistake::IgnoresConflicts, Some(Ask::Publish { message } | Ask::Send { message, .. })) => {
            let first = before.log.entries.iter().rev().find(|(_, logged)| {
                (&logged.message.from, &logged.message.id) == (&message.from, &message.id)
            });
            let first = first.map(|(seq, _)| *seq);
            let mut step = object.handle(host, event);
            if let (Some(seq), Some(reply)) = (first, &mut step.reply)
                && reply.answer.is_err()
            {
                reply.answer = Ok(Outcome::Duplicate { seq });
            }
            step
        }
        (Mistake::SeqFromLog, _) => {
            object.last_seq =
                object.log.entries.last_key_value().map_or(Ordinal::ZERO, |(seq, _)| *seq);
            object.handle(host, event)
        }
        (Mistake::KeepsEphemeral, Some(Ask::Publish { message })) if message.ephemeral => {
            let message = Message { ephemeral: false, ..message.clone() };
            let step = object.handle(host, &Event::Command(Command::alone(Ask::Publish { message })));
            for logged in object.log.entries.values_mut() {
                let kept = Message { ephemeral: true, ..(*logged.message).clone() };
                logged.message = kept.into();
            }
            step
        }
        (Mistake::EphemeralToMutes, Some(Ask::Publish { message })) if message.ephemeral => {
            let mut step = object.handle(host, event);
            for (name, agent) in &before.agents {
                for epoch in &agent.mute {
                    let to = Connection { agent: name.clone(), epoch: *epoch };
                    let notice = Notice::Ephemeral { message: message.clone() };
                    step.pushes.push(Push { to, notice });
                }
            }
            step
        }
        (Mistake::SkipsOffline, Some(Ask::Publish { .. })) => {
            let step = object.handle(host, event);
            let accepted = object.last_seq;
            for agent in object.agents.values_mut().filter(|agent| agent.live.is_none()) {
                if let Some(open) = agent.inbox.open.remove(&accepted) {
                    agent.inbox.bytes -= open.bytes;
                }
            }
            step
        }
        (Mistake::PublishesToSender, Some(Ask::Publish { message })) => {
            let step = object.handle(host, event);
            let Some(Ok(Outcome::Accepted { seq, .. })) = step.reply.as_ref().map(|reply| &reply.answer)
            else {
                return Some(step);
            };
            let known = object.agents.get(&message.from).is_some_and(|agent| agent.wants(message));
            if known {
                address(object, &message.from.clone(), *seq, message);
            }
            step
        }
        (Mistake::RefusedForgotten, Some(Ask::Publish { .. } | Ask::Send { .. })) => {
            let mut step = object.handle(host, event);
            if let Some(logged) = object.log.entries.get_mut(&object.last_seq) {
                logged.refused.clear();
            }
            if let Some(reply) = &mut step.reply
                && let Ok(Outcome::Accepted { refused, .. }) = &mut reply.answer
            {
                refused.clear();
            }
            step
        }
        (Mistake::SilentInboxRefuses, Some(Ask::Publish { .. } | Ask::Send { .. })) => {
            refuse_if_full(object, &before, host, event)
        }
        (Mistake::UnsubscribeFilters, Some(Ask::Unsubscribe { agent, .. })) => {
            let step = object.handle(host, event);
            let MailboxMachine { log, agents, .. } = object;
            let agent = agents.get_mut(agent)?;
            let unwanted = |seq: &Ordinal| {
                log.entries.get(seq).is_some_and(|row| row.to.is_none() && !agent.wants(&row.message))
            };
            let over: Vec<Ordinal> = agent.inbox.open.keys().copied().filter(unwanted).collect();
            for seq in over {
                agent.inbox.bytes -= agent.inbox.open.remove(&seq).map_or(0, |open| open.bytes);
                if let Some(live) = &mut agent.live {
                    live.flights.remove(&seq);
                }
            }
            step
        }
        (Mistake::SubscribeFetches, Some(Ask::Subscribe { agent, .. })) => {
            let step = object.handle(host, event);
            let wanted: Vec<(Ordinal, Message)> = object
                .log
                .entries
                .iter()
                .filter(|(_, row)| row.to.is_none() && row.message.from != *agent)
                .filter(|(_, row)| object.agents.get(agent).is_some_and(|each| each.wants(&row.message)))
                .map(|(seq, row)| (*seq, (*row.message).clone()))
                .collect();
            wanted.iter().for_each(|(seq, message)| address(object, agent, *seq, message));
            step
        }
        (Mistake::ConnectSubscribesAll, Some(Ask::Connect { agent, types: None, .. })) => {
            let step = object.handle(host, event);
            let agent = object.agents.get_mut(agent)?;
            if let Some(known) = &mut agent.registration {
                known.types = Some(Patterns::from([Pattern::everything()]));
            }
            step
        }
        (Mistake::IgnoresAhead, Some(Ask::Inbox { after, .. })) => {
            let last = std::mem::replace(&mut object.last_seq, (*after).max(before.last_seq));
            let step = object.handle(host, event);
            object.last_seq = last;
            step
        }
        (Mistake::InboxHidesRedriven, Some(Ask::Inbox { after, .. })) => {
            let mut step = object.handle(host, event);
            if let Some(reply) = &mut step.reply
                && let Ok(Outcome::Inbox { messages, .. }) = &mut reply.answer
            {
                messages.retain(|pending| pending.seq > *after);
            }
            step
        }
        _ => return None,
    };
    Some(step)
}

/// Makes a message pending for an agent that it was not addressed to.
fn address(object: &mut MailboxMachine, name: &AgentId, seq: Ordinal, message: &Message) {
    let Some(agent) = object.agents.get_mut(name) else { return };
    if !agent.inbox.open.contains_key(&seq) {
        agent.inbox.bytes += message.bytes();
        agent.inbox.open.insert(seq, Open { bytes: message.bytes(), ..Open::default() });
    }
}

/// Counts what a silent session was pushed as if it were not.
fn refuse_if_full(
    object: &mut MailboxMachine,
    before: &MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let mut step = object.handle(host, event);
    let Some(Ok(Outcome::Accepted { seq, recipients, refused })) =
        step.reply.as_mut().map(|reply| &mut reply.answer)
    else {
        return step;
    };
    for (name, agent) in &mut object.agents {
        let Some(old) = before.agents.get(name) else { continue };
        let Some(open) = agent.inbox.open.get(seq).copied() else { continue };
        if old.inbox.bytes + open.bytes <= limits::INBOX_BYTES {
            continue;
        }
        agent.inbox.open.remove(seq);
        agent.inbox.bytes -= open.bytes;
        if let Some(live) = &mut agent.live {
            live.flights.remove(seq);
        }
        *recipients -= 1;
        refused.push(name.clone());
        if let Some(row) = object.log.entries.get_mut(seq) {
            row.refused.insert(name.clone());
        }
    }
    step.pushes.clear();
    step
}
