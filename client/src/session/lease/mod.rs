//! The client's end of the lease protocol, without I/O: no clock, no socket, no task, no thread.
//!
//! A [`LeaseSession`] is one run of one agent: what it wants to hold, what it has asked for, and what
//! it may believe. Callers ask with [`acquire`](LeaseSession::acquire), [`release`](LeaseSession::release),
//! [`cancel`](LeaseSession::cancel) and [`ask`](crate::session::Session::ask); else it is driven like any
//! [`Session`](crate::session::Session).
//!
//! Invariant: an attempt that was not answered is *unknown*. Nothing here takes it for not applied:
//! belief counts from the first attempt, and what is given up on is cancelled.
//!
//! | file | what it says |
//! |---|---|
//! | `rules` | from when belief counts, and when it ends: the seam that the simulator plants bugs in |
//! | `claim` | what is asked, held and believed |
//! | `acquire` | from the first `Acquire` to the grant |
//! | `hold` | belief, renewal and loss |
//! | `generation` | what a restore of the object's storage ends |
//! | `release` | releasing and cancelling |
//! | `unrenewed` | leases that end with their term |
//! | `drive` | what its run loop takes from it and gives it |
//! | `config`, `event`, `error` | what goes in and out |

mod acquire;
mod claim;
mod config;
mod drive;
mod error;
mod event;
mod generation;
mod hold;
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
pub use error::AcquireError;
pub use event::{Believed, ClaimId, Event, LossCause, Released};
pub use rules::{Attempts, Credit, CreditRules, Ending, Sound};

use crate::session::call::{CallNumber, Calls, QueryId};
use crate::session::connection::{Connection, Manner};
use crate::session::retry::{Attempt, Pacing, Repeated};
use claim::Claim;
use release::{Farewell, FarewellId};
use unrenewed::Unrenewed;

/// One run of one agent, as a state machine over passed-in readings of its clocks.
///
/// Invariant: no two sessions share a holder: the object cannot tell them apart.
pub struct LeaseSession {
    holder: Holder,
    config: Config,
    rules: Box<dyn CreditRules + Send>,
    pacing: Pacing,
    connection: Connection<Holder>,
    /// Jitter of the pauses between sockets: what becomes of them changes no pause of a command.
    reconnecting: ChaCha8Rng,
    /// Beginning of request ids, so that even a reused session name repeats no request.
    nonce: u64,
    last_number: u64,
    last_seen: Option<Reading>,
    /// Nothing noted up to this attempt may be credited: the clocks went wrong after it.
    void_through: Option<CallNumber>,
    /// Life of the object's storage as of the latest answer; 0 while none is known.
    generation: u64,
    /// The last attempt that was made before it was heard of.
    heard_after: CallNumber,
    claims: BTreeMap<ClaimId, Claim>,
    unrenewed: BTreeMap<ClaimId, Unrenewed>,
    farewells: Repeated<FarewellId, Farewell>,
    queries: Repeated<QueryId, Command>,
    calls: Calls<Subject>,
    events: VecDeque<Event>,
    /// True once nobody can ask for anything any more.
    abandoned: bool,
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
        let reconnecting = ChaCha8Rng::seed_from_u64(jitter.next_u64());
        Self {
            holder,
            config,
            rules,
            pacing: Pacing { backoff: config.backoff, jitter },
            connection: Connection::new(config.socket.unwrap_or_default(), Manner::OnSilence),
            reconnecting,
            nonce,
            last_number: 0,
            last_seen: None,
            void_through: None,
            generation: 0,
            heard_after: CallNumber(0),
            claims: BTreeMap::new(),
            unrenewed: BTreeMap::new(),
            farewells: Repeated::new(),
            queries: Repeated::new(),
            calls: Calls::new(),
            events: VecDeque::new(),
            abandoned: false,
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

    /// Begins: keeps a socket open from now on, if it is [configured](Config::socket) to. Until then
    /// every command takes HTTP, and what the object sends unasked is not heard.
    pub fn start(&mut self, at: Reading) {
        if self.config.socket.is_some() {
            self.connection.begin(at.monotonic);
        }
    }

    /// True if it holds, wants and awaits nothing but leases that end with their term, and farewells that
    /// nobody answered for so long that their callers were told.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let awaits = self.farewells.iter().any(|(_, farewell)| farewell.is_awaited());
        self.claims.is_empty() && !awaits && self.queries.is_empty()
    }

    /// Beliefs at `at`. It changes nothing, so it is for checkers; a guard asks
    /// [`believes`](Self::believes).
    pub fn beliefs(&self, at: Reading) -> impl Iterator<Item = Believed<'_>> {
        let clocks_agree = self.last_seen.is_none_or(|seen| self.compare(seen, at).is_ok());
        let live = self.claims.iter().map(|(id, claim)| (*id, claim));
        let kept = self
            .farewells
            .iter()
            .filter_map(|(_, farewell)| farewell.kept.as_deref().map(|(id, claim)| (*id, claim)));
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
