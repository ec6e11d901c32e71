//! Holding a set with the production client: acquire, write while it is valid, end it.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use mailbus_client::error::AcquireError;
use mailbus_client::session::lease::{Acquisition, LossCause};
use mailbus_spec::{Ttl, Wait};

use crate::judge::history::marks::Mark;
use crate::plan::{Action, Ending, path_set};
use crate::workload::agent::Agent;
use crate::workload::agent::Guard;

/// Patience of an agent that was given none of its own.
const PATIENCE_MS: u64 = 600_000;
/// Time for which an agent works between two writes.
const WORK: Duration = Duration::from_millis(700);

pub(in crate::workload) async fn hold(agent: &Agent, action: &Action) {
    let Action::Hold { paths, ttl_ms, wait_ms, patience_ms, hold_ms, ending, .. } = action else {
        return;
    };
    let (Some(paths), Some(ttl)) = (path_set(paths, &agent.holder.agent), Ttl::from_ms(*ttl_ms))
    else {
        return;
    };
    let wait = wait_ms.and_then(Wait::from_ms);
    let patience_ms = wait.map_or(0, |_| patience_ms.unwrap_or(PATIENCE_MS));
    let wanted = Acquisition::new(paths)
        .ttl(ttl)
        .wait(wait.unwrap_or(Wait::DEFAULT))
        .patience(Duration::from_millis(patience_ms));
    let Some(lease) = acquire(agent, wanted).await else { return };
    work(agent, &lease, Duration::from_millis(*hold_ms)).await;
    match ending {
        Ending::Release => drop(lease.release().await),
        // The production client renews for as long as it holds: letting go is dropping the guard.
        Ending::Lapse => drop(lease),
    }
}

/// Acquires; a claim that still waits when the world heals has to be let through.
pub(in crate::workload) async fn acquire(agent: &Agent, wanted: Acquisition) -> Option<Guard> {
    let paths = wanted.paths.clone();
    let mut acquiring = pin!(agent.client.acquire(wanted).fuse());
    let mut healing = pin!(agent.context.sleep_until(agent.context.heals_at()).fuse());
    let mut claim = None;
    let acquired = loop {
        select_biased! {
            acquired = acquiring => break acquired,
            () = healing => {
                let asked = agent.context.now();
                claim = Some(agent.context.begin_claim(&agent.holder, &paths, asked));
            }
        }
    };
    if let Some(number) = claim {
        agent.context.end_claim(number, acquired.is_ok());
    }
    match acquired {
        Ok(lease) => Some(lease),
        Err(error) => {
            if error == AcquireError::Unanswered {
                agent.context.reach(Mark::UnknownOutcome);
            }
            agent
                .context
                .note(format!("client      {} does not hold {paths:?}: {error}", agent.holder));
            None
        }
    }
}

/// Writes for as long as the lease is valid, each write some time after it was found to be.
async fn work(agent: &Agent, lease: &Guard, span: Duration) {
    let began = agent.context.now();
    let span_us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    while !agent.context.has_healed() && agent.context.now().0 < began.0.saturating_add(span_us) {
        if !lease.is_valid() {
            if let Some(LossCause::Clock(_)) = lease.lost().now_or_never() {
                agent.context.reach(Mark::ClockAnomaly);
            }
            return;
        }
        agent.context.pause_until_heal(agent.way_of_a_write()).await;
        if !lease.is_valid() {
            agent.context.reach(Mark::WroteAfterBelief);
        }
        for path in lease.paths().as_slice() {
            agent.context.write(&agent.holder, path, lease.token());
        }
        agent.context.pause_until_heal(WORK.min(span / 3)).await;
    }
}
