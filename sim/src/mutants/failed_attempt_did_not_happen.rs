//! The client takes an attempt that failed for one that was not carried out, and counts from the next.

use mailbus_client::session::lease::Credit;

use crate::invariants::belief_within_grant;
use crate::mutants::rules::Rules;
use crate::mutants::{Mutant, answers_lost, planted_client};

pub(super) const MUTANT: Mutant = Mutant {
    name: "failed_attempt_did_not_happen",
    source: "spec/rules/refuted.md#a-grant-believed-from-the-answered-attempt",
    breaks: belief_within_grant::NAME,
    sut: planted_client(|| {
        Box::new(Rules {
            grant: |acquires, _, granted| {
                let alive = acquires.recent.iter().find(|sending| !sending.failed);
                Credit { from: *alive.unwrap_or(&acquires.first), ttl: granted }
            },
            ..Rules::SOUND
        })
    }),
    plan: answers_lost,
};
