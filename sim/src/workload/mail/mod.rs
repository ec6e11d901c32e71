//! What agents do with mail, by whichever means they get it.

mod asking;
mod bus;
mod handler;
pub(crate) mod mailing;
mod original;
mod probe;
mod reading;
mod sending;

use mailbus_spec::mailbox::{Pattern, Patterns};

use crate::plan::MailMeans;
use crate::plan::mail::{EVERYTHING, KINDS, MailAction, NOBODY, PREFIXED};
use crate::workload::Agent;

pub(crate) use mailing::Mailing;

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
pub(crate) async fn receive(mailing: Mailing) {
    match mailing.plan.by {
        MailMeans::Bus { .. } => bus::receive(&mailing).await,
        MailMeans::Original => original::receive(&mailing, None).await,
        MailMeans::Poll => reading::begin(&mailing).await,
    }
}

/// Does one operation.
pub(super) async fn perform(agent: &Agent, index: usize, action: &MailAction) {
    let Some(mailing) = &agent.mailing else { return };
    match action {
        MailAction::Send { .. } => sending::send(mailing, index, action).await,
        MailAction::Contradict { pause_ms } => {
            sending::contradict(mailing, index, *pause_ms).await;
        }
        MailAction::Subscribe { pattern: number } => {
            asking::subscribe(mailing, &pattern(*number)).await;
        }
        MailAction::Unsubscribe { pattern: number } => {
            asking::unsubscribe(mailing, &pattern(*number)).await;
        }
        MailAction::Poll { ack } => reading::poll(mailing, *ack).await,
        MailAction::Redrive => asking::redrive(mailing).await,
        MailAction::AcknowledgeGap => asking::acknowledge_gap(mailing).await,
        MailAction::Forget { agent } => asking::forget(mailing, *agent).await,
        MailAction::Twin { for_ms } => match mailing.plan.by {
            MailMeans::Bus { .. } => bus::twin(mailing, index, *for_ms).await,
            MailMeans::Original => original::twin(mailing, *for_ms).await,
            MailMeans::Poll => {}
        },
    }
}

pub(super) use probe::probe;
