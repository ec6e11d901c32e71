//! The client believes until somebody tells it otherwise: paused past its TTL, it goes on as if
//! nothing had happened.

use crate::bugs::rules::Rules;
use crate::bugs::{Bug, planted_client, rough};
use crate::invariants::belief_exclusion;

pub(super) const BUG: Bug = Bug {
    name: "belief_never_ends",
    source: "spec/rules/refuted.md#a-lease-without-a-token",
    breaks: belief_exclusion::NAME,
    subject: planted_client(|| {
        Box::new(Rules { holds: |_, _| true, compare: |_, _, _| Ok(()), ..Rules::SOUND })
    }),
    plan: rough,
};
