//! The client believes until its release is confirmed. By then another may hold the lease.

use mailbus_client::session::lease::Ending;

use crate::invariants::belief_within_grant;
use crate::mutants::rules::Rules;
use crate::mutants::{Mutant, mixed, planted_client};

pub(super) const MUTANT: Mutant = Mutant {
    name: "belief_kept_while_releasing",
    source: "spec/rules/refuted.md#belief-until-the-release-is-answered",
    breaks: belief_within_grant::NAME,
    sut: planted_client(|| {
        Box::new(Rules { outlives: |ending| ending == Ending::Release, ..Rules::SOUND })
    }),
    plan: mixed,
};
