//! The client allows for clocks that run unevenly and not for one that is set: ε is missing from L.
//!
//! Source: review A8 (R1).

use mailbus_spec::belief::{Belief, ClockBound};

use crate::bugs::rules::Rules;
use crate::bugs::{Bug, planted_client, rough};
use crate::invariants::belief_within_grant;

pub(super) const BUG: Bug = Bug {
    name: "step_of_the_clock_is_left_out",
    source: "review A8 (R1)",
    breaks: belief_within_grant::NAME,
    subject: planted_client(|| {
        Box::new(Rules {
            belief: |credit, bound| {
                let without_step = ClockBound { step_ms: 0, ..*bound };
                Belief::in_term(credit.from.at, credit.ttl, &without_step)
            },
            ..Rules::SOUND
        })
    }),
    plan: rough,
};
