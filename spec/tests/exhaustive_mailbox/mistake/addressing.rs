//! Mistakes about whom a message is for.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Open;
use mailbus_spec::mailbox::{
    Ask, Command, MailboxMachine, MailboxStep, Message, Outcome, Pattern, Patterns,
};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine};

use super::{Mistake, ask};

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
    let step = match (mistake, ask(event)) {
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
            let Some(Ok(Outcome::Accepted { seq, .. })) =
                step.reply.as_ref().map(|reply| &reply.answer)
            else {
                return Some(step);
            };
            let known = object.agents.get(&message.from).is_some_and(|agent| agent.wants(message));
            if known {
                address(object, &message.from.clone(), *seq, message);
            }
            step
        }
        (Mistake::UnsubscribeFilters, Some(Ask::Unsubscribe { agent, .. })) => {
            let step = object.handle(host, event);
            let MailboxMachine { log, agents, .. } = object;
            let agent = agents.get_mut(agent)?;
            let unwanted = |seq: &Ordinal| {
                log.entries
                    .get(seq)
                    .is_some_and(|row| row.to.is_none() && !agent.wants(&row.message))
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
                .filter(|(_, row)| {
                    object.agents.get(agent).is_some_and(|each| each.wants(&row.message))
                })
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
