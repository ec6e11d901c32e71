//! The client allows for clocks that run unevenly and not for one that is set: ε is missing from L.

use mailbus_spec::belief::{Belief, ClockBound};

use crate::invariants::belief_within_grant;
use crate::mutants::rules::Rules;
use crate::mutants::{Mutant, planted_client, rough};
use crate::plan::{Fault, FaultKind, Plan};

pub(super) const MUTANT: Mutant = Mutant {
    name: "step_of_the_clock_is_left_out",
    source: "spec/rules/refuted.md#belief-without-room-for-steps",
    breaks: belief_within_grant::NAME,
    sut: planted_client(|| {
        Box::new(Rules {
            belief: |credit, bound| {
                let without_step = ClockBound { step_ms: 0, ..*bound };
                Belief::in_term(credit.from.at, credit.ttl, &without_step)
            },
            ..Rules::SOUND
        })
    }),
    plan: set_ahead_while_silent,
};

/// All that the object's clock is set ahead, it is at once, and while nobody can renew.
fn set_ahead_while_silent(seed: u64) -> Plan {
    let mut plan = rough(seed);
    plan.faults.retain(|fault| {
        !matches!(fault.kind, FaultKind::ObjectStep { .. } | FaultKind::HostMove { .. })
    });
    let by_ms = ClockBound::PROMISED.step_ms.cast_signed();
    let at_ms = 10_000 + seed * 7_919 % (plan.heal_at_ms - 30_000);
    for machine in plan.machines.iter().map(|machine| machine.machine) {
        let kind = FaultKind::Partition { machine, for_ms: 15_000 };
        plan.faults.push(Fault { at_ms, kind });
    }
    plan.faults.push(Fault { at_ms: at_ms + 1_000, kind: FaultKind::ObjectStep { by_ms } });
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}
