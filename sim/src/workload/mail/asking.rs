//! Plain commands about mail.

use mailbus_spec::Ordinal;
use mailbus_spec::mailbox::{Ask, DeadLetter, Outcome, Pattern, Patterns, Settled};

use crate::marks::Mark;
use crate::workload::mail::mailing::Mailing;
use crate::workload::mail::name_of;

/// Most dead letters that are given a second chance at a time.
const LETTERS: usize = 10;

pub(super) async fn subscribe(mailing: &Mailing, pattern: &Pattern) {
    let (agent, types) = (mailing.agent.clone(), Patterns::from([pattern.clone()]));
    mailing.ask(Ask::Subscribe { agent, types }).await;
}

pub(super) async fn unsubscribe(mailing: &Mailing, pattern: &Pattern) {
    let (agent, types) = (mailing.agent.clone(), Patterns::from([pattern.clone()]));
    mailing.ask(Ask::Unsubscribe { agent, types }).await;
}

pub(super) async fn redrive(mailing: &Mailing) {
    let agent = mailing.agent.clone();
    let ask = Ask::DeadLetters { agent: agent.clone(), after: Ordinal::ZERO, limit: LETTERS };
    let Some(reply) = mailing.ask(ask).await else { return };
    let Ok(Outcome::DeadLetters { letters, .. }) = reply.answer else { return };
    let seqs: Vec<Ordinal> = letters.iter().map(|DeadLetter { seq, .. }| *seq).collect();
    if seqs.is_empty() {
        return;
    }
    let redriven = mailing.ask(Ask::Redrive { agent, seqs }).await.map(|reply| reply.answer);
    if matches!(redriven, Some(Ok(Outcome::Redriven { redriven: 1.., .. }))) {
        mailing.stage.reach(Mark::Redriven);
    }
}

pub(super) async fn acknowledge_gap(mailing: &Mailing) {
    let agent = mailing.agent.clone();
    let ask = Ask::Inbox { agent: agent.clone(), after: Ordinal::ZERO, limit: 1 };
    let Some(reply) = mailing.ask(ask).await else { return };
    if let Ok(Outcome::Inbox { gap: Some(gap), .. }) = reply.answer {
        mailing.ask(Ask::Ack { agent, what: Settled::Gap(gap.through) }).await;
    }
}

/// Over HTTP, as an admin does.
pub(super) async fn forget(mailing: &Mailing, number: u8) {
    mailing.ask(Ask::Forget { agent: name_of(number) }).await;
}
