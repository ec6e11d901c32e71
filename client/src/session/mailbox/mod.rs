//! One run of one agent at the mailboxes: what it sends, what it is sent, what it has settled.
//!
//! A [`MailboxSession`] is driven from outside, like a [`LeaseSession`](super::lease::LeaseSession):
//!
//! * callers [`start`](MailboxSession::start) it, [`publish`](MailboxSession::publish),
//!   [`send_to`](MailboxSession::send_to), [`ask`](MailboxSession::ask), say what they
//!   [`serve`](MailboxSession::serve) and [`finish`](MailboxSession::finish) what they were given, and
//!   [`shut_down`](MailboxSession::shut_down) for good;
//! * what comes in goes to a `handle_*` method, with the clocks read *after* it came in;
//! * sockets are opened, pinged and closed as [`poll_socket`](MailboxSession::poll_socket) orders,
//!   commands sent as [`poll_transmit`](MailboxSession::poll_transmit) gives them; what the application
//!   wants to know comes from [`poll_event`](MailboxSession::poll_event);
//! * when [`poll_timeout`](MailboxSession::poll_timeout) says,
//!   [`handle_timeout`](MailboxSession::handle_timeout) is called. Late is safe, early is harmless.
//!
//! # The contract
//!
//! After any call, take socket orders until there is none, then transmits, then events, then sleep to
//! the timeout. What is asked of a socket that is gone is dropped. A socket's texts reach the session in
//! their order, and none after its close.
//!
//! # What is promised
//!
//! * A message that was sent is sent again under the same id until it is answered, for at most a minute;
//!   then its outcome is [`Unknown`](Published::Unknown), never taken for not accepted.
//! * A handler runs once per message and session: a message that was settled and comes again is only
//!   settled again. It is settled after its handler has succeeded, and comes again after it has failed.
//! * With one handler at a time deliveries are handled in the order of their pushes, those apart that wait
//!   for a handler of their type. A message that was delivered before is announced first and handled
//!   alone, so that the object knows which one its client died of.
//! * *Empty and lost never look alike*: what is lost is told as a [`Gap`](Event::Gap), what a restore may
//!   have lost as [`Restored`](Event::Restored), and a session that is over says why.
//!
//! | file | what it says |
//! |---|---|
//! | `connection` | the socket: wanted, opened, kept alive, opened again, over |
//! | `choosing` | what the agent is subscribed to, and what nobody has chosen |
//! | `deliver` | from the push to the handler |
//! | `handling` | in the hands of a handler: how long, and who has been there longest |
//! | `ack` | from the handler to the ack or nack |
//! | `publish` | messages that are sent until they are answered |
//! | `query` | plain calls |
//! | `shutdown` | shutting down |
//! | `receive` | what comes in |
//! | `draft` | messages before they have an id |
//! | `config`, `event` | what goes in and out |

mod ack;
mod choosing;
mod config;
mod connection;
mod deliver;
mod draft;
mod event;
mod handling;
mod publish;
mod query;
mod receive;
mod shutdown;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Ask, Patterns};
use mailbus_spec::{AgentId, Ordinal, SessionId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::call::{CallNumber, QueryId};
use super::retry::{Attempt, Pacing};

pub use config::Config;
pub use draft::{Draft, Unsendable};
pub use event::{
    Accepted, DeliveryId, Ended, Event, Handled, PublicationId, Published, Route, SocketNumber,
    SocketOrder, Transmit,
};
pub use handling::InHand;

use ack::{Acks, GapAck};
use choosing::Unchosen;
use connection::Connection;
use deliver::Delivery;
use publish::Publication;
use query::Query;
use shutdown::Shutdown;

/// Number of the messages accepted last that are kept, to be named after a restore.
pub const ACCEPTED_MEMORY: usize = 1_024;

/// Time for which an attempt is remembered after its sending: longer than a reply may travel.
const CALL_MEMORY: Duration = Duration::from_secs(120);

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
    connection: Connection,
    shutdown: Option<Shutdown>,
    orders: VecDeque<SocketOrder>,
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
    acks: Acks,
    gap: Option<GapAck>,
    gap_told: u64,
    publications: BTreeMap<PublicationId, Publication>,
    accepted: VecDeque<Accepted>,
    accepted_before: u64,
    queries: BTreeMap<QueryId, Query>,
    calls: BTreeMap<CallNumber, Sent>,
    events: VecDeque<Event>,
}

/// An attempt that was made.
#[derive(Clone, Debug)]
struct Sent {
    subject: Subject,
    route: Route,
    at: Duration,
    answered: bool,
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
type Due = (Subject, Ask, Route, Attempt);

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
            connection: Connection::Idle,
            shutdown: None,
            orders: VecDeque::new(),
            types: None,
            unchosen: None,
            served: Patterns::new(),
            generation: 0,
            last_seen: None,
            deliveries: BTreeMap::new(),
            acks: Acks::default(),
            gap: None,
            gap_told: 0,
            publications: BTreeMap::new(),
            accepted: VecDeque::new(),
            accepted_before: 0,
            queries: BTreeMap::new(),
            calls: BTreeMap::new(),
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
        self.connection.live().map(|live| live.epoch)
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

    /// The next order about a socket.
    pub fn poll_socket(&mut self, at: Reading) -> Option<SocketOrder> {
        self.open_if_due(at.monotonic);
        self.orders.pop_front()
    }

    /// The next attempt to send, or `None` if nothing is due at `at`.
    pub fn poll_transmit(&mut self, at: Reading) -> Option<Transmit> {
        let now = at.monotonic;
        let call = CallNumber(self.last_number.saturating_add(1));
        let (subject, ask, route, attempt) = self
            .due_announcement(call, now)
            .or_else(|| self.due_nack(call, now))
            .or_else(|| self.due_ack(call, now))
            .or_else(|| self.due_gap_ack(call, now))
            .or_else(|| self.due_publication(call, now))
            .or_else(|| self.due_query(call, now))
            .or_else(|| self.due_disconnect(call, now))?;
        self.last_number = call.0;
        self.forget_old_calls(now);
        self.calls.insert(call, Sent { subject, route, at: now, answered: false });
        let Attempt { timeout, leave_by, .. } = attempt;
        Some(Transmit { call, ask, route, timeout, leave_by })
    }

    /// The next event for the application.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The monotonic instant at which [`handle_timeout`](Self::handle_timeout) is to be called, unless
    /// something else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let deliveries = self.deliveries.values().filter_map(Delivery::timeout);
        let publications = self.publications.values().filter_map(|sent| sent.retry.timeout());
        let queries = self.queries.values().filter_map(|query| query.retry.timeout());
        let single = [
            self.connection.timeout(),
            self.acks.timeout(),
            self.gap.as_ref().and_then(|gap| gap.retry.timeout()),
            self.shutdown.as_ref().and_then(Shutdown::timeout),
        ];
        deliveries.chain(publications).chain(queries).chain(single.into_iter().flatten()).min()
    }

    /// Does what the passing of time asks for.
    pub fn handle_timeout(&mut self, at: Reading) {
        let now = at.monotonic;
        self.connection_in_time(now);
        self.deliveries_in_time(now);
        self.acks_in_time(now);
        self.publications_in_time(now);
        self.queries_in_time(now);
        self.shutdown_in_time(now);
    }

    fn next_number(&mut self) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        self.last_number
    }

    /// By which way an attempt goes after `unanswered` ones. What went unanswered takes the other way
    /// the next time.
    fn route(&self, unanswered: u32) -> Route {
        match self.connection.live() {
            Some(live) if self.config.window.is_some() && unanswered.is_multiple_of(2) => {
                Route::Socket(live.socket)
            }
            _ => Route::Http,
        }
    }

    /// Calls are numbered in the order of their sending, so the oldest come first.
    fn forget_old_calls(&mut self, now: Duration) {
        while let Some(oldest) = self.calls.first_entry() {
            if now.saturating_sub(oldest.get().at) <= CALL_MEMORY {
                break;
            }
            oldest.remove();
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
