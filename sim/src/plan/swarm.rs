//! Swarm drawing of faults: each seed has its own rates, some of them zero, so that rare combinations
//! get room.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::plan::{FOR_EVER_MS, Fault, FaultKind, Plan, Profile};

/// Clock of a machine that keeps its rate and is never set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrustedClock {
    Monotonic,
    Wall,
    Neither,
}

impl TrustedClock {
    pub(super) fn draw(random: &mut ChaCha8Rng, inside: bool) -> Self {
        if !inside && random.random_bool(0.4) {
            Self::Neither
        } else if random.random() {
            Self::Monotonic
        } else {
            Self::Wall
        }
    }
}

struct Swarm<'a> {
    random: &'a mut ChaCha8Rng,
    plan: &'a Plan,
    trusted: &'a [TrustedClock],
    inside: bool,
    /// Time by which the object's clock may still be set ahead, in ms.
    forward_left_ms: i64,
    /// Time at which much goes wrong at once, in ms.
    storms: Vec<u64>,
}

/// Time for which a storm lasts, in ms.
const STORM_MS: u64 = 8_000;

/// Draws the faults of a plan that has everything else.
pub(super) fn faults(
    random: &mut ChaCha8Rng,
    plan: &Plan,
    trusted: &[TrustedClock],
    inside: bool,
) -> Vec<Fault> {
    let forward_left_ms = if inside { 250 } else { 100_000_000 };
    let last_ms = plan.heal_at_ms - 5_000;
    let storms = (0..random.random_range(1..=4))
        .map(|_| random.random_range(1_000..last_ms - STORM_MS))
        .collect();
    let mut swarm = Swarm { random, plan, trusted, inside, forward_left_ms, storms };
    let mut faults = Vec::new();
    // A lull is everybody's, and drawn apart.
    for name in FaultKind::NAMES.iter().filter(|name| **name != "lull") {
        for _ in 0..swarm.how_many(name) {
            let mut last = swarm.fault(name);
            while let Some(fault) = last {
                last = swarm.follows(&fault);
                faults.push(fault);
            }
        }
    }
    faults.extend(swarm.rest_of_the_bound());
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

impl Swarm<'_> {
    fn how_many(&mut self, name: &str) -> u32 {
        let (chance, most) = match self.plan.profile {
            Profile::Calm => (0.08, 2),
            Profile::Rough => (0.3, 4),
            Profile::Hostile => (0.5, 6),
        };
        let chance = if name == "restore" { chance / 4.0 } else { chance };
        // Clocks outside the bound are there to break something.
        let chance = if name == "object clock step" && !self.inside { 1.0 } else { chance };
        if self.random.random_bool(chance) { self.random.random_range(1..=most) } else { 0 }
    }

    fn fault(&mut self, name: &str) -> Option<Fault> {
        let at_ms = self.when_ms();
        let kind = self.kind(name)?;
        let over = |kind: &FaultKind| at_ms + kind.lasts_ms() <= self.plan.heal_at_ms;
        let lasting = matches!(kind, FaultKind::AlarmLost { for_ms: FOR_EVER_MS });
        (lasting || over(&kind)).then_some(Fault { at_ms, kind })
    }

    /// A link that was bad is often bad again, and in another way, before or soon after it is good.
    fn follows(&mut self, fault: &Fault) -> Option<Fault> {
        let machine = match fault.kind {
            FaultKind::CutRequests { machine, .. }
            | FaultKind::CutReplies { machine, .. }
            | FaultKind::Partition { machine, .. }
            | FaultKind::Hold { machine, .. }
            | FaultKind::Slow { machine, .. } => machine,
            _ => return None,
        };
        if self.random.random_bool(0.5) {
            return None;
        }
        let for_ms = self.while_ms();
        let kind = match self.random.random_range(0..6) {
            0..3 => FaultKind::CutRequests { machine, for_ms },
            3 => FaultKind::CutReplies { machine, for_ms },
            4 => FaultKind::Partition { machine, for_ms },
            _ => FaultKind::Loss { machine, sent_by_machine: self.random.random() },
        };
        let at_ms = fault.at_ms + self.random.random_range(300..=fault.kind.lasts_ms() + 5_000);
        let over = at_ms + kind.lasts_ms() <= self.plan.heal_at_ms;
        over.then_some(Fault { at_ms, kind })
    }

    /// Mostly, the object's clock is set ahead as far as the bound allows: what is wrong at the edge
    /// is seen at the edge.
    fn rest_of_the_bound(&mut self) -> Option<Fault> {
        let is_calm = self.plan.profile == Profile::Calm;
        let by_ms = self.forward_left_ms;
        if !self.inside || is_calm || by_ms <= 0 || self.random.random_bool(0.3) {
            return None;
        }
        let at_ms = self.when_ms();
        Some(Fault { at_ms, kind: FaultKind::ObjectStep { by_ms } })
    }

    /// Troubles seldom come alone: most are a part of a storm.
    fn when_ms(&mut self) -> u64 {
        if self.random.random_bool(0.4) {
            return self.random.random_range(1_000..self.plan.heal_at_ms - 5_000);
        }
        let storm = self.random.random_range(0..self.storms.len());
        self.storms[storm] + self.random.random_range(0..STORM_MS)
    }

    fn machine(&mut self) -> u8 {
        let index = self.random.random_range(0..self.plan.machines.len());
        self.plan.machines[index].machine
    }

    fn agent(&mut self) -> u8 {
        let index = self.random.random_range(0..self.plan.agents.len());
        self.plan.agents[index].agent
    }

    /// Mostly seconds, sometimes an instant or half a minute.
    fn while_ms(&mut self) -> u64 {
        match self.random.random_range(0..6) {
            0 => self.random.random_range(10..=300),
            1..5 => self.random.random_range(300..=12_000),
            _ => self.random.random_range(12_000..=40_000),
        }
    }

    fn kind(&mut self, name: &str) -> Option<FaultKind> {
        let machine = self.machine();
        let agent = self.agent();
        let for_ms = self.while_ms();
        Some(match name {
            "cut requests" => FaultKind::CutRequests { machine, for_ms },
            "cut replies" => FaultKind::CutReplies { machine, for_ms },
            "partition" => FaultKind::Partition { machine, for_ms },
            "hold" => FaultKind::Hold { machine, for_ms },
            "loss" => FaultKind::Loss { machine, sent_by_machine: self.random.random() },
            "latency spike" => FaultKind::Slow {
                machine,
                latency_ms: self.random.random_range(150..=6_000),
                for_ms: for_ms * 2,
            },
            "duplicate, late" => {
                FaultKind::Copy { age_ms: self.random.random_range(1_000..=55_000) }
            }
            "client pause" => FaultKind::Pause { agent, for_ms },
            "suspend" => self.suspend(for_ms)?,
            "client crash" => FaultKind::Crash { agent, down_ms: for_ms / 3 },
            "half-open socket" => FaultKind::ClientPowerLoss { machine, down_ms: for_ms / 3 },
            "client clock step" => self.wall_step(machine)?,
            "object clock step" => FaultKind::ObjectStep { by_ms: self.object_step()? },
            "host move" => FaultKind::HostMove { by_ms: self.object_step()? },
            "eviction" => FaultKind::Evict {},
            "object crash" => FaultKind::ObjectCrash { down_ms: for_ms / 4 },
            "power loss" => FaultKind::PowerLoss { down_ms: for_ms / 4 },
            "deploy" => FaultKind::Deploy {},
            "zombie" => FaultKind::Zombie { for_ms },
            "alarm late" => {
                FaultKind::AlarmLate { by_ms: self.random.random_range(200..=60_000), for_ms }
            }
            "alarm early or twice" => FaultKind::AlarmEarly {},
            "alarm lost" if self.random.random_bool(0.2) => {
                FaultKind::AlarmLost { for_ms: FOR_EVER_MS }
            }
            "alarm lost" => FaultKind::AlarmLost { for_ms },
            "alarm stuck" => FaultKind::AlarmStuck {},
            "storage error" => {
                FaultKind::StorageError { statement: self.random.random_range(1..=6) }
            }
            "storage full" => FaultKind::StorageFull { for_ms: for_ms / 4 },
            "restore" => FaultKind::Restore {
                back_ms: self.random.random_range(1_000..=30_000),
                closed_ms: self.random.random_range(0..=20_000),
                recover: self.random.random_bool(0.7),
            },
            _ => return None,
        })
    }

    fn trusted(&self, machine: u8) -> TrustedClock {
        let index = self.plan.machines.iter().position(|known| known.machine == machine);
        index.and_then(|index| self.trusted.get(index)).copied().unwrap_or(TrustedClock::Monotonic)
    }

    /// A machine sleeps only if its wall clock is to be trusted, or nothing is.
    fn suspend(&mut self, for_ms: u64) -> Option<FaultKind> {
        let machines = self.plan.machines.iter().map(|machine| machine.machine);
        let may_sleep: Vec<u8> =
            machines.filter(|machine| self.trusted(*machine) != TrustedClock::Monotonic).collect();
        if may_sleep.is_empty() {
            return None;
        }
        let machine = may_sleep[self.random.random_range(0..may_sleep.len())];
        let neither = self.trusted(machine) == TrustedClock::Neither;
        let least = if neither { -for_ms.cast_signed() } else { 0 };
        let set = self.random.random_bool(0.5);
        let wall_step_ms = if set { self.random.random_range(least..=2_000) } else { 0 };
        Some(FaultKind::Suspend { machine, for_ms, wall_step_ms })
    }

    fn wall_step(&mut self, machine: u8) -> Option<FaultKind> {
        let least = if self.trusted(machine) == TrustedClock::Wall { 1 } else { -90_000 };
        let by_ms = match self.random.random_range(0..3) {
            0 => self.random.random_range(least.max(-300)..=300),
            1 => self.random.random_range(least.max(-10_000)..=10_000),
            _ => self.random.random_range(least..=90_000),
        };
        (by_ms != 0).then_some(FaultKind::WallStep { machine, by_ms })
    }

    /// Back steps are free; forward ones share what the bound leaves.
    fn object_step(&mut self) -> Option<i64> {
        let back = self.random.random_bool(0.5);
        let by_ms = match (back, self.inside) {
            (true, _) => match self.random.random_range(0..6) {
                0 => self.random.random_range(-200_000..=-60_001),
                1 => self.random.random_range(-7_200_000..=-200_001),
                _ => self.random.random_range(-20_000..=-1),
            },
            // All of it at once, as often as not: what is wrong at the edge is seen at the edge.
            (false, true) if self.random.random_bool(0.5) => self.forward_left_ms,
            (false, true) => self.random.random_range(0..=self.forward_left_ms),
            (false, false) => self.random.random_range(1_000..=60_000),
        };
        self.forward_left_ms -= by_ms.max(0);
        (by_ms != 0).then_some(by_ms)
    }
}
