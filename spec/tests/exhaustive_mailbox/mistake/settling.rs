//! Mistakes about acks.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Outcome, Settled};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine};

use super::{Mistake, ask, live};

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
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
            let over =
                if let Event::Command(command) = event { command.over.clone() } else { None };
            let ask = Ask::Ack { agent: agent.clone(), what };
            object.handle(host, &Event::Command(Command { over, ask }))
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
        (Mistake::AcksSilently, Some(Ask::Ack { .. })) => {
            MailboxStep { wrote: false, ..object.handle(host, event) }
        }
        (Mistake::TakesStaleFrames, Some(asked)) => {
            let stale = matches!(event, Event::Command(Command { over: Some(over), .. })
                if !object.is_live(over));
            let over = asked.agent().and_then(|name| live(object, name)).filter(|_| stale)?;
            object.handle(host, &Event::Command(Command::over(over, asked.clone())))
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
