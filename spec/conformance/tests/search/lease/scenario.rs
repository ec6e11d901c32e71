//! Scenario of a world: who wants what, what may go wrong how often, by which rules clients
//! believe, and which mistake is planted.

use mailbus_conformance::mutants::lease::Mutant;
use mailbus_spec::belief::ClockBound;
use mailbus_spec::{AgentId, Holder, LeasePath, PathSet, RequestId, SessionId, Ttl, Wait};

use crate::harness::Reached;
use crate::lease::marks::Mark;

/// Host time at which every world begins: a full minute in 2027.
pub const BEGIN_MS: u64 = 1_800_000_000_000;
/// One attempt a client means to make.
#[derive(Clone, Debug)]
pub struct Claim {
    /// `None` for the original's protocol.
    pub request: Option<RequestId>,
    pub paths: PathSet,
    pub ttl: Ttl,
    pub wait: Option<Wait>,
    /// Term that its renewals ask for.
    pub renewal: Ttl,
}

/// One client: a holder, its attempts in order, and how much it may send.
#[derive(Clone, Debug)]
pub struct Peer {
    pub holder: Holder,
    pub claims: Vec<Claim>,
    /// True if it begins an attempt while another is not over.
    pub concurrent: bool,
    /// Copies of an `Acquire` it may send after the first.
    pub repeats: u8,
    pub renewals: u8,
    pub releases: bool,
    pub cancels: bool,
    /// True if it says with its renewals that it knows what a drain is.
    pub knows_drains: bool,
}

/// Number of times that each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Packets delivered and kept for another delivery.
    pub duplicates: u8,
    /// Steps of the host's clock by one tick ahead.
    pub forward_steps: u8,
    /// Steps of the host's clock by `Scenario::back_ticks`.
    pub back_steps: u8,
    /// Rings of the alarm, at any moment.
    pub alarms: u8,
    /// Reads, at any moment.
    pub reads: u8,
    /// Suspensions of a client: its monotonic clock stands still.
    pub suspends: u8,
    /// Steps of a client's wall clock by `Scenario::wall_back_ticks`.
    pub wall_steps: u8,
    pub forces: u8,
    pub drains: u8,
    /// Forced ends of tickets.
    pub ticket_forces: u8,
    /// Repetitions of an admin's `ForceRelease`.
    pub force_repeats: u8,
    pub restores: u8,
    /// Writes to the guarded resource by anybody who ever got a token.
    pub writes: u8,
}

/// Sending that a term is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedFrom {
    /// The first attempt of the request.
    First,
    /// The attempt that the reply names.
    Named,
    /// The latest attempt, whichever was answered.
    Latest,
}

/// Clocks that have to agree that a term lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    Both,
    MonotonicOnly,
    WallOnly,
}

/// The client's side of the contract, a switch a rule. The default is sound.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub grant_counts_from: CountedFrom,
    pub renewal_counts_from: CountedFrom,
    /// Belief ends before `Release` or `Cancel` is sent, for good.
    pub ends_before_release: bool,
    pub clocks: Clocks,
    /// Clocks that stepped back or disagree end all belief.
    pub minds_anomalies: bool,
    /// Belief while `elapsed < L`, not `<=`.
    pub strictly_below: bool,
    /// `L` allows for a step of ε.
    pub allows_for_steps: bool,
    /// No copy later than 60 s after the first, a ticket's excepted.
    pub stops_retrying: bool,
    /// A refused renewal ends belief at once.
    pub refusal_ends: bool,
    /// A renewal of what drains is believed like any other.
    pub drain_is_credited: bool,
    /// A guard that turned lost stays lost.
    pub lost_stays_lost: bool,
    /// The operator closes a restored workspace for the longest TTL.
    pub operator_closes: bool,
    /// The operator recovers a restored workspace before it opens again.
    pub operator_recovers: bool,
    /// A force-released lease is exempt from the claims about belief.
    pub forced_is_exempt: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            grant_counts_from: CountedFrom::First,
            renewal_counts_from: CountedFrom::Named,
            ends_before_release: true,
            clocks: Clocks::Both,
            minds_anomalies: true,
            strictly_below: true,
            allows_for_steps: true,
            stops_retrying: true,
            refusal_ends: true,
            drain_is_credited: false,
            lost_stays_lost: true,
            operator_closes: true,
            operator_recovers: true,
            forced_is_exempt: true,
        }
    }
}

/// A world: everything that is fixed while it is searched.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// The rules that this world is there to refute when they are broken.
    pub purpose: &'static str,
    pub tick_ms: u64,
    pub bound: ClockBound,
    pub peers: Vec<Peer>,
    /// Ticks a packet may be under way; older ones are lost.
    pub travel_ticks: u8,
    /// Packets of one client, requests and replies, under way when it sends another.
    pub in_flight: usize,
    pub budget: Budget,
    pub back_ticks: u8,
    pub wall_back_ticks: u8,
    /// True if grants out of the queue are pushed as well.
    pub pushes: bool,
    /// Tokens are compared by distance from the host's clock, not by rank: after a restore their
    /// values matter. Such a world needs a `horizon`.
    pub exact_tokens: bool,
    /// True if every state is asked if those who wait are granted in the end.
    pub keeps_asking: bool,
    /// The last tick; `None` where time is unbounded.
    pub horizon: Option<u64>,
    pub rules: Rules,
    pub mutant: Option<&'static Mutant>,
    /// The one invariant that is checked; `None` for all.
    pub only: Option<&'static str>,
    /// Marks that must be reached somewhere, or the world proves nothing.
    pub expected: &'static [Mark],
    pub reached: Reached,
}

impl Scenario {
    /// A world of `peers` in which nothing goes wrong yet.
    pub fn new(name: &'static str, purpose: &'static str, tick_ms: u64, peers: Vec<Peer>) -> Self {
        Self {
            name,
            purpose,
            tick_ms,
            bound: ClockBound { rate_ppm: 0, step_ms: 0, granularity_ms: 0 },
            peers,
            travel_ticks: 1,
            in_flight: 1,
            budget: Budget::default(),
            back_ticks: 1,
            wall_back_ticks: 1,
            pushes: false,
            keeps_asking: false,
            exact_tokens: false,
            horizon: None,
            rules: Rules::default(),
            mutant: None,
            only: None,
            expected: &[],
            reached: Reached::default(),
        }
    }

    /// The same world with a planted mistake of the object, watched by one invariant.
    pub fn with_mutant(mut self, mutant: &'static Mutant, only: &'static str) -> Self {
        (self.mutant, self.only) = (Some(mutant), Some(only));
        self.reached = Reached::default();
        self
    }

    /// The same world with a rule of the client broken, watched by one invariant.
    pub fn with_rules(mut self, change: impl FnOnce(&mut Rules), only: &'static str) -> Self {
        change(&mut self.rules);
        self.only = Some(only);
        self.reached = Reached::default();
        self
    }

    pub fn mark(&self, mark: Mark) {
        self.reached.mark(mark as u64);
    }

    /// Marks that were to be reached and are not.
    pub fn missing(&self) -> Vec<String> {
        let missing = self.expected.iter().filter(|mark| !self.reached.contains(**mark as u64));
        missing.map(|mark| format!("{mark:?}")).collect()
    }

    pub fn claim(&self, client: u8, claim: u8) -> &Claim {
        &self.peers[usize::from(client)].claims[usize::from(claim)]
    }

    pub fn holder(&self, client: u8) -> &Holder {
        &self.peers[usize::from(client)].holder
    }

    /// Past this elapsed time nothing that a client noted can matter any more.
    pub fn longest_ms(&self) -> u64 {
        let claims = self.peers.iter().flat_map(|peer| &peer.claims);
        let ttl = claims.map(|claim| claim.ttl.ms().max(claim.renewal.ms())).max().unwrap_or(0);
        ttl.max(mailbus_spec::limits::RETRY_MS) + self.tick_ms
    }

    pub fn longest_ttl_ms(&self) -> u64 {
        let claims = self.peers.iter().flat_map(|peer| &peer.claims);
        claims.map(|claim| claim.ttl.ms().max(claim.renewal.ms())).max().unwrap_or(0)
    }

    /// The longest term that a lease may have at once: the first out of the queue, or of a TTL.
    pub fn longest_term_ms(&self) -> u64 {
        let claims = self.peers.iter().flat_map(|peer| &peer.claims);
        let first = claims.map(|claim| claim.ttl.queued_term(claim.wait).ms()).max();
        first.unwrap_or(0).max(self.longest_ttl_ms())
    }
}

/// The holder written `agent/session`, or `agent` for the original's protocol.
pub fn holder(text: &str) -> Holder {
    let (agent, session) = text.split_once('/').unwrap_or((text, ""));
    Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::new(session).unwrap() }
}

/// The set written as one letter a path.
pub fn paths(text: &str) -> PathSet {
    let each = text.chars().map(|name| LeasePath::new(&name.to_string()).unwrap());
    PathSet::new(each.collect()).unwrap()
}

impl Claim {
    /// The attempt called `request` on `set` for `ttl_ms`, renewed for as long.
    pub fn new(request: &str, set: &str, ttl_ms: u64) -> Self {
        let ttl = Ttl::from_ms(ttl_ms).unwrap();
        let request = Some(RequestId::new(request).unwrap());
        Self { request, paths: paths(set), ttl, wait: None, renewal: ttl }
    }

    /// The same, ready to queue.
    pub fn waiting(self, wait_ms: u64) -> Self {
        Self { wait: Some(Wait::from_ms(wait_ms).unwrap()), ..self }
    }

    /// The same with renewals for another time.
    pub fn renewed_for(self, ttl_ms: u64) -> Self {
        Self { renewal: Ttl::from_ms(ttl_ms).unwrap(), ..self }
    }

    /// The same in the original's protocol.
    pub fn without_request(self) -> Self {
        Self { request: None, ..self }
    }
}

impl Peer {
    /// A client that asks once, releases, and neither repeats nor renews.
    pub fn new(name: &str, claims: Vec<Claim>) -> Self {
        Self {
            holder: holder(name),
            claims,
            concurrent: false,
            repeats: 0,
            renewals: 0,
            releases: true,
            cancels: false,
            knows_drains: true,
        }
    }

    pub fn repeating(self, repeats: u8) -> Self {
        Self { repeats, ..self }
    }

    pub fn renewing(self, renewals: u8) -> Self {
        Self { renewals, ..self }
    }

    pub fn cancelling(self) -> Self {
        Self { cancels: true, ..self }
    }

    pub fn concurrent(self) -> Self {
        Self { concurrent: true, ..self }
    }

    /// The same as it was built before drains were told.
    pub fn not_knowing_drains(self) -> Self {
        Self { knows_drains: false, ..self }
    }

    pub fn never_releasing(self) -> Self {
        Self { releases: false, ..self }
    }
}
