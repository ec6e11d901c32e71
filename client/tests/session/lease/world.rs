//! The world of the random runs: sessions, network and object in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use mailbus_client::session::Session;
use mailbus_client::session::lease::{Acquisition, ClaimId, Config, CreditRules, LeaseSession};
use mailbus_spec::belief::Reading;
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseReply};
use mailbus_spec::machine::{Event, StateMachine};
use mailbus_spec::{Holder, HostTime, Ordinal, PathSet, Timestamp};
use proptest::prelude::*;

use super::stage::{holder, paths, ttl};
use crate::network::{self, Flight, Network};

/// Rules under which a session of the world believes.
pub type Rules = fn() -> Box<dyn CreditRules + Send>;

pub const CLIENTS: usize = 3;
const NOON: u64 = 1_800_000_000_000;

/// One thing that happens. Every operation is legal in every state, so histories shrink by deletion.
#[derive(Clone, Debug)]
pub enum Op {
    Acquire { client: usize, paths: u8, ttl_ms: u64, patience_ms: u64 },
    Release { client: usize, nth: usize },
    Cancel { client: usize, nth: usize },
    Deliver { nth: usize },
    DeliverAll,
    Lose { nth: usize },
    Repeat { nth: usize },
    Fail { client: usize },
    Pass { ms: u64 },
    Suspend { client: usize, ms: u64 },
    StepWall { client: usize, ms: i64 },
    StepHost { ms: u64 },
    Force { nth: usize, drain: bool },
    Alarm,
    Keep,
    Restore,
}

pub fn op() -> impl Strategy<Value = Op> {
    let client = || 0..CLIENTS;
    let nth = || 0..8_usize;
    prop_oneof![
        6 => (client(), 1..4_u8, prop::sample::select(vec![2_000, 30_000, 60_000]), prop::sample::select(vec![0, 5_000, 100_000]))
            .prop_map(|(client, paths, ttl_ms, patience_ms)| Op::Acquire { client, paths, ttl_ms, patience_ms }),
        2 => (client(), nth()).prop_map(|(client, nth)| Op::Release { client, nth }),
        1 => (client(), nth()).prop_map(|(client, nth)| Op::Cancel { client, nth }),
        8 => nth().prop_map(|nth| Op::Deliver { nth }),
        4 => Just(Op::DeliverAll),
        2 => nth().prop_map(|nth| Op::Lose { nth }),
        1 => nth().prop_map(|nth| Op::Repeat { nth }),
        1 => client().prop_map(|client| Op::Fail { client }),
        8 => prop::sample::select(vec![1, 100, 700, 5_000, 9_700, 19_000, 29_000]).prop_map(|ms| Op::Pass { ms }),
        1 => (client(), 500..40_000_u64).prop_map(|(client, ms)| Op::Suspend { client, ms }),
        1 => (client(), -40_000..40_000_i64).prop_map(|(client, ms)| Op::StepWall { client, ms }),
        1 => (1..120_u64).prop_map(|ms| Op::StepHost { ms }),
        1 => (nth(), any::<bool>()).prop_map(|(nth, drain)| Op::Force { nth, drain }),
        1 => Just(Op::Alarm),
        1 => Just(Op::Keep),
        1 => Just(Op::Restore),
    ]
}

pub struct Client {
    pub session: LeaseSession,
    pub claims: Vec<ClaimId>,
    /// The largest generation that it has heard of; 0 while of none.
    heard_of: u64,
    /// True if the monotonic clock may be wrong, false if the wall clock may. The other keeps its rate.
    monotonic_may_be_wrong: bool,
    monotonic_behind_ms: u64,
    wall_ahead_ms: i64,
}

impl Client {
    /// Both clocks run slow, as slow as the bound allows.
    fn reading(&self, now: u64) -> Reading {
        let slow = Duration::from_micros(now * 1_000 - now);
        let wall = slow.as_millis() as i64 + 10_000_000_000 + self.wall_ahead_ms;
        Reading {
            monotonic: slow.saturating_sub(Duration::from_millis(self.monotonic_behind_ms)),
            wall: Duration::from_millis(u64::try_from(wall).unwrap()),
        }
    }
}

type Packet = network::Packet<Command, Holder, LeaseReply, Notice>;

pub struct World {
    host_ahead_ms: u64,
    pub object: LeaseMachine,
    /// Storage that a restore goes back to.
    kept: LeaseMachine,
    pub clients: Vec<Client>,
    network: Network<Command, Holder, LeaseReply, Notice>,
    /// Leases ended by force, and their former ends: nothing is promised of them until then.
    forced: BTreeMap<Ordinal, Timestamp>,
}

impl World {
    pub fn new(rules: Rules) -> Self {
        let client = |number: usize| Client {
            session: LeaseSession::with_rules(
                holder(&format!("agent-{number}")),
                Config::default(),
                number as u64,
                rules(),
            ),
            claims: Vec::new(),
            heard_of: 0,
            monotonic_may_be_wrong: number.is_multiple_of(2),
            monotonic_behind_ms: 0,
            wall_ahead_ms: 0,
        };
        Self {
            host_ahead_ms: 0,
            object: LeaseMachine::default(),
            kept: LeaseMachine::default(),
            clients: (0..CLIENTS).map(client).collect(),
            network: Network::new(),
            forced: BTreeMap::new(),
        }
    }

    /// The host's clock runs fast, as fast as the bound allows.
    fn host(&self) -> HostTime {
        HostTime(NOON + self.network.now + self.network.now / 1_000 + self.host_ahead_ms)
    }

    pub fn apply(&mut self, op: &Op) {
        match *op {
            Op::Acquire { client, paths: which, ttl_ms, patience_ms } => {
                let wanted = Acquisition::new(some_paths(which))
                    .ttl(ttl(ttl_ms))
                    .patience(Duration::from_millis(patience_ms));
                let at = self.reading(client);
                let claim = self.clients[client].session.acquire(at, wanted);
                self.clients[client].claims.push(claim);
            }
            Op::Release { client, nth } => self.end(client, nth, LeaseSession::release),
            Op::Cancel { client, nth } => self.end(client, nth, LeaseSession::cancel),
            Op::Deliver { nth } => self.deliver(nth),
            Op::DeliverAll => {
                for _ in 0..self.network.flights.len() {
                    self.deliver(0);
                }
            }
            Op::Lose { nth } => drop(self.network.take(nth)),
            Op::Repeat { nth } => self.network.repeat(nth),
            Op::Fail { client } => self.fail(client),
            Op::Pass { ms } => self.network.now += ms,
            Op::Suspend { client, ms } => {
                self.network.now += ms;
                if self.clients[client].monotonic_may_be_wrong {
                    self.clients[client].monotonic_behind_ms += ms;
                }
            }
            Op::StepWall { client, ms } => {
                if !self.clients[client].monotonic_may_be_wrong {
                    self.clients[client].wall_ahead_ms += ms;
                }
            }
            // In all no more than ε.
            Op::StepHost { ms } => self.host_ahead_ms = (self.host_ahead_ms + ms).min(250),
            Op::Force { nth, drain } => self.force(nth, drain),
            Op::Alarm => drop(self.object.handle(self.host(), &Event::Alarm)),
            Op::Keep => self.kept = self.object.clone(),
            Op::Restore => self.restore(),
        }
        self.network.forget_old();
    }

    fn reading(&self, client: usize) -> Reading {
        self.clients[client].reading(self.network.now)
    }

    fn end(&mut self, client: usize, nth: usize, how: fn(&mut LeaseSession, Reading, ClaimId)) {
        let at = self.reading(client);
        let known = &mut self.clients[client];
        if !known.claims.is_empty() {
            let claim = known.claims.remove(nth % known.claims.len());
            how(&mut known.session, at, claim);
        }
    }

    /// The client hears that an attempt of its own came to nothing, which may be wrong.
    fn fail(&mut self, client: usize) {
        let call = self.network.flights.iter().find_map(|flight| match flight.packet {
            Packet::Command(call, ..) | Packet::Reply(call, _) if flight.client == client => {
                Some(call)
            }
            _ => None,
        });
        let at = self.reading(client);
        if let Some(call) = call {
            self.clients[client].session.handle_failure(at, call);
        }
    }

    fn deliver(&mut self, nth: usize) {
        let Some(Flight { client, packet, .. }) = self.network.take(nth) else { return };
        let at = self.reading(client);
        let session = &mut self.clients[client].session;
        match packet {
            Packet::Command(call, command, _) => {
                let host = self.host();
                let step = self.object.handle(host, &Event::Command(command));
                let reply = step.reply.expect("a command is answered");
                self.post(client, Packet::Reply(call, reply));
                self.post_pushes(step.pushes);
            }
            Packet::Reply(call, reply) => {
                let generation = reply.commit.generation;
                session.handle_reply(at, call, reply);
                let client = &mut self.clients[client];
                client.heard_of = client.heard_of.max(generation);
            }
            Packet::Notice(_, notice) => session.handle_notice(at, notice),
            Packet::Open(..) | Packet::Greeting(..) | Packet::Close(..) => {
                unreachable!("no session has a socket")
            }
        }
    }

    fn post(&mut self, client: usize, packet: Packet) {
        self.network.post(client, 0, packet);
    }

    fn post_pushes(&mut self, pushes: Vec<mailbus_spec::lease::Push>) {
        for push in pushes {
            let to = self.clients.iter().position(|client| *client.session.holder() == push.to);
            self.post(to.expect("a known holder"), Packet::Notice(None, push.notice));
        }
    }

    fn force(&mut self, nth: usize, drain: bool) {
        let leases: Vec<(Ordinal, Timestamp)> =
            self.object.leases.iter().map(|(token, lease)| (*token, lease.expires_at)).collect();
        if leases.is_empty() {
            return;
        }
        let (token, former_end) = leases[nth % leases.len()];
        if !drain {
            self.forced.insert(token, former_end);
        }
        let reason = "because".to_owned();
        let command = Command::ForceRelease { token, reason, drain };
        let step = self.object.handle(self.host(), &Event::Command(command));
        self.post_pushes(step.pushes);
    }

    /// Sockets end with the object, and what they carried. Whoever has only been pushed to knows of no
    /// generation that could be over, so the storage is not restored then.
    fn restore(&mut self) {
        if self.clients.iter().any(|client| !client.claims.is_empty() && client.heard_of == 0) {
            return;
        }
        self.network.flights.retain(|flight| !matches!(flight.packet, Packet::Notice(..)));
        // No two generations begin in one millisecond.
        self.network.now += 1;
        let at_least = self.object.last_token;
        self.object = self.kept.clone();
        let step = self.object.handle(self.host(), &Event::Command(Command::Recover { at_least }));
        self.post_pushes(step.pushes);
    }

    /// Lets every session do what is due.
    pub fn pump(&mut self) {
        for number in 0..CLIENTS {
            let at = self.reading(number);
            let session = &mut self.clients[number].session;
            session.handle_timeout(at);
            let mut sent = Vec::new();
            while let Some(transmit) = session.poll_transmit(at) {
                sent.push(Packet::Command(transmit.call, transmit.command, transmit.route));
            }
            while session.poll_event().is_some() {}
            for packet in sent {
                self.post(number, packet);
            }
        }
    }

    pub fn check(&self) -> Result<(), String> {
        let seen = self.object.clock.observe(self.host()).map_err(|error| format!("{error:?}"))?;
        let mut believed: Vec<(usize, Ordinal, PathSet)> = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            // A restore voids what was promised, until its client hears of it.
            if 0 < client.heard_of && client.heard_of < self.object.generation {
                continue;
            }
            for belief in client.session.beliefs(client.reading(self.network.now)) {
                let token = belief.token;
                if self.forced.get(&token).is_some_and(|former_end| seen.now < *former_end) {
                    continue;
                }
                let granted = self.object.leases.get(&token).is_some_and(|lease| {
                    lease.key.holder == *belief.holder && seen.now < lease.expires_at
                });
                if !granted {
                    return Err(format!(
                        "belief_within_grant: at {} client {number} believes in {token}",
                        self.network.now
                    ));
                }
                let clash = believed
                    .iter()
                    .any(|(other, _, paths)| *other != number && paths.overlaps(belief.paths));
                if clash {
                    return Err(format!("belief_exclusion: at {} two believe", self.network.now));
                }
                believed.push((number, token, belief.paths.clone()));
            }
        }
        Ok(())
    }

    /// After what is due is done, nothing else is due now: a run loop would not spin.
    pub fn check_timeouts(&self) -> Result<(), String> {
        for (number, client) in self.clients.iter().enumerate() {
            let now = client.reading(self.network.now).monotonic;
            if client.session.poll_timeout().is_some_and(|due| due <= now) {
                return Err(format!("client {number} is due at once, for ever"));
            }
        }
        Ok(())
    }
}

fn some_paths(which: u8) -> PathSet {
    match which {
        1 => paths(&["x"]),
        2 => paths(&["y"]),
        _ => paths(&["x", "y"]),
    }
}
