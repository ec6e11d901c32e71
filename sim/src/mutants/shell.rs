//! Planted bugs of the shell: of what an event has an effect on besides its object's storage.

use mailbus_conformance::mutants::{Model, mailbox};
use mailbus_spec::mailbox::MailboxMachine;

use super::hunt::PlantedBug;
use super::plans;
use crate::judge::invariants::mail_liveness;
use crate::sut::{HostClocks, Sut};

/// Attachments of sockets are set before the event's transaction has ended: of an event that was undone it
/// stays that its messages were sent.
pub(super) const ATTACHMENTS_OUTLIVE_A_ROLLBACK: mailbox::Mutant = mailbox::Mutant::model(
    "attachments_outlive_a_rollback",
    "spec/rules/refuted.md#effects-inside-a-transaction",
    || Box::new(Hasty),
);

struct Hasty;

impl Model<MailboxMachine> for Hasty {
    fn undone(&mut self, state: &MailboxMachine) -> Option<MailboxMachine> {
        Some(state.clone())
    }

    fn woken(&mut self, state: &mut MailboxMachine, leaked: Option<MailboxMachine>) {
        let Some(leaked) = leaked else { return };
        for (name, agent) in &mut state.agents {
            let live = leaked.agents.get(name).and_then(|agent| agent.live.as_ref());
            if let (Some(kept), Some(live)) = (&mut agent.live, live)
                && kept.epoch == live.epoch
            {
                kept.flights.clone_from(&live.flights);
            }
        }
    }
}

/// The host that runs the objects has one clock: an alarm rings when the wall clock has reached its time, and a
/// clock that was set back delays what is due until somebody else asks.
pub(super) const ALARM_FOLLOWS_THE_WALL_CLOCK_ALONE: PlantedBug = PlantedBug {
    name: "alarm_follows_the_wall_clock_alone",
    source: "spec/rules/platform.md#the-native-shell",
    breaks: mail_liveness::NAME,
    sut: Sut { host_clocks: HostClocks::WallAlone, ..Sut::NATIVE },
    plan: plans::lulled,
};
