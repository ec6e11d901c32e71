//! After the healing every agent asks once more: it has to be let through.

use std::time::Duration;

use mailbus_client::session::lease::Acquisition;
use mailbus_spec::{Ttl, Wait};

use crate::plan::{PATHS, path_set};
use crate::workload::Agent;
use crate::world::context::PROBE_TTL_MS;
use crate::world::hosts::sleep_until;

/// How long after the healing agents ask.
const AFTER_MS: u64 = 1_000;
/// Longer than any bound of liveness.
const PATIENCE: Duration = Duration::from_secs(3_600);

pub(in crate::workload) async fn probe(agent: Agent, number: u8) {
    sleep_until(&agent.context, agent.context.heals_at().plus_ms(AFTER_MS)).await;
    // The first asks for everything at once: large claims are not starved.
    let numbers: Vec<u8> = if number == 0 { (0..PATHS).collect() } else { vec![number % PATHS] };
    let (Some(paths), Some(ttl)) = (path_set(&numbers), Ttl::from_ms(PROBE_TTL_MS)) else { return };
    let wanted = Acquisition::new(paths.clone()).ttl(ttl).wait(Wait::DEFAULT).patience(PATIENCE);
    let claim = agent.context.begin_claim(&agent.holder, &paths, agent.context.now());
    let acquired = agent.client.acquire(wanted).await;
    agent.context.end_claim(claim, acquired.is_ok());
    if let Ok(lease) = acquired {
        let _ = lease.release().await;
    }
}
