//! Reading the inbox without being pushed to.

use mailbus_spec::Ordinal;
use mailbus_spec::mailbox::{Ask, Outcome, Pending, Rejection, Settled};
use mailbus_spec::wire::mailbox::derived_id;

use crate::history::Treated;
use crate::marks::Mark;
use crate::workload::mail::handler::Given;
use crate::workload::mail::mailing::Mailing;
use crate::workload::mail::patterns;

/// Messages of one page.
const PAGE: usize = 8;
/// Most pages of one reading.
const PAGES: usize = 12;

/// An agent without a session says what it wants, and asks for it now and then.
pub(super) async fn begin(mailing: &Mailing) {
    let agent = mailing.agent.clone();
    let types = patterns(mailing.plan.patterns.as_deref().unwrap_or(&[0, 1]));
    mailing.ask(Ask::Subscribe { agent, types }).await;
}

/// Reads what is new, page by page, and settles what it has read.
pub(super) async fn poll(mailing: &Mailing, ack: bool) {
    for _ in 0..PAGES {
        let after = mailing.read_through.get();
        let ask = Ask::Inbox { agent: mailing.agent.clone(), after, limit: PAGE };
        let Some(reply) = mailing.ask(ask).await else { return };
        let (messages, through) = match reply.answer {
            Ok(Outcome::Inbox { messages, complete_through, .. }) => (messages, complete_through),
            Err(Rejection::Ahead { .. }) => {
                mailing.stage.reach(Mark::Ahead);
                mailing.read_through.set(Ordinal::ZERO);
                return;
            }
            _ => return,
        };
        mailing.stage.reach(Mark::InboxRead);
        if ack && !messages.is_empty() {
            settle(mailing, &messages).await;
        }
        mailing.read_through.set(through);
        if messages.len() < PAGE {
            return;
        }
    }
}

async fn settle(mailing: &Mailing, messages: &[Pending]) {
    for Pending { seq, message, .. } in messages {
        let id = message.id.as_ref().map_or_else(|| derived_id(*seq), |id| id.as_str().to_owned());
        let given = Given {
            began: mailing.stage.now(),
            from: message.from.clone(),
            id,
            seq: Some(*seq),
            payload: message.payload.clone().unwrap_or_default(),
        };
        // Reading the same page again is no second handling.
        given.note(mailing, format!("read-{}", mailing.next_session()), Treated::Done);
    }
    let seqs = messages.iter().map(|pending| pending.seq).collect();
    let ask = Ask::Ack { agent: mailing.agent.clone(), what: Settled::Seqs(seqs) };
    mailing.ask(ask).await;
}
