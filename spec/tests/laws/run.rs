//! The driver of the laws: random histories, the machine they run on, and what is compared.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::invariant::Transition;
use mailbus_spec::lease::state::ClaimKey;
use mailbus_spec::lease::{
    Acquire, Command, LeaseMachine, LeaseReply, LeaseStep, Outcome, Rejection, ReleaseTarget,
};
use mailbus_spec::machine::Event;
use mailbus_spec::{
    AgentId, Holder, HostTime, LeasePath, Ordinal, PathSet, RequestId, SessionId, StateMachine,
    Ttl, Wait,
};
use proptest::prelude::*;

pub const BEGIN_MS: u64 = 1_800_000_000_000;
pub const GAPS_MS: [u64; 11] = [0, 0, 0, 0, 1, 999, 1_000, 10_000, 30_000, 61_000, 120_000];
pub const TTLS_MS: [u64; 4] = [1, 1_000, 30_000, 90_000];
pub const WAITS_MS: [u64; 3] = [1_000, 30_000, 90_000];
pub const SETS: [&[&str]; 6] = [&["a"], &["b"], &["c"], &["a", "b"], &["b", "c"], &["a", "b", "c"]];
pub const NAMES: [(&str, &str); 4] = [("ada", "1"), ("ada", "2"), ("bob", "1"), ("cyd", "")];

/// What somebody does, in small numbers that mean something in every state.
#[derive(Clone, Debug)]
pub enum Deed {
    Acquire { who: usize, request: usize, set: usize, ttl: usize, wait: Option<usize> },
    Renew { who: usize, token: usize, ttl: usize },
    Release { who: usize, token: usize },
    Cancel { who: usize, request: usize },
    Status { set: usize },
    Verify { set: usize, token: usize },
    Force { token: usize, drain: bool },
}

#[derive(Clone, Debug)]
pub struct Moment {
    pub gap_ms: u64,
    pub deed: Deed,
}

pub fn deed(waits: bool) -> impl Strategy<Value = Deed> {
    let wait = if waits {
        proptest::option::weighted(0.7, 0..WAITS_MS.len()).boxed()
    } else {
        Just(None).boxed()
    };
    let (who, token) = (0..NAMES.len(), 0..4_usize);
    let (ttl, set) = (0..TTLS_MS.len(), 0..SETS.len());
    prop_oneof![
        6 => (who.clone(), 0..4_usize, set.clone(), ttl.clone(), wait)
            .prop_map(|(who, request, set, ttl, wait)| Deed::Acquire { who, request, set, ttl, wait }),
        2 => (who.clone(), token.clone(), ttl)
            .prop_map(|(who, token, ttl)| Deed::Renew { who, token, ttl }),
        2 => (who.clone(), token.clone()).prop_map(|(who, token)| Deed::Release { who, token }),
        1 => (who, 0..4_usize).prop_map(|(who, request)| Deed::Cancel { who, request }),
        1 => set.clone().prop_map(|set| Deed::Status { set }),
        1 => (set, token.clone()).prop_map(|(set, token)| Deed::Verify { set, token }),
        1 => (token, any::<bool>()).prop_map(|(token, drain)| Deed::Force { token, drain }),
    ]
}

pub fn history(waits: bool) -> impl Strategy<Value = Vec<Moment>> {
    let gap = proptest::sample::select(&GAPS_MS[..]);
    let moment = (gap, deed(waits)).prop_map(|(gap_ms, deed)| Moment { gap_ms, deed });
    proptest::collection::vec(moment, 1..50)
}

/// The machine with the host's clock, the names in use, and the tokens told so far.
#[derive(Clone)]
pub struct Run {
    pub machine: LeaseMachine,
    pub host_ms: u64,
    pub names: [(&'static str, &'static str); 4],
    pub tokens: Vec<Ordinal>,
}

impl Run {
    pub fn new() -> Self {
        let machine = LeaseMachine::default();
        Self { machine, host_ms: BEGIN_MS, names: NAMES, tokens: vec![Ordinal::ZERO] }
    }

    pub fn holder(&self, who: usize) -> Holder {
        let (agent, session) = self.names[who];
        Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::new(session).unwrap() }
    }

    /// The `back`-th latest token told.
    pub fn token(&self, back: usize) -> Ordinal {
        self.tokens[self.tokens.len().saturating_sub(1 + back)]
    }

    pub fn command(&self, deed: &Deed) -> Command {
        match *deed {
            Deed::Acquire { who, request, set, ttl, wait } => {
                let original = self.names[who].1.is_empty() && request == 0;
                let wait = wait.filter(|_| !original).map(|wait| WAITS_MS[wait]);
                let request = (!original).then(|| request_id(request));
                let (holder, ttl) = (self.holder(who), Ttl::from_ms(TTLS_MS[ttl]).unwrap());
                let wait = wait.map(|ms| Wait::from_ms(ms).unwrap());
                Command::Acquire(Acquire::new(holder, request, path_set(set), ttl, wait).unwrap())
            }
            Deed::Renew { who, token, ttl } => {
                let ttl = Ttl::from_ms(TTLS_MS[ttl]).unwrap();
                Command::Renew { holder: self.holder(who), token: self.token(token), ttl }
            }
            Deed::Release { who, token } => {
                let target = ReleaseTarget::Token(self.token(token));
                Command::Release { holder: self.holder(who), target }
            }
            Deed::Cancel { who, request } => {
                Command::Cancel { holder: self.holder(who), request: request_id(request) }
            }
            Deed::Status { set } => Command::Status { path: first_path(set) },
            Deed::Verify { set, token } => {
                Command::Verify { path: first_path(set), token: self.token(token) }
            }
            Deed::Force { token, drain } => {
                Command::ForceRelease { token: self.token(token), reason: "x".into(), drain }
            }
        }
    }

    /// One event now; every invariant is checked on it.
    pub fn event(&mut self, event: &Event<Command>) -> LeaseStep {
        let (before, host) = (self.machine.clone(), HostTime(self.host_ms));
        let step = self.machine.handle(host, event);
        let after = &self.machine;
        let transition = Transition { before: &before, host, event, step: &step, after };
        transition.check(None).unwrap();
        step
    }

    pub fn execute(&mut self, command: Command) -> LeaseReply {
        let reply = self.event(&Event::Command(command)).reply.unwrap();
        if let Ok(Outcome::Granted { token, .. }) = reply.answer
            && !self.tokens.contains(&token)
        {
            self.tokens.push(token);
        }
        reply
    }

    pub fn live(&mut self, moment: &Moment) -> LeaseReply {
        self.host_ms += moment.gap_ms;
        self.execute(self.command(&moment.deed))
    }

    /// Rings the alarm at every instant it is due before `gap_ms` from now have passed.
    pub fn ring_until(&mut self, gap_ms: u64) {
        let end = self.host_ms + gap_ms;
        while let Some(due) = self.machine.next_alarm() {
            let at = self.machine.clock.host_at(due).0.max(self.host_ms);
            if at > end {
                break;
            }
            self.host_ms = at;
            let before = self.machine.clone();
            self.event(&Event::Alarm);
            assert_ne!(before, self.machine, "an alarm that was due did nothing");
        }
        self.host_ms = end;
    }
}

pub fn request_id(number: usize) -> RequestId {
    RequestId::new(format!("r{number}")).unwrap()
}

pub fn path_set(set: usize) -> PathSet {
    PathSet::new(SETS[set].iter().map(|path| LeasePath::new(path).unwrap()).collect()).unwrap()
}

pub fn first_path(set: usize) -> LeasePath {
    LeasePath::new(SETS[set][0]).unwrap()
}

pub type Answer = Result<Outcome, Rejection>;

/// An answer without its tokens: they differ with the order of grants in one millisecond.
pub fn without_tokens(answer: &Answer) -> String {
    let text = format!("{answer:?}");
    let mut kept = String::new();
    for (index, part) in text.split("Ordinal(").enumerate() {
        let part =
            if index == 0 { part } else { part.trim_start_matches(|c: char| c.is_ascii_digit()) };
        kept.push_str(part);
    }
    kept
}

/// What is held, waited for and remembered, tokens, arrivals and clock aside.
pub fn claims(machine: &LeaseMachine) -> String {
    let requests = |key: &ClaimKey| format!("{} {:?}", key.holder, key.name);
    let mut all = BTreeSet::new();
    for lease in machine.leases.values() {
        let key = if lease.content.wait.is_some() { requests(&lease.key) } else { String::new() };
        all.insert(format!("{key} {:?} {} {}", lease.content, lease.expires_at, lease.draining));
    }
    let queue = machine.queue.values().map(|ticket| format!("{ticket:?}"));
    all.extend(queue);
    format!("{all:?}")
}

/// Tokens by the ticket they were granted to: the event that queued it, whose, and what for.
#[derive(Default)]
pub struct Grants {
    waiting: BTreeMap<u64, (usize, ClaimKey, PathSet)>,
    pub tokens: BTreeMap<(usize, ClaimKey, PathSet), Ordinal>,
}

impl Grants {
    pub fn look(&mut self, index: usize, machine: &LeaseMachine) {
        let left: Vec<u64> = self
            .waiting
            .keys()
            .filter(|arrival| !machine.queue.contains_key(arrival))
            .copied()
            .collect();
        for ticket in left.iter().filter_map(|arrival| self.waiting.remove(arrival)) {
            let lease = machine.leases.iter().find(|(_, lease)| lease.key == ticket.1);
            if let Some((token, _)) = lease {
                self.tokens.insert(ticket, *token);
            }
        }
        for (arrival, ticket) in &machine.queue {
            let named = (index, ticket.key(), ticket.content.paths.clone());
            self.waiting.entry(*arrival).or_insert(named);
        }
    }
}

/// The deed of one of `agents` on one of `sets`.
pub fn confined(deed: Deed, agents: std::ops::Range<usize>, sets: &[usize]) -> Deed {
    let who_of = |who: usize| agents.start + who % agents.len();
    let set_of = |set: usize| sets[set % sets.len()];
    match deed {
        Deed::Acquire { who, request, set, ttl, wait } => {
            Deed::Acquire { who: who_of(who), request, set: set_of(set), ttl, wait }
        }
        Deed::Renew { who, token, ttl } => Deed::Renew { who: who_of(who), token, ttl },
        Deed::Release { who, token } => Deed::Release { who: who_of(who), token },
        Deed::Cancel { who, request } => Deed::Cancel { who: who_of(who), request },
        Deed::Status { set } => Deed::Status { set: set_of(set) },
        Deed::Verify { set, token } => Deed::Verify { set: set_of(set), token },
        force @ Deed::Force { .. } => force,
    }
}

impl Run {
    /// Executes a deed whose tokens are those told to its own side, and strips the answer's.
    pub fn own(
        &mut self,
        deed: &Deed,
        told: &mut BTreeMap<usize, Vec<Ordinal>>,
        side: usize,
    ) -> String {
        let mine = told.entry(side).or_insert_with(|| vec![Ordinal::ZERO]);
        self.tokens.clone_from(mine);
        let reply = self.execute(self.command(deed));
        mine.clone_from(&self.tokens);
        without_tokens(&reply.answer)
    }
}
