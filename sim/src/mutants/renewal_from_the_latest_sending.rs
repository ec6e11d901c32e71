//! The client takes an answer to a renewal for the answer to the last one it sent.

use mailbus_client::session::lease::Credit;

use crate::invariants::belief_within_grant;
use crate::mutants::rules::Rules;
use crate::mutants::{Mutant, planted_client};
use crate::plan::{Action, Fault, FaultKind, Plan, Profile};

pub(super) const MUTANT: Mutant = Mutant {
    name: "renewal_from_the_latest_sending",
    source: "spec/rules/refuted.md#a-renewal-believed-from-the-latest-attempt",
    breaks: belief_within_grant::NAME,
    sut: planted_client(|| {
        Box::new(Rules {
            renewal: |renewals, ttl| {
                let latest = renewals.recent.last().copied();
                latest.map(|from| Credit { from, ttl })
            },
            ..Rules::SOUND
        })
    }),
    plan: slow_and_then_cut,
};

/// One computer whose link is slow for a while and then takes no requests: answers to attempts that
/// were given up on still come, and what was sent since is lost. Leases are short, so that belief runs
/// out meanwhile.
fn slow_and_then_cut(seed: u64) -> Plan {
    let mut plan = Plan::with_leases_alone(seed, Some(Profile::Calm));
    plan.machines.truncate(1);
    plan.agents.iter_mut().for_each(|agent| agent.machine = 0);
    for operation in &mut plan.operations {
        if let Action::Hold { ttl_ms, hold_ms, .. } = &mut operation.action {
            *ttl_ms = (*ttl_ms).clamp(2_000, 6_000);
            *hold_ms = 20_000;
        }
    }
    plan.operations
        .retain(|operation| matches!(operation.action, Action::Hold { renew: true, .. }));
    plan.faults.clear();
    for at_ms in (5_000..plan.heal_at_ms - 30_000).step_by(20_000) {
        let slow = FaultKind::Slow { machine: 0, latency_ms: 2_500, for_ms: 10_000 };
        let cut = FaultKind::CutRequests { machine: 0, for_ms: 9_000 };
        let spared_ms = 3_000 + (seed * 811 + at_ms / 7) % 6_000;
        plan.faults.push(Fault { at_ms, kind: slow });
        plan.faults.push(Fault { at_ms: at_ms + spared_ms, kind: cut });
    }
    plan
}
