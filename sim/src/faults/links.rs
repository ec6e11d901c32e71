//! The links between machines and the object, each with whatever is wrong with it now.

use std::collections::BTreeMap;
use std::time::Duration;

use turmoil::Sim;

use crate::plan::Plan;
use crate::world::hosts::OBJECT;
use crate::world::hosts::host_of;

/// Trouble of a link; several at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Frames that the machine sends are lost.
    RequestsCut,
    /// Frames that are sent to it are lost.
    RepliesCut,
    /// All that is sent waits.
    Held,
}

/// The links of a simulation.
#[derive(Debug)]
pub struct Links {
    usual_latency: Duration,
    troubles: BTreeMap<(u8, Trouble), u32>,
    applied: BTreeMap<u8, (bool, bool, bool)>,
}

impl Links {
    /// Undisturbed links.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let (least, most) = plan.latency_ms;
        Self {
            usual_latency: Duration::from_millis(most.max(least).max(1)),
            troubles: BTreeMap::new(),
            applied: BTreeMap::new(),
        }
    }

    /// A trouble begins.
    pub fn add(&mut self, sim: &mut Sim<'_>, machine: u8, trouble: Trouble) {
        *self.troubles.entry((machine, trouble)).or_default() += 1;
        self.settle(sim, machine);
    }

    /// A trouble ends, unless another of its kind goes on.
    pub fn remove(&mut self, sim: &mut Sim<'_>, machine: u8, trouble: Trouble) {
        if let Some(count) = self.troubles.get_mut(&(machine, trouble)) {
            *count = count.saturating_sub(1);
        }
        self.settle(sim, machine);
    }

    /// Puts a link back to what it should be, after something else was done to it.
    pub fn settle_again(&mut self, sim: &mut Sim<'_>, machine: u8) {
        self.applied.insert(machine, (true, true, false));
        self.settle(sim, machine);
    }

    fn settle(&mut self, sim: &mut Sim<'_>, machine: u8) {
        let has = |trouble| self.troubles.get(&(machine, trouble)).is_some_and(|count| *count > 0);
        let held = has(Trouble::Held);
        let wanted = (has(Trouble::RequestsCut) && !held, has(Trouble::RepliesCut) && !held, held);
        let before = self.applied.insert(machine, wanted).unwrap_or_default();
        if before == wanted {
            return;
        }
        let host = host_of(machine);
        // Cuts and holds do not mix: each change begins from a whole link.
        if before.2 && !wanted.2 {
            sim.release(host.as_str(), OBJECT);
        }
        if before.0 && !wanted.0 {
            sim.repair_oneway(host.as_str(), OBJECT);
        }
        if before.1 && !wanted.1 {
            sim.repair_oneway(OBJECT, host.as_str());
        }
        if wanted.2 && !before.2 {
            sim.hold(host.as_str(), OBJECT);
        }
        if wanted.0 && !before.0 {
            sim.partition_oneway(host.as_str(), OBJECT);
        }
        if wanted.1 && !before.1 {
            sim.partition_oneway(OBJECT, host.as_str());
        }
    }

    /// Makes a link slow, or as fast as usual.
    pub fn slow(&self, sim: &mut Sim<'_>, machine: u8, latency_ms: Option<u64>) {
        let most = latency_ms.map_or(self.usual_latency, Duration::from_millis);
        sim.set_link_max_message_latency(host_of(machine), OBJECT, most.max(self.usual_latency));
    }
}
