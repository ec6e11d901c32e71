//! Operations of agents on mail, by whichever means they get it.

mod bus;
mod handler;
mod original;
mod poll;
pub(crate) mod process;
mod sending;

use mailbus_spec::mailbox::{Ask, DeadLetter, Outcome, Pattern, Patterns, Settled};
use mailbus_spec::{Ordinal, limits};

use crate::judge::history::marks::Mark;
use crate::plan::mail::{MailAction, kind, name_of, pattern};
use crate::plan::{HandlerScript, Transport};

use process::Process;
use sending::{Letter, payload, send_one};

/// Milliseconds from the healing until agents send: by then each has a session again, or soon.
const AFTER_MS: u64 = 1_500;

/// Most dead letters that are given a second chance at a time.
const LETTERS: usize = 10;

/// Gets an agent's mail for as long as its process runs.
pub(super) async fn receive(process: Process) {
    match process.plan.by {
        Transport::Bus { .. } => bus::receive(&process).await,
        Transport::Original => original::receive(&process, None).await,
        Transport::Poll => poll::begin(&process).await,
    }
}

/// Does one operation.
pub(super) async fn perform(process: &Process, index: usize, action: &MailAction) {
    match action {
        MailAction::Send { .. } => sending::send(process, index, action).await,
        MailAction::Contradict { pause_ms } => {
            sending::contradict(process, index, *pause_ms).await;
        }
        MailAction::Subscribe { pattern: number } => {
            subscribe(process, &pattern(*number)).await;
        }
        MailAction::Unsubscribe { pattern: number } => {
            unsubscribe(process, &pattern(*number)).await;
        }
        MailAction::Poll { ack } => poll::poll(process, *ack).await,
        MailAction::Redrive => redrive(process).await,
        MailAction::AcknowledgeGap => acknowledge_gap(process).await,
        MailAction::Forget { agent } => forget(process, *agent).await,
        MailAction::DuplicateProcess { for_ms } => match process.plan.by {
            Transport::Bus { .. } => bus::duplicate(process, index, *for_ms).await,
            Transport::Original => original::duplicate(process, *for_ms).await,
            Transport::Poll => {}
        },
    }
}

async fn subscribe(process: &Process, pattern: &Pattern) {
    let (agent, types) = (process.agent.clone(), Patterns::from([pattern.clone()]));
    process.ask(Ask::Subscribe { agent, types }).await;
}

async fn unsubscribe(process: &Process, pattern: &Pattern) {
    let (agent, types) = (process.agent.clone(), Patterns::from([pattern.clone()]));
    process.ask(Ask::Unsubscribe { agent, types }).await;
}

async fn redrive(process: &Process) {
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

async fn acknowledge_gap(process: &Process) {
    let agent = process.agent.clone();
    let ask = Ask::Inbox { agent: agent.clone(), after: Ordinal::ZERO, limit: 1 };
    let Some(reply) = process.ask(ask).await else { return };
    if let Ok(Outcome::Inbox { gap: Some(gap), .. }) = reply.answer {
        process.ask(Ask::Ack { agent, what: Settled::Gap(gap.through) }).await;
    }
}

/// Over HTTP, as an admin does who has looked for the agent in the list. A name that never connected is not in
/// it, and has no epoch.
async fn forget(process: &Process, number: u8) {
    let agent = name_of(number);
    let Some(reply) = process.ask(Ask::Agents { after: None, limit: limits::LIST_MAX }).await
    else {
        return;
    };
    let Ok(Outcome::Agents { agents, .. }) = reply.answer else { return };
    let epoch = agents.iter().find(|entry| entry.agent == agent).map(|entry| entry.epoch);
    process.ask(Ask::Forget { agent, epoch }).await;
}

/// Sends something after the healing: it has to come through.
pub(super) async fn probe(process: Process) {
    process.context.sleep_until(process.context.heals_at().plus_ms(AFTER_MS)).await;
    if process.plan.by == Transport::Poll {
        return;
    }
    let agents = &process.context.plan.agents;
    let next = agents.iter().find(|other| other.agent > process.number).or(agents.first());
    let Some(next) = next.map(|other| other.agent) else { return };
    for (to, number) in [(Some(name_of(next)), 0), (None, process.number)] {
        let letter = Letter {
            id: format!("{}-probe-{}-{}", process.agent, process.run, u8::from(to.is_some())),
            to,
            kind: kind(number),
            payload: payload(HandlerScript::Done, 0),
            ack_required: true,
            must_know: false,
            ephemeral: false,
        };
        send_one(&process, letter).await;
    }
}
