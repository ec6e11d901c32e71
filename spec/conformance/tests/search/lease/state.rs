//! One state of a world: object, clients, network, clocks, and what the checks remember.

use std::sync::Arc;

use mailbus_spec::belief::{Belief, Reading};
use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::{HostTime, Ordinal, Timestamp, Ttl};

use crate::harness::Violation;
use crate::lease::scenario::{BEGIN_MS, Budget, Scenario};

/// A client's clocks at the beginning: far enough from zero that no step back leaves their range.
const CLIENT_BEGIN_MS: u64 = 3_600_000;

/// A moment of a world. Equality of moments for the search is that of their views (see `view`).
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// True time since the beginning.
    pub elapsed_ms: u64,
    /// Offset of the host's clock from true time, in ms.
    pub host_shift_ms: i64,
    pub object: Arc<LeaseMachine>,
    pub clients: Vec<Client>,
    /// Packets under way, sorted: a network keeps no order.
    pub network: Vec<Packet>,
    pub budget: Budget,
    pub history: History,
    pub backup: Backup,
    pub violation: Option<Violation>,
    pub scale: Scale,
}

/// The lengths that a view needs to tell what can still matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub back_step_ms: u64,
    pub longest_ms: u64,
    /// Time by which a client's wall clock may go back in all, in ms.
    pub wall_back_ms: u64,
    pub exact_tokens: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Lag of its monotonic clock behind true time, in ms.
    pub frozen_ms: u64,
    /// Time by which its wall clock was set back, in ms.
    pub wall_back_ms: u64,
    pub suspended: bool,
    pub attempts: Vec<Attempt>,
    pub repeats: u8,
    pub renewals: u8,
}

/// Knowledge of a client about one request it has begun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    pub first_sent: Reading,
    /// The sending of the latest copy or renewal; kept at zero unless a broken rule counts from it.
    pub latest_sent: Reading,
    pub guard: Option<Guard>,
    /// `Release` or `Cancel` was sent.
    pub ended: bool,
}

/// A grant as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    pub token: Ordinal,
    /// `None` before the first belief and after the last.
    pub belief: Option<Belief>,
    pub lost: bool,
}

/// Packet under way between a client and the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packet {
    pub client: u8,
    pub claim: u8,
    pub body: Body,
    /// The client's clocks at the sending of the attempt: `(monotonic, wall)` in milliseconds. The
    /// reply repeats the attempt's number, so it carries them too.
    pub sent: (u64, u64),
    /// Ticks since this packet left.
    pub age: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    Acquire,
    Renew(Ordinal),
    Release(Ordinal),
    Cancel,
    Granted(Ordinal, Ttl),
    Renewed(Ordinal),
    /// The lease drains: to its end it is good, and not renewed.
    Draining(Ordinal),
    Lost(Ordinal),
}

impl Body {
    pub fn is_request(self) -> bool {
        matches!(self, Self::Acquire | Self::Renew(_) | Self::Release(_) | Self::Cancel)
    }
}

/// History as the checks know it, whatever the object still knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The largest token ever granted.
    pub largest: Ordinal,
    pub granted: Vec<GrantOnce>,
    /// Requests whose `Cancel` was executed, as (client, claim).
    pub cancelled: Vec<(u8, u8)>,
    /// Force-released tokens and the expiry they would have had.
    pub forced: Vec<(Ordinal, Timestamp)>,
    /// Draining tokens and the expiry that nothing may move.
    pub draining: Vec<(Ordinal, Timestamp)>,
    /// Grants up to here were made before a restore, which voids all but fencing for them.
    pub void_up_to: Option<Ordinal>,
    /// The largest token that the guarded resource has seen.
    pub resource: Ordinal,
}

/// A request that was granted: within its memory it is not granted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantOnce {
    pub client: u8,
    pub claim: u8,
    pub token: Ordinal,
    /// Time at which the lease ended.
    pub over: Option<Timestamp>,
}

/// Backup that a restore goes back to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backup {
    pub snapshot: Option<Arc<LeaseMachine>>,
    /// True time up to which the operator keeps the restored workspace closed.
    pub closed_until_ms: Option<u64>,
}

impl State {
    pub fn initial(scenario: &Scenario) -> Self {
        let client = |peer: &crate::lease::scenario::Peer| Client {
            frozen_ms: 0,
            wall_back_ms: 0,
            suspended: false,
            attempts: Vec::new(),
            repeats: peer.repeats,
            renewals: peer.renewals,
        };
        Self {
            elapsed_ms: 0,
            host_shift_ms: 0,
            object: Arc::new(LeaseMachine::default()),
            clients: scenario.peers.iter().map(client).collect(),
            network: Vec::new(),
            budget: scenario.budget,
            history: History::default(),
            backup: Backup::default(),
            violation: None,
            scale: Scale {
                back_step_ms: u64::from(scenario.back_ticks) * scenario.tick_ms,
                longest_ms: scenario.longest_ms(),
                wall_back_ms: u64::from(scenario.budget.wall_steps)
                    * u64::from(scenario.wall_back_ticks)
                    * scenario.tick_ms,
                exact_tokens: scenario.exact_tokens,
            },
        }
    }

    pub fn host(&self) -> HostTime {
        HostTime((BEGIN_MS + self.elapsed_ms).saturating_add_signed(self.host_shift_ms))
    }

    /// Time by the object's clock now.
    pub fn object_now(&self) -> Timestamp {
        self.object.clock.observe(self.host()).expect("worlds keep to plausible years").now
    }

    pub fn reading(&self, client: u8) -> Reading {
        let client = &self.clients[usize::from(client)];
        let at = CLIENT_BEGIN_MS + self.elapsed_ms;
        reading((at - client.frozen_ms, at - client.wall_back_ms))
    }

    pub fn send(&mut self, packet: Packet) {
        let at = self.network.partition_point(|other| *other < packet);
        self.network.insert(at, packet);
    }

    pub fn violate(&mut self, scenario: &Scenario, invariant: &'static str, why: String) {
        let watched = scenario.only.is_none_or(|only| only == invariant);
        if watched && self.violation.is_none() {
            self.violation = Some(Violation { invariant, why });
        }
    }
}

pub fn reading((monotonic, wall): (u64, u64)) -> Reading {
    use std::time::Duration;
    Reading { monotonic: Duration::from_millis(monotonic), wall: Duration::from_millis(wall) }
}

pub fn in_ms(reading: Reading) -> (u64, u64) {
    (reading.monotonic.as_millis() as u64, reading.wall.as_millis() as u64)
}
