//! Reading the inbox without being pushed to.

use mailbus_spec::Ordinal;
use mailbus_spec::mailbox::{Ask, Outcome, Pending, Rejection, Settled};
use mailbus_spec::wire::mailbox::derived_id;

use crate::judge::history::HandlerOutcome;
use crate::judge::history::marks::Mark;
use crate::plan::mail::patterns;
use crate::workload::mailbox::handler::Given;
use crate::workload::mailbox::process::Process;

/// Messages of one page.
const PAGE: usize = 8;
/// Most pages of one reading.
const PAGES: usize = 12;

/// An agent without a session says what it wants, and asks for it now and then.
pub(super) async fn begin(process: &Process) {
    let agent = process.agent.clone();
    let types = patterns(process.plan.patterns.as_deref().unwrap_or(&[0, 1]));
    process.ask(Ask::Subscribe { agent, types }).await;
}

/// Reads what is new, page by page, and settles what it has read.
pub(super) async fn poll(process: &Process, ack: bool) {
    for _ in 0..PAGES {
        let after = process.read_through.get();
        let ask = Ask::Inbox { agent: process.agent.clone(), after, limit: PAGE };
        let Some(reply) = process.ask(ask).await else { return };
        let (messages, through) = match reply.answer {
            Ok(Outcome::Inbox { messages, complete_through, .. }) => (messages, complete_through),
            Err(Rejection::Ahead { .. }) => {
                process.context.reach(Mark::Ahead);
                process.read_through.set(Ordinal::ZERO);
                return;
            }
            _ => return,
        };
        process.context.reach(Mark::InboxRead);
        if ack && !messages.is_empty() {
            settle(process, &messages).await;
        }
        process.read_through.set(through);
        if messages.len() < PAGE {
            return;
        }
    }
}

async fn settle(process: &Process, messages: &[Pending]) {
    for Pending { seq, message, .. } in messages {
        let id = message.id.as_ref().map_or_else(|| derived_id(*seq), |id| id.as_str().to_owned());
        let given = Given {
            began: process.context.now(),
            from: message.from.clone(),
            id,
            seq: Some(*seq),
            payload: message.payload.clone().unwrap_or_default(),
        };
        // Reading the same page again is no second handling.
        given.note(process, format!("read-{}", process.next_session()), HandlerOutcome::Done);
    }
    let seqs = messages.iter().map(|pending| pending.seq).collect();
    let ask = Ask::Ack { agent: process.agent.clone(), what: Settled::Seqs(seqs) };
    process.ask(ask).await;
}
