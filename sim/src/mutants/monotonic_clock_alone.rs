//! The client measures by its monotonic clock, "which nobody can set": while the computer sleeps it
//! stands still.

use crate::invariants::belief_within_grant;
use crate::mutants::rules::Rules;
use crate::mutants::{Mutant, planted_client, rough};

pub(super) const MUTANT: Mutant = Mutant {
    name: "monotonic_clock_alone",
    source: "spec/rules/refuted.md#belief-by-the-monotonic-clock-alone",
    breaks: belief_within_grant::NAME,
    sut: planted_client(|| {
        Box::new(Rules {
            holds: |belief, at| at.monotonic.saturating_sub(belief.sent.monotonic) < belief.lasts,
            compare: |_, _, _| Ok(()),
            ..Rules::SOUND
        })
    }),
    plan: rough,
};
