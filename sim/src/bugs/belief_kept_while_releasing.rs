//! The client believes until its release is confirmed. By then another may hold the lease.

use mailbus_client::machine::Ending;

use crate::bugs::rules::Rules;
use crate::bugs::{Bug, mixed, planted_client};
use crate::invariants::belief_within_grant;

pub(super) const BUG: Bug = Bug {
    name: "belief_kept_while_releasing",
    source: "spec/rules/refuted.md#belief-until-the-release-is-answered",
    breaks: belief_within_grant::NAME,
    subject: planted_client(|| {
        Box::new(Rules { outlives: |ending| ending == Ending::Release, ..Rules::SOUND })
    }),
    plan: mixed,
};
