//! Mistakes about sessions and their ends.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, CloseReason, Command, Connection, MailboxMachine, MailboxStep, Notice, Push,
};
use mailbus_spec::{HostTime, Ordinal, StateMachine};

use super::{Mistake, ask, live};

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
    let before = object.clone();
    let step = match (mistake, ask(event)) {
        (Mistake::ReplacementClosesMute, Some(Ask::Connect { agent, .. })) => {
            let old = before.agents.get(agent).and_then(|agent| agent.live.as_ref());
            let epoch = old.filter(|live| live.window.is_none()).map(|live| live.epoch);
            let mut step = object.handle(host, event);
            if let Some(epoch) = epoch {
                object.agents.get_mut(agent)?.superseded.retain(|superseded| *superseded != epoch);
                let to = Connection { agent: agent.clone(), epoch };
                step.pushes.push(Push { to, notice: Notice::Closed(CloseReason::Reopen) });
            }
            step
        }
        (Mistake::MutesStayOpen, Some(Ask::Disconnect { connection }))
            if object.is_live(connection) =>
        {
            let superseded =
                before.agents.get(&connection.agent).map(|agent| agent.superseded.clone());
            let mut step = object.handle(host, event);
            object.agents.get_mut(&connection.agent)?.superseded = superseded.unwrap_or_default();
            step.pushes.retain(|push| push.notice != Notice::Closed(CloseReason::Reopen));
            step
        }
        (Mistake::PromotesMute, Some(Ask::Disconnect { connection }))
            if object.is_live(connection) =>
        {
            let old = before.agents.get(&connection.agent)?;
            let mut superseded = old.superseded.clone();
            let youngest = superseded.pop();
            let mut step = object.handle(host, event);
            let agent = object.agents.get_mut(&connection.agent)?;
            if let (Some(epoch), Some(live)) = (youngest, &old.live) {
                let mut live = live.clone();
                (live.epoch, live.working) = (epoch, None);
                live.flights.clear();
                (agent.live, agent.superseded) = (Some(live), superseded);
                step.pushes.retain(|push| push.notice != Notice::Closed(CloseReason::Reopen));
            }
            let pushed = object.handle(host, &super::question());
            super::joined(step, pushed, object)
        }
        (Mistake::LateCloseEndsLive, Some(Ask::Disconnect { connection })) => {
            let connection = live(object, &connection.agent)?;
            object.handle(host, &Event::Command(Command::alone(Ask::Disconnect { connection })))
        }
        (Mistake::EpochsFromClockAlone, Some(Ask::Connect { agent, .. })) => {
            let last = std::mem::replace(&mut object.last_seq, Ordinal::ZERO);
            if let Some(known) =
                object.agents.get_mut(agent).and_then(|agent| agent.registration.as_mut())
            {
                known.epoch = Ordinal::ZERO;
            }
            let step = object.handle(host, event);
            object.last_seq = last;
            step
        }
        _ => return None,
    };
    Some(step)
}
