//! The socket: wanted, opened, kept alive, opened again, over.

use std::time::Duration;

use mailbus_spec::Ordinal;
use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Ask, MailboxReply, Outcome, Patterns, Rejection};
use mailbus_spec::wire::mailbox::CLOSE_REPLACED;
use mailbus_spec::wire::{Code, Problem};

use super::MailboxSession;
use super::event::{Ended, Event, Route, SocketNumber, SocketOrder};
use crate::session::call::CallNumber;

/// Time that a live session has to last for the pauses between attempts to begin anew.
const LASTING: Duration = Duration::from_secs(15);

/// Connection of the session to its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// Not begun.
    Idle,
    /// Without a socket; the next is opened at `due`.
    Closed { due: Duration, failures: u32 },
    /// A socket is being opened, or is open and has not been greeted yet.
    Opening { socket: SocketNumber, until: Duration, failures: u32 },
    /// The agent's live session, as far as is known.
    Live(Live),
    /// Over, for good.
    Over,
}

/// A socket whose session is the agent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) socket: SocketNumber,
    pub(super) epoch: Ordinal,
    since: Duration,
    ping_at: Duration,
    /// Time at which the socket is given up, unless something is heard before. There only after a ping.
    silent_until: Option<Duration>,
    failures: u32,
}

impl Connection {
    pub(super) fn live(&self) -> Option<&Live> {
        match self {
            Self::Live(live) => Some(live),
            _ => None,
        }
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Idle | Self::Over => None,
            Self::Closed { due, .. } => Some(*due),
            Self::Opening { until, .. } => Some(*until),
            Self::Live(live) => {
                Some(live.silent_until.map_or(live.ping_at, |end| end.min(live.ping_at)))
            }
        }
    }

    fn socket(&self) -> Option<SocketNumber> {
        match self {
            Self::Opening { socket, .. } => Some(*socket),
            Self::Live(live) => Some(live.socket),
            _ => None,
        }
    }
}

impl MailboxSession {
    /// Begins: opens a socket now, and again whenever it is lost. Does nothing the second time.
    ///
    /// `types` sets the agent's durable subscriptions, with every connect, so that they outlive a restore
    /// and an admin who forgets the agent; what is then [asked](Self::ask) about them changes what is said.
    /// `None` leaves them as they are, which means everything for an agent that has never chosen. At
    /// most [`AGENT_PATTERNS`](mailbus_spec::limits::AGENT_PATTERNS), else the service refuses.
    pub fn start(&mut self, at: Reading, types: Option<Patterns>) {
        if self.connection == Connection::Idle && self.shutdown.is_none() {
            self.types = types;
            self.connection = Connection::Closed { due: at.monotonic, failures: 0 };
        }
    }

    /// True once it has begun.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.connection != Connection::Idle
    }

    /// True once the session is over, for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.connection == Connection::Over
    }

    pub(super) fn open_if_due(&mut self, now: Duration) {
        let Connection::Closed { due, failures } = self.connection else { return };
        if due > now || self.shutdown.is_some() {
            return;
        }
        let socket = SocketNumber(self.next_number());
        let until = now.saturating_add(self.config.connect_timeout);
        self.connection = Connection::Opening { socket, until, failures };
        let connect = Ask::Connect {
            agent: self.agent.clone(),
            session: self.session.clone(),
            window: self.config.window,
            types: self.types.clone(),
            last_seen: self.last_seen,
        };
        self.orders.push_back(SocketOrder::Open { socket, connect });
    }

    /// The first thing that a socket brings, or the answer instead of one: what the object says to the
    /// `Connect` it was opened with.
    pub fn handle_greeting(&mut self, at: Reading, socket: SocketNumber, reply: MailboxReply) {
        let Connection::Opening { socket: opening, failures, .. } = self.connection else { return };
        if opening != socket {
            return;
        }
        let now = at.monotonic;
        match reply.answer {
            Ok(Outcome::Connected { epoch, resumed, gap, refused }) => {
                // Before anything that it brings: that belongs to the new generation.
                self.note_commit(reply.commit);
                self.connection = Connection::Live(Live {
                    socket,
                    epoch,
                    since: now,
                    ping_at: now.saturating_add(self.config.ping_pause()),
                    silent_until: None,
                    failures,
                });
                self.events.push_back(Event::Connected { epoch, resumed, refused });
                if let Some(gap) = gap {
                    self.tell_gap_again(gap);
                }
            }
            Err(Rejection::Ahead { .. }) => {
                if !self.note_commit(reply.commit) {
                    self.on_restored();
                }
                self.close_and_retry(socket, now, Duration::ZERO);
            }
            Err(Rejection::Clock(_)) => {
                self.close_and_retry(socket, now, least_pause(Code::Clock));
            }
            _ => self.close_and_retry(socket, now, least_pause(Code::Limit)),
        }
    }

    /// A socket could not be opened. With a problem, somebody said why.
    pub fn handle_unopened(&mut self, at: Reading, socket: SocketNumber, why: Option<Problem>) {
        if self.connection.socket() != Some(socket) {
            return;
        }
        match why {
            Some(problem) if problem.code == Code::Ahead => {
                self.on_restored();
                self.lose_socket(socket, at.monotonic, Duration::ZERO);
            }
            Some(problem) if is_final(problem.code) => {
                self.lose_socket(socket, at.monotonic, Duration::ZERO);
                self.end(Ended::Refused(problem), at.monotonic);
            }
            why => {
                let least = why.map_or(Duration::ZERO, |problem| least_pause(problem.code));
                self.lose_socket(socket, at.monotonic, least);
            }
        }
    }

    /// A socket is closed or broken, with the close code if there was one.
    pub fn handle_closed(&mut self, at: Reading, socket: SocketNumber, code: Option<u16>) {
        if self.connection.socket() != Some(socket) {
            return;
        }
        let now = at.monotonic;
        self.lose_socket(socket, now, Duration::ZERO);
        match code {
            Some(CLOSE_REPLACED) => self.end(Ended::Replaced, now),
            Some(CLOSED_FORBIDDEN) => {
                let problem = Problem::new(Code::Forbidden, "the service closed the socket");
                self.end(Ended::Refused(problem), now);
            }
            _ => {}
        }
    }

    /// Something came in over a socket, if only the answer to a ping.
    pub fn handle_heard(&mut self, socket: SocketNumber) {
        if let Connection::Live(live) = &mut self.connection
            && live.socket == socket
        {
            live.silent_until = None;
        }
    }

    pub(super) fn connection_in_time(&mut self, now: Duration) {
        match &mut self.connection {
            Connection::Opening { socket, until, .. } if *until <= now => {
                let socket = *socket;
                self.close_and_retry(socket, now, Duration::ZERO);
            }
            Connection::Live(live) => {
                let socket = live.socket;
                if live.silent_until.is_some_and(|end| end <= now) {
                    self.close_and_retry(socket, now, Duration::ZERO);
                } else if live.ping_at <= now {
                    live.silent_until.get_or_insert(now.saturating_add(self.config.silence));
                    live.ping_at = now.saturating_add(self.config.ping_pause());
                    self.orders.push_back(SocketOrder::Ping { socket });
                }
            }
            _ => {}
        }
    }

    fn close_and_retry(&mut self, socket: SocketNumber, now: Duration, least: Duration) {
        self.orders.push_back(SocketOrder::Close { socket });
        self.lose_socket(socket, now, least);
    }

    /// The socket is gone, and with it whatever was awaited over it.
    fn lose_socket(&mut self, socket: SocketNumber, now: Duration, least: Duration) {
        let (was_live, failures) = match &self.connection {
            Connection::Live(live) => {
                let lasted = now.saturating_sub(live.since) >= LASTING;
                (true, if lasted { 0 } else { live.failures })
            }
            Connection::Opening { failures, .. } => (false, *failures),
            _ => return,
        };
        let failures = failures.saturating_add(1);
        let pause = self.config.reconnect.pause(failures, &mut self.pacing.jitter).max(least);
        self.connection = Connection::Closed { due: now.saturating_add(pause), failures };
        if was_live {
            self.events.push_back(Event::Disconnected);
        }
        self.drop_undelivered();
        let awaited: Vec<CallNumber> = self
            .calls
            .iter()
            .filter(|(_, sent)| !sent.answered && sent.route == Route::Socket(socket))
            .map(|(call, _)| *call)
            .collect();
        for call in awaited {
            self.try_again(call, now, Duration::ZERO);
        }
        self.note_disconnected(now);
    }

    /// Nothing is opened any more. What is under way is seen to for as long as copies may be sent.
    pub(super) fn end(&mut self, why: Ended, now: Duration) {
        if self.connection == Connection::Over {
            return;
        }
        // First, or the loss of the socket would be taken for the end of a shutdown under way.
        self.shutdown = None;
        if let Some(socket) = self.connection.socket() {
            self.orders.push_back(SocketOrder::Close { socket });
            self.lose_socket(socket, now, Duration::ZERO);
        }
        self.connection = Connection::Over;
        self.acks.end_by(now.saturating_add(self.config.horizon()));
        self.events.push_back(Event::Ended(why));
    }
}

/// The close code of a session whose credentials do not allow it.
const CLOSED_FORBIDDEN: u16 = 4_003;

/// True if a refusal to open a socket will not pass by itself.
fn is_final(code: Code) -> bool {
    code.status() < 500 && !matches!(code, Code::Limit | Code::Replaced | Code::Ahead)
}

/// Least pause after a refusal.
pub(super) fn least_pause(code: Code) -> Duration {
    Duration::from_secs(u64::from(code.retry_after().unwrap_or_default()))
}
