//! Mistakes about sessions, losses and what time ends.

use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, CloseReason, Command, Connection, MailboxMachine, MailboxStep, Notice, Outcome, Push,
};
use mailbus_spec::{HostTime, Ordinal, StateMachine, Timestamp};

use super::{Mistake, ask, live, now};

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
                object.agents.get_mut(agent)?.mute.retain(|mute| *mute != epoch);
                let to = Connection { agent: agent.clone(), epoch };
                step.pushes.push(Push { to, notice: Notice::Closed(CloseReason::Reopen) });
            }
            step
        }
        (Mistake::MutesStayOpen, Some(Ask::Disconnect { connection })) if object.is_live(connection) => {
            let mute = before.agents.get(&connection.agent).map(|agent| agent.mute.clone());
            let mut step = object.handle(host, event);
            object.agents.get_mut(&connection.agent)?.mute = mute.unwrap_or_default();
            step.pushes.retain(|push| push.notice != Notice::Closed(CloseReason::Reopen));
            step
        }
        (Mistake::PromotesMute, Some(Ask::Disconnect { connection })) if object.is_live(connection) => {
            let old = before.agents.get(&connection.agent)?;
            let mut mute = old.mute.clone();
            let youngest = mute.pop();
            let mut step = object.handle(host, event);
            let agent = object.agents.get_mut(&connection.agent)?;
            if let (Some(epoch), Some(live)) = (youngest, &old.live) {
                let mut live = live.clone();
                (live.epoch, live.working) = (epoch, None);
                live.flights.clear();
                (agent.live, agent.mute) = (Some(live), mute);
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
            if let Some(known) = object.agents.get_mut(agent).and_then(|agent| agent.registration.as_mut())
            {
                known.epoch = Ordinal::ZERO;
            }
            let step = object.handle(host, event);
            object.last_seq = last;
            step
        }
        (Mistake::GapUntold, Some(Ask::Connect { .. })) => {
            let mut step = object.handle(host, event);
            if let Some(reply) = &mut step.reply
                && let Ok(Outcome::Connected { gap, .. }) = &mut reply.answer
            {
                *gap = None;
            }
            step
        }
        (Mistake::ExpiryUncounted, _) => {
            let step = object.handle(host, event);
            let dead = matches!(ask(event), Some(Ask::Nack { .. } | Ask::Disconnect { .. }));
            for (name, agent) in object.agents.iter_mut().filter(|_| !dead) {
                let old = before.agents.get(name).and_then(|agent| agent.registration.as_ref());
                if let (Some(known), Some(old)) = (&mut agent.registration, old)
                    && old.losses.through < known.losses.through
                {
                    known.losses = old.losses;
                }
            }
            step
        }
        (Mistake::PushesExpired, asked) if asked.is_some() => {
            let now = now(object, host);
            let mut spared = Vec::new();
            for (seq, logged) in &mut object.log.entries {
                if logged.at.plus_ms(limits::RETENTION_MS) <= now {
                    spared.push((*seq, logged.at));
                    let at = now.ms() + 1 - limits::RETENTION_MS;
                    logged.at = Timestamp::from_ms(at).expect("later than it was");
                }
            }
            let step = object.handle(host, event);
            for (seq, at) in spared {
                if let Some(logged) = object.log.entries.get_mut(&seq) {
                    logged.at = at;
                }
            }
            step
        }
        (Mistake::CollectsForStrangers, None) => {
            let step = object.handle(host, event);
            let now = now(object, host);
            object.agents.retain(|_, agent| agent.registration.is_some());
            let wanted = |seq: &Ordinal| {
                object.agents.values().any(|agent| {
                    agent.inbox.open.contains_key(seq) || agent.failed.contains_key(seq)
                })
            };
            let over: Vec<Ordinal> = object
                .log
                .entries
                .iter()
                .filter(|(_, logged)| logged.at.plus_ms(limits::DEDUP_MS) <= now)
                .map(|(seq, _)| *seq)
                .filter(|seq| !wanted(seq))
                .collect();
            over.iter().for_each(|seq| forget_row(object, *seq));
            step
        }
        (Mistake::CollectsRepeatable, None) => {
            let step = object.handle(host, event);
            let held = |seq: &Ordinal| {
                object.agents.values().any(|agent| {
                    agent.inbox.open.contains_key(seq) || agent.failed.contains_key(seq)
                })
            };
            let over: Vec<Ordinal> =
                object.log.entries.keys().copied().filter(|seq| !held(seq)).collect();
            over.iter().for_each(|seq| forget_row(object, *seq));
            step
        }
        (Mistake::RecoversWithoutSeq, Some(Ask::Recover { .. })) => {
            let step = object.handle(host, event);
            object.last_seq = before.last_seq;
            object.clock = before.clock;
            step
        }
        _ => return None,
    };
    Some(step)
}

pub fn forget_row(object: &mut MailboxMachine, seq: Ordinal) {
    if let Some(logged) = object.log.entries.remove(&seq) {
        object.log.bytes -= logged.message.bytes();
    }
}
