//! The client's rules with one of them replaced.

use mailbus_client::session::lease::{Attempts, Credit, CreditRules, Ending, Sound};
use mailbus_spec::Ttl;
use mailbus_spec::belief::{Belief, ClockAnomaly, ClockBound, Reading};

/// Rules, each a function of its own: a bug replaces one and leaves the others as they are in
/// [`Rules::SOUND`].
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub grant: fn(&Attempts<'_>, Ttl, Ttl) -> Credit,
    pub renewal: fn(&Attempts<'_>, Ttl) -> Option<Credit>,
    pub belief: fn(&Credit, &ClockBound) -> Belief,
    pub holds: fn(&Belief, Reading) -> bool,
    pub compare: fn(Reading, Reading, &ClockBound) -> Result<(), ClockAnomaly>,
    pub outlives: fn(Ending) -> bool,
}

impl Rules {
    /// The rules of production.
    pub const SOUND: Self = Self {
        grant: |acquires, asked, granted| Sound.grant(acquires, asked, granted),
        renewal: |renewals, ttl| Sound.renewal(renewals, ttl),
        belief: |credit, bound| Sound.belief(credit, bound),
        holds: |belief, at| Sound.holds(belief, at),
        compare: |earlier, later, bound| Sound.compare(earlier, later, bound),
        outlives: |ending| Sound.outlives(ending),
    };
}

impl CreditRules for Rules {
    fn grant(&self, acquires: &Attempts<'_>, asked: Ttl, granted: Ttl) -> Credit {
        (self.grant)(acquires, asked, granted)
    }

    fn renewal(&self, renewals: &Attempts<'_>, ttl: Ttl) -> Option<Credit> {
        (self.renewal)(renewals, ttl)
    }

    fn belief(&self, credit: &Credit, bound: &ClockBound) -> Belief {
        (self.belief)(credit, bound)
    }

    fn holds(&self, belief: &Belief, at: Reading) -> bool {
        (self.holds)(belief, at)
    }

    fn compare(
        &self,
        earlier: Reading,
        later: Reading,
        bound: &ClockBound,
    ) -> Result<(), ClockAnomaly> {
        (self.compare)(earlier, later, bound)
    }

    fn outlives(&self, ending: Ending) -> bool {
        (self.outlives)(ending)
    }
}
