//! Mistakes about what agents are told.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep, Outcome};
use mailbus_spec::{HostTime, StateMachine};

use super::{Mistake, ask};

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
    let before = object.clone();
    let step = match (mistake, ask(event)) {
        (Mistake::GapUntold, Some(Ask::Connect { .. })) => {
            let mut step = object.handle(host, event);
            if let Some(reply) = &mut step.reply
                && let Ok(Outcome::Connected { gap, .. }) = &mut reply.answer
            {
                *gap = None;
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
