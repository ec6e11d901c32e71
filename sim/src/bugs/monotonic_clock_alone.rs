//! The client measures by its monotonic clock, "which nobody can set": while the computer sleeps it
//! stands still.

use crate::bugs::rules::Rules;
use crate::bugs::{Bug, planted_client, rough};
use crate::invariants::belief_within_grant;

pub(super) const BUG: Bug = Bug {
    name: "monotonic_clock_alone",
    source: "spec/rules/refuted.md#belief-by-the-monotonic-clock-alone",
    breaks: belief_within_grant::NAME,
    subject: planted_client(|| {
        Box::new(Rules {
            holds: |belief, at| at.monotonic.saturating_sub(belief.sent.monotonic) < belief.lasts,
            compare: |_, _, _| Ok(()),
            ..Rules::SOUND
        })
    }),
    plan: rough,
};
