//! The host that runs the objects has one clock: an alarm rings when the wall clock has reached its
//! time, and a clock that was set back delays what is due until somebody else asks.

use crate::bugs::Bug;
use crate::bugs::mail::calm_mail;
use crate::invariants::mail_liveness;
use crate::plan::Plan;
use crate::subject::{HostClocks, Subject};

pub(super) const BUG: Bug = Bug {
    name: "alarm_follows_the_wall_clock_alone",
    source: "spec/rules/platform.md#the-native-shell",
    breaks: mail_liveness::NAME,
    subject: Subject { host_clocks: HostClocks::WallAlone, ..Subject::NATIVE },
    plan: lulled,
};

fn lulled(seed: u64) -> Plan {
    calm_mail(seed).with_a_lull()
}
