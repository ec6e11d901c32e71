//! The client takes an attempt that failed for one that was not carried out, and counts from the next.

use mailbus_client::machine::Credit;

use crate::bugs::rules::Rules;
use crate::bugs::{Bug, answers_lost, planted_client};
use crate::invariants::belief_within_grant;

pub(super) const BUG: Bug = Bug {
    name: "failed_attempt_did_not_happen",
    source: "spec/rules/refuted.md#a-grant-believed-from-the-answered-attempt",
    breaks: belief_within_grant::NAME,
    subject: planted_client(|| {
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
