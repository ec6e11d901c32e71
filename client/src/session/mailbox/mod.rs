//! One run of one agent at the mailboxes: what it sends, what it is sent, what it has settled.
//!
//! Callers [`start`](MailboxSession::start) a [`MailboxSession`], [`publish`](MailboxSession::publish),
//! [`send_to`](MailboxSession::send_to), [`ask`](crate::session::Session::ask), say what they
//! [`serve`](MailboxSession::serve) and [`finish`](MailboxSession::finish) what they were given, and
//! [`shut_down`](MailboxSession::shut_down) for good; else it is driven like any
//! [`Session`](crate::session::Session).
//!
//! # What is promised
//!
//! * A message that was sent is sent again under the same id until it is answered, for at most a minute
//!   after the first copy that may have left this machine; then its outcome is
//!   [`Unknown`](Published::Unknown), never taken for not accepted. Until a copy leaves, it waits.
//! * A handler runs once per message and session: a message that was settled and comes again is only
//!   settled again. It is settled after its handler has succeeded, and comes again after it has failed.
//! * With one handler at a time deliveries are handled in the order of their pushes, those apart that wait
//!   for a handler of their type. A message that another run was delivered is announced first and handled
//!   alone, so that the object knows which one its client died of.
//! * Where handlers of three different messages fail in a row, nothing is handed out or given back for a
//!   while: what they all call is away, and no message is to blame.
//! * *Empty and lost never look alike*: what is lost is told as a [`Gap`](Event::Gap), what a restore may
//!   have lost as [`Restored`](Event::Restored), and a session that is over says why.
//!
//! | file | what it says |
//! |---|---|
//! | `connection` | the session that the mailbox keeps for the socket: how it begins and ends |
//! | `choosing` | what the agent is subscribed to, and what nobody has chosen |
//! | `delivery` | a message that was pushed, and at which stage it is |
//! | `deliver` | from the push to the handler, and in its hands |
//! | `ack` | from the handler to the ack or nack |
//! | `outage` | failures in a row, and the pause that they are worth |
//! | `publish` | messages that are sent until they are answered |
//! | `query` | plain calls |
//! | `shutdown` | shutting down |
//! | `drive` | what its run loop takes from it and gives it |
//! | `draft` | messages before they have an id |
//! | `config`, `event` | what goes in and out |

mod ack;
mod choosing;
mod config;
mod connection;
mod deliver;
mod delivery;
mod draft;
mod drive;
mod event;
mod outage;
mod publish;
mod query;
mod shutdown;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use mailbus_spec::mailbox::{Ask, Patterns};
use mailbus_spec::{AgentId, Ordinal, SessionId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::call::{Calls, QueryId};
use super::connection::{Connection, Manner, Route};
use super::retry::{Attempt, Pacing, Repeated};

pub use config::Config;
pub use draft::{Draft, Unsendable};
pub use event::{Accepted, DeliveryId, Ended, Event, Handled, InHand, PublicationId, Published};

use ack::{Acks, GapAck};
use choosing::Unchosen;
use delivery::{Delivery, Pushed};
use outage::Outage;
use publish::Publication;
use shutdown::Shutdown;

/// Number of the messages accepted last that are kept, to be named after a restore.
pub const ACCEPTED_MEMORY: usize = 1_024;

/// One run of one agent at the mailboxes, as a state machine over passed-in readings of its clocks.
///
/// Invariant: no two sessions of an agent share a session id: the object takes them for one.
pub struct MailboxSession {
    agent: AgentId,
    session: SessionId,
    config: Config,
    pacing: Pacing,
    /// Beginning of message ids.
    nonce: u64,
    last_number: u64,
    connection: Connection<Ask>,
    /// Invariant: there exactly while the connection is live.
    epoch: Option<Ordinal>,
    shutdown: Option<Shutdown>,
    /// The subscriptions that every connect sets, if the session has chosen any.
    types: Option<Patterns>,
    /// State of what comes though nobody has chosen it.
    unchosen: Option<Unchosen>,
    /// Types that there are handlers for.
    served: Patterns,
    generation: u64,
    /// The largest `seq` known of in this generation.
    last_seen: Option<Ordinal>,
    deliveries: BTreeMap<Ordinal, Delivery>,
    pushed: Pushed,
    outage: Outage,
    acks: Acks,
    gap: Option<GapAck>,
    gap_told: u64,
    publications: Repeated<PublicationId, Publication>,
    accepted: VecDeque<Accepted>,
    accepted_before: u64,
    queries: Repeated<QueryId, Ask>,
    calls: Calls<Subject>,
    events: VecDeque<Event>,
}

/// Subject of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Publish(PublicationId),
    Query(QueryId),
    Ack,
    Gap,
    Nack(Ordinal),
    Working(Ordinal),
    Disconnect,
}

/// Parts of an attempt that is due.
type Due = (Subject, Ask, Attempt);

impl MailboxSession {
    /// A session of `agent` that has not begun yet.
    ///
    /// `seed` makes message ids and jitter; draw it anew for every run.
    #[must_use]
    pub fn new(agent: AgentId, session: SessionId, config: Config, seed: u64) -> Self {
        let mut jitter = ChaCha8Rng::seed_from_u64(seed);
        let nonce = jitter.next_u64();
        Self {
            agent,
            session,
            config,
            pacing: Pacing { backoff: config.backoff, jitter },
            nonce,
            last_number: 0,
            connection: Connection::new(config.socket, Manner::Regularly),
            epoch: None,
            shutdown: None,
            types: None,
            unchosen: None,
            served: Patterns::new(),
            generation: 0,
            last_seen: None,
            deliveries: BTreeMap::new(),
            pushed: Pushed::default(),
            outage: Outage::default(),
            acks: Acks::default(),
            gap: None,
            gap_told: 0,
            publications: Repeated::new(),
            accepted: VecDeque::new(),
            accepted_before: 0,
            queries: Repeated::new(),
            calls: Calls::new(),
            events: VecDeque::new(),
        }
    }

    /// The agent whose session it is.
    #[must_use]
    pub fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// The run of the agent.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The epoch of the live session; `None` while there is no socket.
    #[must_use]
    pub fn epoch(&self) -> Option<Ordinal> {
        self.epoch
    }

    /// The largest `seq` the session knows of in the present generation.
    #[must_use]
    pub fn last_seen(&self) -> Option<Ordinal> {
        self.last_seen
    }

    /// True if nothing is under way: no delivery, no ack, no publication and no query.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.deliveries.is_empty()
            && self.acks.is_empty()
            && self.gap.is_none()
            && self.publications.is_empty()
            && self.queries.is_empty()
    }

    fn next_number(&mut self) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        self.last_number
    }

    /// Way that an attempt goes after `unanswered` ones.
    fn route(&self, unanswered: u32) -> Route {
        match self.config.window {
            Some(_) => self.connection.route(unanswered),
            // Over a socket of the original's protocol nothing is asked.
            None => Route::Http,
        }
    }
}

impl fmt::Debug for MailboxSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailboxSession")
            .field("agent", &self.agent)
            .field("session", &self.session)
            .field("connection", &self.connection)
            .field("deliveries", &self.deliveries)
            .field("publications", &self.publications)
            .field("queries", &self.queries)
            .finish_non_exhaustive()
    }
}
