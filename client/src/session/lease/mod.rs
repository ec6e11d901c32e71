//! The client's end of the lease protocol, without I/O: no clock, no socket, no task, no thread.
//!
//! A [`LeaseSession`] is one run of one agent: what it wants to hold, what it has asked for, and what
//! it may believe. It is driven from outside:
//!
//! * callers ask with [`acquire`](LeaseSession::acquire), [`release`](LeaseSession::release),
//!   [`cancel`](LeaseSession::cancel) and [`ask`](LeaseSession::ask);
//! * what comes in goes to a `handle_*` method, with the clocks read *after* it came in;
//! * what is to go out is taken from [`poll_transmit`](LeaseSession::poll_transmit), with the clocks
//!   read *before* it leaves; what callers want to know from [`poll_event`](LeaseSession::poll_event);
//! * when [`poll_timeout`](LeaseSession::poll_timeout) says, [`handle_timeout`](LeaseSession::handle_timeout)
//!   is called. Late is safe, early is harmless.
//!
//! # The contract
//!
//! After any call, take transmits until there is none, then events until there is none, then sleep
//! to the timeout. A transmit that has not left by its [`leave_by`](Transmit::leave_by) is dropped.
//! Readings never go back unless the clocks did: whoever shares a session reads the clocks under the
//! lock that guards it.
//!
//! Invariant: an attempt that was not answered is *unknown*. Nothing here takes it for not applied:
//! belief counts from the first attempt, and what is given up on is cancelled.
//!
//! | file | what it says |
//! |---|---|
//! | `rules` | from when belief counts, and when it ends: the seam that the simulator plants bugs in |
//! | `acquire` | from the first `Acquire` to the grant |
//! | `hold` | belief, renewal and loss |
//! | `release` | releasing and cancelling |
//! | `unrenewed` | leases that end with their term |
//! | `query` | plain calls |
//! | `config`, `event` | what goes in and out |

mod acquire;
mod config;
mod event;
mod hold;
mod query;
mod receive;
mod release;
mod rules;
mod unrenewed;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::Command;
use mailbus_spec::{Holder, Ordinal, RequestId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use config::{Acquisition, Config};
pub use event::{Believed, ClaimId, Event, LossCause, Refusal, Released, Transmit};
pub use rules::{Attempts, Credit, CreditRules, Ending, Sending, Sound};

use crate::session::call::{CallNumber, QueryId};
use crate::session::retry::{Attempt, Pacing};
use acquire::Claim;
use query::Query;
use release::{Farewell, FarewellId, is_held_back};
use unrenewed::Unrenewed;

/// Time for which an attempt is remembered after its sending: longer than a reply may travel.
const CALL_MEMORY: Duration = Duration::from_secs(120);

/// One run of one agent, as a state machine over passed-in readings of its clocks.
///
/// Invariant: no two sessions share a holder: the object cannot tell them apart.
pub struct LeaseSession {
    holder: Holder,
    config: Config,
    rules: Box<dyn CreditRules + Send>,
    pacing: Pacing,
    /// Beginning of request ids, so that even a reused session name repeats no request.
    nonce: u64,
    last_number: u64,
    last_seen: Option<Reading>,
    /// Nothing noted up to this attempt may be credited: the clocks went wrong after it.
    void_through: Option<CallNumber>,
    generation: u64,
    claims: BTreeMap<ClaimId, Claim>,
    unrenewed: BTreeMap<ClaimId, Unrenewed>,
    farewells: BTreeMap<FarewellId, Farewell>,
    queries: BTreeMap<QueryId, Query>,
    calls: BTreeMap<CallNumber, Sent>,
    events: VecDeque<Event>,
}

/// An attempt that was made.
#[derive(Clone, Debug)]
struct Sent {
    subject: Subject,
    sending: Sending,
    answered: bool,
}

/// Subject of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Acquire {
        claim: ClaimId,
        request: RequestId,
    },
    /// A claim may go from one token to the next; what was said of one says nothing of another.
    Renew {
        claim: ClaimId,
        token: Ordinal,
    },
    Farewell(FarewellId),
    Query(QueryId),
}

impl LeaseSession {
    /// The session of `holder`, which has asked for nothing yet.
    ///
    /// `seed` makes request names and jitter; draw it anew for every run. A holder without a
    /// session is the original's protocol, for which the object promises no exclusive belief.
    #[must_use]
    pub fn new(holder: Holder, config: Config, seed: u64) -> Self {
        Self::with_rules(holder, config, seed, Box::new(Sound))
    }

    /// The same under other rules than [`Sound`]: for checkers, to see what a wrong rule costs.
    #[must_use]
    pub fn with_rules(
        holder: Holder,
        config: Config,
        seed: u64,
        rules: Box<dyn CreditRules + Send>,
    ) -> Self {
        let mut jitter = ChaCha8Rng::seed_from_u64(seed);
        let nonce = jitter.next_u64();
        Self {
            holder,
            config,
            rules,
            pacing: Pacing { backoff: config.backoff, jitter },
            nonce,
            last_number: 0,
            last_seen: None,
            void_through: None,
            generation: 0,
            claims: BTreeMap::new(),
            unrenewed: BTreeMap::new(),
            farewells: BTreeMap::new(),
            queries: BTreeMap::new(),
            calls: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// The holder that the session asks for.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A number from the seed, for a transport's own jitter.
    pub(crate) fn draw(&mut self) -> u64 {
        self.pacing.jitter.next_u64()
    }

    /// True if it holds, wants and awaits nothing but leases that end with their term.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.claims.is_empty() && self.farewells.is_empty() && self.queries.is_empty()
    }

    /// The next attempt to send, or `None` if nothing is due at `at`.
    ///
    /// Belief is reckoned from `at`: read the clocks before the call, and let the bytes leave after it.
    pub fn poll_transmit(&mut self, at: Reading) -> Option<Transmit> {
        self.observe(at);
        let now = at.monotonic;
        let call = CallNumber(self.last_number.saturating_add(1));
        let (subject, command, attempt) = self
            .due_farewell(call, now)
            .or_else(|| self.due_renewal(call, at))
            .or_else(|| self.due_acquire(call, at))
            .or_else(|| self.due_query(call, now))?;
        self.last_number = call.0;
        self.forget_old_calls(now);
        let sending = Sending { call, at, failed: false };
        self.calls.insert(call, Sent { subject, sending, answered: false });
        let Attempt { unanswered, timeout, leave_by } = attempt;
        Some(Transmit { call, command, unanswered, timeout, leave_by })
    }

    /// The next event for a caller.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The monotonic instant at which [`handle_timeout`](Self::handle_timeout) is to be called, unless
    /// something else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let seen = self.last_seen.unwrap_or_default().monotonic;
        let claims = self.claims.values().filter_map(|claim| {
            let held_back = is_held_back(claim, &self.farewells, &self.unrenewed, seen);
            claim.timeout(seen, held_back)
        });
        let unrenewed = self.unrenewed.values().map(|left| left.timeout(seen));
        let farewells = self.farewells.values().filter_map(|farewell| farewell.retry.timeout());
        let queries = self.queries.values().filter_map(|query| query.retry.timeout());
        claims.chain(unrenewed).chain(farewells).chain(queries).min()
    }

    /// Does what the passing of time asks for.
    pub fn handle_timeout(&mut self, at: Reading) {
        self.observe(at);
        self.claims_in_time(at.monotonic);
        self.unrenewed_in_time(at.monotonic);
        self.farewells_in_time(at.monotonic);
        self.queries_in_time(at.monotonic);
    }

    /// Beliefs at `at`. It changes nothing, so it is for checkers; a guard asks
    /// [`believes`](Self::believes).
    pub fn beliefs(&self, at: Reading) -> impl Iterator<Item = Believed<'_>> {
        let clocks_agree = self.last_seen.is_none_or(|seen| self.compare(seen, at).is_ok());
        let live = self.claims.iter().map(|(id, claim)| (*id, claim));
        let kept = self
            .farewells
            .values()
            .filter_map(|farewell| farewell.kept.as_deref().map(|(id, claim)| (*id, claim)));
        live.chain(kept)
            .filter(move |_| clocks_agree)
            .filter_map(move |(id, claim)| self.believed(id, claim, at))
    }

    /// True if `claim` is believed at `at`. Once it is not, after it was, it is lost for good.
    pub fn believes(&mut self, at: Reading, claim: ClaimId) -> bool {
        self.observe(at);
        self.claims.get(&claim).is_some_and(|known| self.believed(claim, known, at).is_some())
    }

    /// The monotonic instant from which `claim` is believed no more unless renewed, or `None` if it
    /// is not believed as of the last reading.
    #[must_use]
    pub fn deadline(&self, claim: ClaimId) -> Option<Duration> {
        let seen = self.last_seen?;
        self.believed(claim, self.claims.get(&claim)?, seen).map(|believed| believed.until)
    }

    /// Number of others who wait for something of `claim`, as of its last renewal.
    #[must_use]
    pub fn waiting(&self, claim: ClaimId) -> u64 {
        self.claims.get(&claim).map_or(0, Claim::waiting)
    }

    fn next_number(&mut self) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        self.last_number
    }

    /// Calls are numbered in the order of their sending, so the oldest come first.
    fn forget_old_calls(&mut self, now: Duration) {
        while let Some(oldest) = self.calls.first_entry() {
            if now.saturating_sub(oldest.get().sending.at.monotonic) <= CALL_MEMORY {
                break;
            }
            oldest.remove();
        }
    }

    /// Time for which copies of an unanswered command go on.
    fn horizon(&self) -> Duration {
        let most = Duration::from_millis(mailbus_spec::limits::RETRY_MS);
        self.config.retry_horizon.min(most)
    }
}

/// Parts of an attempt that is due.
type Due = (Subject, Command, Attempt);

impl fmt::Debug for LeaseSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseSession")
            .field("holder", &self.holder)
            .field("claims", &self.claims)
            .field("farewells", &self.farewells)
            .field("queries", &self.queries)
            .finish_non_exhaustive()
    }
}
