//! Plain commands about mail.

use mailbus_spec::Ordinal;
use mailbus_spec::mailbox::{Ask, DeadLetter, Outcome, Pattern, Patterns, Settled};

use crate::judge::marks::Mark;
use crate::workload::mailbox::name_of;
use crate::workload::mailbox::process::Process;

/// Most dead letters that are given a second chance at a time.
const LETTERS: usize = 10;

pub(super) async fn subscribe(process: &Process, pattern: &Pattern) {
    let (agent, types) = (process.agent.clone(), Patterns::from([pattern.clone()]));
    process.ask(Ask::Subscribe { agent, types }).await;
}

pub(super) async fn unsubscribe(process: &Process, pattern: &Pattern) {
    let (agent, types) = (process.agent.clone(), Patterns::from([pattern.clone()]));
    process.ask(Ask::Unsubscribe { agent, types }).await;
}

pub(super) async fn redrive(process: &Process) {
    let agent = process.agent.clone();
    let ask = Ask::DeadLetters { agent: agent.clone(), after: Ordinal::ZERO, limit: LETTERS };
    let Some(reply) = process.ask(ask).await else { return };
    let Ok(Outcome::DeadLetters { letters, .. }) = reply.answer else { return };
    let seqs: Vec<Ordinal> = letters.iter().map(|DeadLetter { seq, .. }| *seq).collect();
    if seqs.is_empty() {
        return;
    }
    let redriven = process.ask(Ask::Redrive { agent, seqs }).await.map(|reply| reply.answer);
    if matches!(redriven, Some(Ok(Outcome::Redriven { redriven: 1.., .. }))) {
        process.context.reach(Mark::Redriven);
    }
}

pub(super) async fn acknowledge_gap(process: &Process) {
    let agent = process.agent.clone();
    let ask = Ask::Inbox { agent: agent.clone(), after: Ordinal::ZERO, limit: 1 };
    let Some(reply) = process.ask(ask).await else { return };
    if let Ok(Outcome::Inbox { gap: Some(gap), .. }) = reply.answer {
        process.ask(Ask::Ack { agent, what: Settled::Gap(gap.through) }).await;
    }
}

/// Over HTTP, as an admin does.
pub(super) async fn forget(process: &Process, number: u8) {
    process.ask(Ask::Forget { agent: name_of(number) }).await;
}
