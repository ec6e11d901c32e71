//! Mistakes about what time ends.

use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};
use mailbus_spec::{HostTime, Ordinal, StateMachine, Timestamp};

use super::{Mistake, ask, now};

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
    let before = object.clone();
    let step = match (mistake, ask(event)) {
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
        _ => return None,
    };
    Some(step)
}

fn forget_row(object: &mut MailboxMachine, seq: Ordinal) {
    if let Some(logged) = object.log.entries.remove(&seq) {
        object.log.bytes -= logged.message.bytes();
    }
}
