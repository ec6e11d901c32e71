//! The client believes in a grant from the sending of the attempt that was answered. The object may
//! have executed an earlier one (review A1).

use mailbus_client::machine::{Attempts, Credit, CreditRules, Ending, Sound};
use mailbus_spec::Ttl;
use mailbus_spec::belief::{Belief, ClockAnomaly, ClockBound, Reading};

use crate::bugs::Bug;
use crate::invariants::belief_within_grant;
use crate::subject::{ObjectVariant, Subject};

pub(super) const BUG: Bug = Bug {
    name: "belief_from_the_retrys_sending",
    breaks: belief_within_grant::NAME,
    subject: Subject {
        object: ObjectVariant::Native,
        client: || Box::new(FromTheRetrysSending),
    },
    profile: None,
};

struct FromTheRetrysSending;

impl CreditRules for FromTheRetrysSending {
    fn grant(&self, acquires: &Attempts<'_>, _asked: Ttl, granted: Ttl) -> Credit {
        let latest = acquires.recent.last().copied();
        Credit { from: acquires.named.or(latest).unwrap_or(acquires.first), ttl: granted }
    }

    fn renewal(&self, renewals: &Attempts<'_>, ttl: Ttl) -> Option<Credit> {
        Sound.renewal(renewals, ttl)
    }

    fn holds(&self, belief: &Belief, at: Reading) -> bool {
        Sound.holds(belief, at)
    }

    fn compare(
        &self,
        earlier: Reading,
        later: Reading,
        bound: &ClockBound,
    ) -> Result<(), ClockAnomaly> {
        Sound.compare(earlier, later, bound)
    }

    fn outlives(&self, ending: Ending) -> bool {
        Sound.outlives(ending)
    }
}
