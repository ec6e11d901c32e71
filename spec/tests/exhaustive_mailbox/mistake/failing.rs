//! Mistakes about nacks and failures.

use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::{Failed, Open};
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine};

use super::{Mistake, ask, now};

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
    let before = object.clone();
    let step = match (mistake, ask(event)) {
        (Mistake::AttemptsKill, _) => {
            let step = object.handle(host, event);
            give_up(object, host, |open| open.attempts >= limits::MAX_DELIVERIES);
            step
        }
        (Mistake::ReplacementFails, Some(Ask::Connect { agent, .. })) => {
            let working = before.agents.get(agent).and_then(|agent| agent.live.as_ref()?.working);
            fail(object, agent, working);
            object.handle(host, event)
        }
        (Mistake::EndFailsOldest, Some(Ask::Disconnect { connection }))
            if object.is_live(connection) =>
        {
            let live = before.agents.get(&connection.agent).and_then(|agent| agent.live.as_ref());
            let oldest = live.and_then(|live| live.flights.keys().next().copied());
            fail(object, &connection.agent, oldest);
            object.handle(host, event)
        }
        (Mistake::WorkingOutlives, Some(Ask::Nack { agent, .. })) => {
            let working = before.agents.get(agent).and_then(|agent| agent.live.as_ref()?.working);
            let step = object.handle(host, event);
            let live = object.agents.get_mut(agent).and_then(|agent| agent.live.as_mut());
            if let Some(live) = live {
                live.working = working;
            }
            step
        }
        (Mistake::RedriveKeepsFailures, Some(Ask::Redrive { agent, seqs })) => {
            let step = object.handle(host, event);
            let agent = object.agents.get_mut(agent);
            let open = agent.into_iter().flat_map(|agent| agent.inbox.open.iter_mut());
            for (_, open) in open.filter(|(seq, _)| seqs.contains(seq)) {
                open.failures = limits::MAX_DELIVERIES - 1;
            }
            step
        }
        (Mistake::NackHoldsSlot, Some(Ask::Nack { agent, seq, .. })) => {
            let flight = before
                .agents
                .get(agent)
                .and_then(|agent| agent.live.as_ref()?.flights.get(seq).copied());
            let step = object.handle(host, event);
            let pushed = object.agents.get(agent).and_then(|agent| agent.live.as_ref());
            let pushed = pushed.is_some_and(|live| live.flights.contains_key(seq));
            let agent = object.agents.get_mut(agent).filter(|_| !pushed);
            if let Some(live) = agent.and_then(|agent| agent.live.as_mut()) {
                live.flights.extend(flight.map(|flight| (*seq, flight)));
            }
            step
        }
        (Mistake::NackedNeverReturns, Some(Ask::Nack { agent, seq, .. })) => {
            let step = object.handle(host, event);
            let agent = object.agents.get_mut(agent);
            if let Some(open) = agent.and_then(|agent| agent.inbox.open.get_mut(seq)) {
                open.due = open.due.map(|due| due.plus_ms(2 * limits::RETENTION_MS));
            }
            step
        }
        _ => return None,
    };
    Some(step)
}

fn fail(object: &mut MailboxMachine, name: &AgentId, seq: Option<Ordinal>) {
    let open = seq.and_then(|seq| {
        object.agents.get_mut(name).and_then(|agent| agent.inbox.open.get_mut(&seq))
    });
    if let Some(open) = open {
        open.failures = (open.failures + 1).min(limits::MAX_DELIVERIES - 1);
    }
}

/// Gives up what fits, with its loss.
fn give_up(object: &mut MailboxMachine, host: HostTime, fits: fn(&Open) -> bool) {
    let at = now(object, host);
    for agent in object.agents.values_mut() {
        let over: Vec<Ordinal> =
            agent.inbox.open.iter().filter(|(_, open)| fits(open)).map(|(seq, _)| *seq).collect();
        for seq in over {
            let Some(open) = agent.inbox.open.remove(&seq) else { continue };
            agent.inbox.bytes -= open.bytes;
            agent.failed.insert(seq, Failed { attempts: open.attempts, at });
            if let Some(live) = &mut agent.live {
                live.flights.remove(&seq);
            }
            let Some(known) = &mut agent.registration else { continue };
            let losses = &mut known.losses;
            losses.first = if losses.count == 0 { seq } else { losses.first.min(seq) };
            losses.last = if losses.count == 0 { seq } else { losses.last.max(seq) };
            (losses.count, losses.through) = (losses.count + 1, losses.through + 1);
        }
    }
}
