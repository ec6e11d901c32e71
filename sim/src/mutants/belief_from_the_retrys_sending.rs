//! The client believes in a grant from the sending of the attempt that was answered. The object may
//! have executed an earlier one.

use mailbus_client::session::lease::Credit;

use crate::invariants::belief_within_grant;
use crate::mutants::rules::Rules;
use crate::mutants::{Mutant, answers_lost, planted_client};

pub(super) const MUTANT: Mutant = Mutant {
    name: "belief_from_the_retrys_sending",
    source: "spec/rules/refuted.md#a-grant-believed-from-the-answered-attempt",
    breaks: belief_within_grant::NAME,
    sut: planted_client(|| {
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
