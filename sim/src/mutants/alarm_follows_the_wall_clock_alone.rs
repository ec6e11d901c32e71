//! The host that runs the objects has one clock: an alarm rings when the wall clock has reached its
//! time, and a clock that was set back delays what is due until somebody else asks.

use crate::invariants::mail_liveness;
use crate::mutants::Mutant;
use crate::mutants::mail::calm_mail;
use crate::plan::Plan;
use crate::sut::{HostClocks, Sut};

pub(super) const MUTANT: Mutant = Mutant {
    name: "alarm_follows_the_wall_clock_alone",
    source: "spec/rules/platform.md#the-native-shell",
    breaks: mail_liveness::NAME,
    sut: Sut { host_clocks: HostClocks::WallAlone, ..Sut::NATIVE },
    plan: lulled,
};

fn lulled(seed: u64) -> Plan {
    calm_mail(seed).with_a_lull()
}
