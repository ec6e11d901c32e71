//! Stories of agents and leases: questions, what an admin does after one, a client of the original's
//! protocol, and the claim of every agent after the healing. In files of their own:
//!
//! | file | stories |
//! |---|---|
//! | `hold.rs` | holding a set with the production client |
//! | `manual.rs` | holding a set by plain commands, without renewal or belief |

pub(super) mod hold;
pub(super) mod manual;

use std::time::Duration;

use mailbus_client::error::CallError;
use mailbus_client::lease::PathStatus;
use mailbus_client::session::lease::Acquisition;
use mailbus_client::transport::Object;
use mailbus_spec::{LeasePath, Ttl, Wait};

use crate::judge::history::marks::Mark;
use crate::plan::{PATHS, path_set};
use crate::workload::agent::Agent;
use crate::world::context::PROBE_TTL_MS;
use crate::world::operator::post;

/// Time after the healing at which agents ask.
const AFTER_MS: u64 = 1_000;
/// Longer than any bound of liveness.
const PATIENCE: Duration = Duration::from_secs(3_600);

fn note_unknown<T>(agent: &Agent, answer: Result<T, CallError>) -> Option<T> {
    if matches!(answer, Err(CallError::Unanswered)) {
        agent.context.reach(Mark::UnknownOutcome);
    }
    answer.ok()
}

pub(super) async fn status(agent: &Agent, path: &LeasePath) {
    note_unknown(agent, agent.client.status(path.clone()).await);
}

pub(super) async fn verify(agent: &Agent, path: &LeasePath) {
    if let Some(token) = agent.context.largest_token_at(path) {
        note_unknown(agent, agent.client.verify(path.clone(), token).await);
    }
}

pub(super) async fn list(agent: &Agent) {
    note_unknown(agent, agent.client.list("src/", None, 10).await);
}

/// Ends whatever lease covers the path when the question is answered. What must not drain clears the path:
/// the first ticket for it is ended too.
pub(super) async fn force(agent: &Agent, path: &LeasePath, drain: bool) {
    let client = &agent.client;
    let status = note_unknown(agent, client.status(path.clone()).await);
    if let Some(PathStatus::Held { lease, .. }) = status {
        note_unknown(agent, client.force_release(lease.token, "planned", drain).await);
    }
    if drain {
        return;
    }
    let Some(page) = note_unknown(agent, client.tickets(path.as_str(), 0, 1).await) else { return };
    for ticket in page.tickets {
        let ended = client.force_ticket(ticket.arrival, page.generation).await;
        note_unknown(agent, ended);
    }
}

/// Takes a path, and gives it back, as a client of the original's protocol: no session, no request id, no
/// token.
pub(super) async fn hold_as_original(agent: &Agent, path: &LeasePath, ttl_ms: u64, hold_ms: u64) {
    let name = format!("original-{}", agent.holder.agent);
    // It renews by acquiring again, the second time for less: what it has is not shortened by that.
    for ttl_ms in [ttl_ms, ttl_ms.div_ceil(2), ttl_ms] {
        let lock = serde_json::json!({ "file": path.as_str(), "agentId": name, "ttlMs": ttl_ms });
        if post(&agent.context, Object::Lease, "acquire", lock.to_string()).await.is_ok() {
            agent.context.reach(Mark::OriginalServed);
        }
        agent.context.pause_until_heal(Duration::from_millis(hold_ms / 3)).await;
    }
    let unlock = serde_json::json!({ "file": path.as_str(), "agentId": name });
    let _ = post(&agent.context, Object::Lease, "release", unlock.to_string()).await;
}

/// Asks once more after the healing: it has to be let through.
pub(super) async fn probe(agent: Agent, number: u8) {
    agent.context.sleep_until(agent.context.heals_at().plus_ms(AFTER_MS)).await;
    // The first asks for everything at once: large claims are not starved.
    let numbers: Vec<u8> = if number == 0 { (0..PATHS).collect() } else { vec![number % PATHS] };
    let (Some(paths), Some(ttl)) =
        (path_set(&numbers, &agent.holder.agent), Ttl::from_ms(PROBE_TTL_MS))
    else {
        return;
    };
    let wanted = Acquisition::new(paths.clone()).ttl(ttl).wait(Wait::DEFAULT).patience(PATIENCE);
    let claim = agent.context.begin_claim(&agent.holder, &paths, agent.context.now());
    let acquired = agent.client.acquire(wanted).await;
    agent.context.end_claim(claim, acquired.is_ok());
    if let Ok(lease) = acquired {
        let _ = lease.release().await;
    }
}
