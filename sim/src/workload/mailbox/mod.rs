//! What agents do with mail, by whichever means they get it.

mod bus;
mod handler;
mod original;
mod poll;
mod probe;
pub(crate) mod process;
mod query;
mod sending;

use mailbus_spec::mailbox::{Pattern, Patterns};

use crate::plan::Transport;
use crate::plan::mail::{EVERYTHING, KINDS, MailAction, NOBODY, PREFIXED};
use crate::workload::Agent;

pub(crate) use process::Process;

/// The type with this number.
pub(crate) fn kind(number: u8) -> String {
    format!("news.{}", number % KINDS)
}

/// The pattern with this number.
pub(crate) fn pattern(number: u8) -> Pattern {
    let text = match number {
        PREFIXED => "news.*".to_owned(),
        EVERYTHING => "*".to_owned(),
        other => kind(other),
    };
    Pattern::new(text).expect("a plain pattern")
}

fn patterns(numbers: &[u8]) -> Patterns {
    numbers.iter().map(|number| pattern(*number)).collect()
}

/// The name of an agent, or of nobody.
pub(crate) fn name_of(number: u8) -> mailbus_spec::AgentId {
    let name = if number >= NOBODY { format!("nobody-{number}") } else { format!("a{number}") };
    mailbus_spec::AgentId::new(name).expect("a plain name")
}

/// Gets an agent's mail for as long as its process runs.
pub(crate) async fn receive(process: Process) {
    match process.plan.by {
        Transport::Bus { .. } => bus::receive(&process).await,
        Transport::Original => original::receive(&process, None).await,
        Transport::Poll => poll::begin(&process).await,
    }
}

/// Does one operation.
pub(super) async fn perform(agent: &Agent, index: usize, action: &MailAction) {
    let Some(process) = &agent.mailbox else { return };
    match action {
        MailAction::Send { .. } => sending::send(process, index, action).await,
        MailAction::Contradict { pause_ms } => {
            sending::contradict(process, index, *pause_ms).await;
        }
        MailAction::Subscribe { pattern: number } => {
            query::subscribe(process, &pattern(*number)).await;
        }
        MailAction::Unsubscribe { pattern: number } => {
            query::unsubscribe(process, &pattern(*number)).await;
        }
        MailAction::Poll { ack } => poll::poll(process, *ack).await,
        MailAction::Redrive => query::redrive(process).await,
        MailAction::AcknowledgeGap => query::acknowledge_gap(process).await,
        MailAction::Forget { agent } => query::forget(process, *agent).await,
        MailAction::DuplicateProcess { for_ms } => match process.plan.by {
            Transport::Bus { .. } => bus::duplicate(process, index, *for_ms).await,
            Transport::Original => original::duplicate(process, *for_ms).await,
            Transport::Poll => {}
        },
    }
}

pub(super) use probe::probe;
