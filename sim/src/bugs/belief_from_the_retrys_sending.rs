//! The client believes in a grant from the sending of the attempt that was answered. The object may
//! have executed an earlier one.

use mailbus_client::machine::Credit;

use crate::bugs::rules::Rules;
use crate::bugs::{Bug, answers_lost, planted_client};
use crate::invariants::belief_within_grant;

pub(super) const BUG: Bug = Bug {
    name: "belief_from_the_retrys_sending",
    source: "spec/rules/refuted.md#a-grant-believed-from-the-answered-attempt",
    breaks: belief_within_grant::NAME,
    subject: planted_client(|| {
        Box::new(Rules {
            grant: |acquires, _, granted| {
                let latest = acquires.recent.last().copied();
                Credit { from: acquires.named.or(latest).unwrap_or(acquires.first), ttl: granted }
            },
            ..Rules::SOUND
        })
    }),
    plan: answers_lost,
};
