//! Session that the mailbox keeps for the socket: how it begins, is refused or replaced, and ends.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Ask, MailboxReply, Outcome, Patterns, Rejection};
use mailbus_spec::wire::mailbox::CLOSE_REPLACED;
use mailbus_spec::wire::{Code, Problem};

use super::MailboxSession;
use super::event::{Ended, Event};
use crate::session::connection::SocketNumber;
use crate::session::retry::least_pause;

impl MailboxSession {
    /// Begins: opens a socket now, and again whenever it is lost. Does nothing the second time.
    ///
    /// `types` sets the agent's durable subscriptions, with every connect, so that they outlive a restore
    /// and an admin who forgets the agent. A later [question](crate::session::Session::ask) that changes
    /// them changes what the next connects set.
    /// `None` leaves them as they are, which means everything for an agent that has never chosen. At
    /// most [`AGENT_PATTERNS`](mailbus_spec::limits::AGENT_PATTERNS), else the service refuses.
    pub fn start(&mut self, at: Reading, types: Option<Patterns>) {
        if !self.is_begun() && self.shutdown.is_none() {
            self.types = types;
            self.connection.begin(at.monotonic);
        }
    }

    /// True once it has begun.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.connection.is_begun()
    }

    /// True once the session is over, for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.connection.is_over()
    }

    pub(super) fn open_if_due(&mut self, now: Duration) {
        if !self.connection.is_due(now) || self.shutdown.is_some() {
            return;
        }
        let socket = SocketNumber(self.next_number());
        let connect = Ask::Connect {
            agent: self.agent.clone(),
            session: self.session.clone(),
            window: self.config.window,
            types: self.types.clone(),
            last_seen: self.last_seen,
        };
        self.connection.open(socket, connect, now);
    }

    /// The first thing that a socket brings, or the answer instead of one: what the object says to the
    /// `Connect` it was opened with.
    pub fn handle_greeting(&mut self, at: Reading, socket: SocketNumber, reply: MailboxReply) {
        if !self.connection.is_opening(socket) {
            return;
        }
        let now = at.monotonic;
        match reply.answer {
            Ok(Outcome::Connected { epoch, resumed, gap, refused }) => {
                // Before anything that it brings: that belongs to the new generation.
                self.note_commit(reply.commit);
                self.connection.note_live(socket, now);
                self.epoch = Some(epoch);
                self.events.push_back(Event::Connected { epoch, resumed, refused });
                if let Some(gap) = gap {
                    self.tell_gap_again(gap);
                }
            }
            Err(Rejection::Ahead { .. }) => {
                if !self.note_commit(reply.commit) {
                    self.on_restored();
                }
                self.close_and_retry(now, Duration::ZERO);
            }
            Err(Rejection::Clock(_)) => {
                self.close_and_retry(now, least_pause(Code::Clock));
            }
            _ => self.close_and_retry(now, least_pause(Code::Limit)),
        }
    }

    /// The socket that was being opened is refused, for good or for a while.
    pub(super) fn refused(&mut self, why: Option<Problem>, now: Duration) {
        let code = why.as_ref().map(|problem| problem.code);
        if code == Some(Code::Ahead) {
            self.on_restored();
        }
        match why {
            Some(problem) if is_final(problem.code) => {
                self.lose_socket(now, Duration::ZERO);
                self.end(Ended::Refused(problem), now);
            }
            _ => self.lose_socket(now, code.map_or(Duration::ZERO, least_pause)),
        }
    }

    /// The object has closed the socket, or it is broken.
    pub(super) fn closed(&mut self, code: Option<u16>, now: Duration) {
        self.lose_socket(now, Duration::ZERO);
        match code {
            Some(CLOSE_REPLACED) => self.end(Ended::Replaced, now),
            Some(CLOSED_FORBIDDEN) => {
                let problem = Problem::new(Code::Forbidden, "the service closed the socket");
                self.end(Ended::Refused(problem), now);
            }
            _ => {}
        }
    }

    pub(super) fn connection_in_time(&mut self, now: Duration) {
        if self.connection.pass(now) {
            self.close_and_retry(now, Duration::ZERO);
        }
    }

    /// Gives the present session up for another one.
    pub(super) fn close_and_retry(&mut self, now: Duration, least: Duration) {
        self.connection.close();
        self.lose_socket(now, least);
    }

    /// The socket is gone, and with it whatever was awaited over it.
    fn lose_socket(&mut self, now: Duration, least: Duration) {
        let lost = self.connection.lose(now, least, &mut self.pacing.jitter);
        let Some(socket) = lost else { return };
        if self.epoch.take().is_some() {
            self.events.push_back(Event::Disconnected);
        }
        self.drop_undelivered();
        self.ask_awaited_again(socket, now);
        self.note_disconnected(now);
    }

    /// Nothing is opened any more. What is under way is seen to for as long as copies may be sent.
    pub(super) fn end(&mut self, why: Ended, now: Duration) {
        if self.is_over() {
            return;
        }
        // First, or the loss of the socket would be taken for the end of a shutdown under way.
        self.shutdown = None;
        self.close_and_retry(now, Duration::ZERO);
        self.connection.end();
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
