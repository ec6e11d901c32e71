//! The client believes until somebody tells it otherwise: paused past its TTL, it goes on as if
//! nothing had happened.

use crate::invariants::belief_exclusion;
use crate::mutants::rules::Rules;
use crate::mutants::{Mutant, planted_client, rough};

pub(super) const MUTANT: Mutant = Mutant {
    name: "belief_never_ends",
    source: "spec/rules/refuted.md#a-lease-without-a-token",
    breaks: belief_exclusion::NAME,
    sut: planted_client(|| {
        Box::new(Rules { holds: |_, _| true, compare: |_, _, _| Ok(()), ..Rules::SOUND })
    }),
    plan: rough,
};
