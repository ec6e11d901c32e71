//! Mistakes about acks, nacks, failures and silence.

use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::{Failed, Open};
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Outcome, Settled};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine, Timestamp};

use super::{Mistake, ask, live, now};

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
    let before = object.clone();
    let step = match (mistake, ask(event)) {
        (Mistake::UpToTakesAgain, Some(Ask::Ack { agent, what: Settled::UpTo(_) })) => {
            let live = object.agents.get_mut(agent).and_then(|agent| agent.live.as_mut());
            for flight in live.into_iter().flat_map(|live| live.flights.values_mut()) {
                flight.again = false;
            }
            object.handle(host, event)
        }
        (Mistake::AcksById, Some(Ask::Ack { agent, what: Settled::Seqs(seqs) })) => {
            let what = Settled::Seqs(same_ids(object, agent, seqs));
            let over = if let Event::Command(command) = event { command.over.clone() } else { None };
            let ask = Ask::Ack { agent: agent.clone(), what };
            object.handle(host, &Event::Command(Command { over, ask }))
        }
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
        (Mistake::EndFailsOldest, Some(Ask::Disconnect { connection })) if object.is_live(connection) => {
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
        (Mistake::AcksSilently, Some(Ask::Ack { .. })) => {
            MailboxStep { wrote: false, ..object.handle(host, event) }
        }
        (Mistake::TakesStaleFrames, Some(asked)) => {
            let stale = matches!(event, Event::Command(Command { over: Some(over), .. })
                if !object.is_live(over));
            let over = asked.agent().and_then(|name| live(object, name)).filter(|_| stale)?;
            object.handle(host, &Event::Command(Command::over(over, asked.clone())))
        }
        (Mistake::GapClearedByAnyAck, Some(Ask::Ack { agent, what: Settled::Gap(_) })) => {
            let step = object.handle(host, event);
            let settled = step.reply.as_ref().is_some_and(|reply| {
                matches!(reply.answer, Ok(Outcome::Settled { settled: 1.., .. }))
            });
            let agent = object.agents.get_mut(agent).filter(|_| settled);
            if let Some(known) = agent.and_then(|agent| agent.registration.as_mut()) {
                known.losses.count = 0;
            }
            step
        }
        _ => return None,
    };
    Some(step)
}

fn same_ids(object: &MailboxMachine, name: &AgentId, seqs: &[Ordinal]) -> Vec<Ordinal> {
    let id = |seq: &Ordinal| object.log.entries.get(seq).map(|logged| logged.message.id.clone());
    let open = object.agents.get(name).into_iter().flat_map(|agent| agent.inbox.open.keys());
    open.filter(|pending| seqs.iter().any(|seq| id(seq) == id(pending))).copied().collect()
}

fn fail(object: &mut MailboxMachine, name: &AgentId, seq: Option<Ordinal>) {
    let open = seq
        .and_then(|seq| object.agents.get_mut(name).and_then(|agent| agent.inbox.open.get_mut(&seq)));
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
