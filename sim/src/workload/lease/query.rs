//! Questions, and what an admin does after one.

use mailbus_client::error::CallError;
use mailbus_client::lease::PathStatus;
use mailbus_spec::LeasePath;

use crate::judge::marks::Mark;
use crate::workload::Agent;

fn note_unknown<T>(agent: &Agent, answer: Result<T, CallError>) -> Option<T> {
    if matches!(answer, Err(CallError::Unanswered)) {
        agent.context.reach(Mark::UnknownOutcome);
    }
    answer.ok()
}

pub(in crate::workload) async fn status(agent: &Agent, path: &LeasePath) {
    note_unknown(agent, agent.client.status(path.clone()).await);
}

pub(in crate::workload) async fn verify(agent: &Agent, path: &LeasePath) {
    if let Some(token) = agent.context.largest_token_at(path) {
        note_unknown(agent, agent.client.verify(path.clone(), token).await);
    }
}

pub(in crate::workload) async fn list(agent: &Agent) {
    note_unknown(agent, agent.client.list("src/", None, 10).await);
}

/// Ends whatever lease covers the path when the question is answered.
pub(in crate::workload) async fn force(agent: &Agent, path: &LeasePath, drain: bool) {
    let status = note_unknown(agent, agent.client.status(path.clone()).await);
    if let Some(PathStatus::Held { lease, .. }) = status {
        note_unknown(agent, agent.client.force_release(lease.token, "planned", drain).await);
    }
}
