//! A lease still lives at the instant of its expiry: `>` stands where `>=` belongs.
//!
//! Source: the comparison in settling (LEASES.md: over when `expires_at <= now`).

use mailbus_spec::HostTime;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;

use crate::bugs::rearrange::{Planted, sparing};
use crate::bugs::{Bug, planted_object};
use crate::invariants::idempotent;

pub(super) const BUG: Bug = Bug {
    name: "alive_at_its_expiry",
    source: "LEASES.md, settle",
    breaks: idempotent::NAME,
    subject: planted_object(|| Box::new(Planted(handle))),
    profile: None,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    sparing(state, host, event, |end, now| end == now)
}
