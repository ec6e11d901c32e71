//! Mistakes about what is accepted, and as what.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, Connection, MailboxMachine, MailboxStep, Message, Notice, Outcome, Push,
};
use mailbus_spec::{HostTime, Ordinal, StateMachine};

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
        (Mistake::RecoversWithoutSeq, Some(Ask::Recover { .. })) => {
            let step = object.handle(host, event);
            object.last_seq = before.last_seq;
            object.clock = before.clock;
            step
        }
        (Mistake::KeepsEphemeral, Some(Ask::Publish { message })) if message.ephemeral => {
            let message = Message { ephemeral: false, ..message.clone() };
            let step =
                object.handle(host, &Event::Command(Command::alone(Ask::Publish { message })));
            for logged in object.log.entries.values_mut() {
                let kept = Message { ephemeral: true, ..(*logged.message).clone() };
                logged.message = kept.into();
            }
            step
        }
        (Mistake::EphemeralToMutes, Some(Ask::Publish { message })) if message.ephemeral => {
            let mut step = object.handle(host, event);
            for (name, agent) in &before.agents {
                for epoch in &agent.superseded {
                    let to = Connection { agent: name.clone(), epoch: *epoch };
                    let notice = Notice::Ephemeral { message: message.clone() };
                    step.pushes.push(Push { to, notice });
                }
            }
            step
        }
        _ => return None,
    };
    Some(step)
}
