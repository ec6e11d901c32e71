//! Mistakes about what a session's silence means.

use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Outcome};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine, Timestamp};

use super::{Mistake, ask, now};

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
    let before = object.clone();
    let step = match (mistake, ask(event)) {
        (Mistake::PresumesFromAccept, _) => {
            for agent in object.agents.values_mut() {
                if let Some(live) = &mut agent.live {
                    live.since = Timestamp::ZERO;
                }
            }
            object.handle(host, event)
        }
        (Mistake::ReadsPresume, Some(Ask::Inbox { agent, .. })) => {
            let mut seen = before.clone();
            settle_silently(&mut seen, agent, host, |_| true);
            let answer = seen.handle(host, event).reply;
            MailboxStep { reply: answer, ..object.handle(host, event) }
        }
        (Mistake::PresumesAckRequired, None) => {
            let names: Vec<AgentId> = object.agents.keys().cloned().collect();
            let any = names.iter().any(|name| settle_silently(object, name, host, |_| false));
            super::joined(forced_write(object, host, any), object.handle(host, event), object)
        }
        (Mistake::PresumesNegotiated, None) => {
            let windows: Vec<_> = object
                .agents
                .values_mut()
                .map(|agent| agent.live.as_mut().and_then(|live| live.window.take()))
                .collect();
            let step = object.handle(host, event);
            for (agent, window) in object.agents.values_mut().zip(windows) {
                if let Some(live) = &mut agent.live {
                    live.window = window;
                }
            }
            step
        }
        (Mistake::SilentInboxRefuses, Some(Ask::Publish { .. } | Ask::Send { .. })) => {
            refuse_if_full(object, &before, host, event)
        }
        _ => return None,
    };
    Some(step)
}

/// Takes out what the agent's silence settles; of that what asks for no ack, or what does.
fn settle_silently(
    object: &mut MailboxMachine,
    name: &AgentId,
    host: HostTime,
    asks_for_none: fn(()) -> bool,
) -> bool {
    let now = now(object, host);
    let MailboxMachine { log, agents, .. } = object;
    let Some(agent) = agents.get_mut(name) else { return false };
    let Some(live) = agent.live.as_mut().filter(|live| live.window.is_none()) else { return false };
    let aged = |seq: &Ordinal| {
        log.entries.get(seq).is_some_and(|logged| {
            logged.at.max(live.since).plus_ms(limits::PRESUMED_MS) <= now
                && logged.message.ack_required != asks_for_none(())
        })
    };
    let over: Vec<Ordinal> = live.flights.keys().copied().filter(aged).collect();
    for seq in &over {
        live.flights.remove(seq);
        if let Some(open) = agent.inbox.open.remove(seq) {
            agent.inbox.bytes -= open.bytes;
        }
    }
    !over.is_empty()
}

/// A step that says it wrote what a mistake has changed.
fn forced_write(object: &mut MailboxMachine, host: HostTime, wrote: bool) -> MailboxStep {
    if wrote {
        object.sequence += 1;
        let seen = object.clock.observe(host).expect("worlds keep to plausible years");
        object.clock = object.clock.advanced_to(&seen);
    }
    MailboxStep { reply: None, pushes: Vec::new(), wrote }
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
