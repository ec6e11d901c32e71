//! Exchange between a mailbox session and its run loop.

use std::time::Duration;

use mailbus_spec::Commit;
use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Ask, MailboxMachine, MailboxReply, Notice, Outcome, Rejection};
use mailbus_spec::wire::mailbox::ServerFrame;
use mailbus_spec::wire::{Code, Problem};

use super::delivery::Delivery;
use super::event::{Event, Published};
use super::shutdown::Shutdown;
use super::{MailboxSession, Subject};
use crate::session::call::{CallFailure, CallNumber, QueryId, Transmit};
use crate::session::connection::{SocketNumber, SocketOrder};
use crate::session::contract::Session;
use crate::session::retry::{Attempt, least_pause};

impl Session for MailboxSession {
    type Service = MailboxMachine;
    type Command = Ask;
    type Connect = Ask;
    type Frame = ServerFrame;
    type Event = Event;

    /// Asks the object something: `Subscribe`, `Unsubscribe`, `Inbox`, `Agents`, `Heartbeat`,
    /// `DeadLetters`, `Redrive`, `Forget`, `Recover`, or an `Ack` by id. What it says is passed on;
    /// [`Event::Answered`] tells it. With too much under way it is not sent, and unanswered at once.
    ///
    /// A `Recover` is sent once, since each begins a generation; the others until they are answered.
    fn ask(&mut self, at: Reading, ask: Ask) -> QueryId {
        self.begin_query(at.monotonic, ask)
    }

    fn forget(&mut self, query: QueryId) {
        self.queries.end(query);
    }

    fn poll_socket(&mut self, at: Reading) -> Option<SocketOrder<Ask>> {
        self.open_if_due(at.monotonic);
        self.connection.next_order()
    }

    fn poll_transmit(&mut self, at: Reading) -> Option<Transmit<Ask>> {
        let now = at.monotonic;
        let call = CallNumber(self.last_number.saturating_add(1));
        let (subject, command, attempt) = self
            .due_announcement(call, now)
            .or_else(|| self.due_nack(call, now))
            .or_else(|| self.due_ack(call, now))
            .or_else(|| self.due_gap_ack(call, now))
            .or_else(|| self.due_publication(call, now))
            .or_else(|| self.due_query(call, now))
            .or_else(|| self.due_disconnect(call, now))?;
        self.last_number = call.0;
        let Attempt { unanswered, timeout, leave_by } = attempt;
        let route = self.route(unanswered);
        self.calls.note_sent(call, subject, route, at);
        Some(Transmit { call, command, route, timeout, leave_by })
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Duration> {
        let deliveries = self.deliveries.values().filter_map(Delivery::timeout);
        let single = [
            self.connection.timeout(),
            self.publications.timeout(),
            self.queries.timeout(),
            self.acks.timeout(),
            self.outage.timeout(),
            self.gap.as_ref().and_then(|gap| gap.retry.timeout()),
            self.shutdown.as_ref().and_then(Shutdown::timeout),
        ];
        deliveries.chain(single.into_iter().flatten()).min()
    }

    fn handle_timeout(&mut self, at: Reading) {
        let now = at.monotonic;
        self.connection_in_time(now);
        self.deliveries_in_time(now);
        self.acks_in_time(now);
        for id in self.publications.pass(now, &mut self.pacing) {
            self.give_up_publication(id);
        }
        for id in self.queries.pass(now, &mut self.pacing) {
            self.on_answered(id, Err(CallFailure::Unanswered));
        }
        self.shutdown_in_time(now);
    }

    /// The session is live once it is greeted.
    fn handle_opened(&mut self, _at: Reading, _socket: SocketNumber) {}

    fn handle_unopened(&mut self, at: Reading, socket: SocketNumber, why: Option<Problem>) {
        if self.connection.socket() == Some(socket) {
            self.refused(why, at.monotonic);
        }
    }

    fn handle_closed(&mut self, at: Reading, socket: SocketNumber, code: Option<u16>) {
        if self.connection.socket() == Some(socket) {
            self.closed(code, at.monotonic);
        }
    }

    fn handle_heard(&mut self, at: Reading, socket: SocketNumber) {
        self.connection.note_heard(socket, at.monotonic);
    }

    fn handle_frame(&mut self, at: Reading, socket: SocketNumber, frame: ServerFrame) {
        match frame {
            ServerFrame::Connected(reply) => self.handle_greeting(at, socket, reply),
            ServerFrame::Replies(replies) => {
                for received in replies {
                    self.handle_received(at, received);
                }
            }
            ServerFrame::Notice(notice) => self.handle_notice(at, socket, notice),
            // It does not say which frame, so all that is awaited is sent again.
            ServerFrame::Error(_) => self.ask_awaited_again(socket, at.monotonic),
            ServerFrame::Unknown(_) => {}
        }
    }

    fn handle_reply(&mut self, at: Reading, call: CallNumber, reply: MailboxReply) {
        self.note_commit(reply.commit);
        let Some((sent, first)) = self.calls.note_answered(call) else { return };
        let now = at.monotonic;
        let least = pause_of(&reply.answer);
        match sent.subject {
            Subject::Publish(id) if first => {
                self.publication_answered(id, call, reply.answer, (now, least));
            }
            // It has said so before.
            Subject::Publish(_) => {}
            Subject::Query(id) => match reply.answer {
                Err(Rejection::Replaced | Rejection::Clock(_)) => {
                    self.query_failed(id, call, now, least);
                }
                _ => self.on_answered(id, Ok(reply)),
            },
            Subject::Ack => match reply.answer {
                Ok(_) => drop(self.on_ack_answered(call)),
                Err(_) => self.ack_failed(call, now, least),
            },
            Subject::Gap => match reply.answer {
                Ok(_) => self.on_gap_answered(call),
                Err(_) => self.gap_ack_failed(call, now, least),
            },
            Subject::Nack(seq) => match reply.answer {
                Ok(_) => drop(self.on_returned(seq, call)),
                Err(_) => self.nack_failed(seq, call, now, least),
            },
            Subject::Working(seq) => match reply.answer {
                Ok(Outcome::Noted { known }) => self.on_noted(seq, call, known, now),
                _ => self.announcement_failed(seq, call, now),
            },
            Subject::Disconnect => self.leave(now),
        }
        self.leave_if_done(now);
    }

    fn handle_problem(&mut self, at: Reading, call: CallNumber, problem: Problem) {
        let now = at.monotonic;
        let least = least_pause(problem.code);
        let status = problem.code.status();
        let passing = status >= 500 || matches!(problem.code, Code::Limit | Code::Replaced);
        let Some(sent) = self.calls.get(call).cloned() else { return };
        self.calls.stop_awaiting(call);
        if passing {
            // From 500 on nobody knows whether it took effect; 429 and a replaced session's frames had
            // none.
            match sent.subject {
                Subject::Publish(id) if status < 500 && !sent.answered => {
                    self.calls.note_answered(call);
                    let why = (Published::Refused(problem), true);
                    self.publication_refused(id, call, why, (now, least));
                }
                _ => self.try_again(call, now, least),
            }
        } else if self.calls.note_answered(call).is_some_and(|(_, first)| first) {
            self.refused_for_good(call, sent.subject, problem, now);
        }
        self.leave_if_done(now);
    }

    fn handle_failure(&mut self, at: Reading, call: CallNumber) {
        self.try_again(call, at.monotonic, Duration::ZERO);
        self.leave_if_done(at.monotonic);
    }

    fn handle_unsent(&mut self, at: Reading, call: CallNumber) {
        if let Some(Subject::Publish(id)) = self.calls.get(call).map(|sent| sent.subject.clone()) {
            self.publication_unsent(id);
        }
        self.handle_failure(at, call);
    }

    fn handle_diverted(&mut self, call: CallNumber) {
        self.calls.stop_awaiting(call);
    }

    fn handle_abandoned(&mut self, at: Reading) {
        self.shut_down(at);
    }

    fn is_done(&self) -> bool {
        self.is_over() && self.is_idle()
    }
}

impl MailboxSession {
    /// Handles a notice that the object sends unasked over a socket. One over a socket that is not
    /// the live session's is ignored: it comes again.
    pub fn handle_notice(&mut self, at: Reading, socket: SocketNumber, notice: Notice) {
        if self.connection.live() != Some(socket) {
            return;
        }
        match notice {
            Notice::Message { seq, attempt, redriven, message } => {
                self.on_pushed(at.monotonic, socket, seq, (attempt, redriven, message));
            }
            Notice::Ephemeral { message } => {
                if self.shutdown.is_none() {
                    self.events.push_back(Event::Ephemeral { message });
                }
            }
            Notice::Gap(gap) => self.tell_gap(gap),
            // On the wire it is the socket's close.
            Notice::Closed(_) => {}
        }
    }

    pub(super) fn ask_awaited_again(&mut self, socket: SocketNumber, now: Duration) {
        for call in self.calls.take_awaited(socket) {
            self.try_again(call, now, Duration::ZERO);
        }
    }

    /// Attempt `call` came to nothing that anybody knows of: another follows.
    pub(super) fn try_again(&mut self, call: CallNumber, now: Duration, least: Duration) {
        let Some(subject) = self.calls.note_failed(call) else { return };
        match subject {
            Subject::Publish(id) => self.publication_failed(id, call, now, least),
            Subject::Query(id) => self.query_failed(id, call, now, least),
            Subject::Ack => self.ack_failed(call, now, least),
            Subject::Gap => self.gap_ack_failed(call, now, least),
            Subject::Nack(seq) => self.nack_failed(seq, call, now, least),
            Subject::Working(seq) => self.announcement_failed(seq, call, now),
            Subject::Disconnect => self.leave(now),
        }
    }

    fn refused_for_good(
        &mut self,
        call: CallNumber,
        subject: Subject,
        problem: Problem,
        now: Duration,
    ) {
        match subject {
            Subject::Publish(id) => {
                let why = (Published::Refused(problem), false);
                self.publication_refused(id, call, why, (now, Duration::ZERO));
            }
            Subject::Query(id) => self.on_answered(id, Err(CallFailure::Problem(problem))),
            // In flight it would stay for as long as the session lives, and hold its place in the window. To
            // the next session it comes again, and is settled or given back again. Of a copy that nobody
            // waits for any more a refusal says nothing.
            Subject::Ack if self.on_ack_answered(call) => {
                self.close_and_retry(now, Duration::ZERO);
            }
            Subject::Nack(seq) if self.on_returned(seq, call) => {
                self.close_and_retry(now, Duration::ZERO);
            }
            Subject::Ack | Subject::Nack(_) => {}
            Subject::Gap => self.on_gap_answered(call),
            Subject::Working(seq) => self.announcement_failed(seq, call, now),
            Subject::Disconnect => self.leave(now),
        }
    }

    /// Notes the object's present life; true if it is another than before.
    pub(super) fn note_commit(&mut self, commit: Commit) -> bool {
        let another = self.generation != 0 && commit.generation > self.generation;
        self.generation = self.generation.max(commit.generation);
        if another {
            self.on_restored();
        }
        another
    }

    /// The object may have forgotten what it said, and no name in memory means anything to it.
    pub(super) fn on_restored(&mut self) {
        self.last_seen = None;
        self.gap_told = 0;
        self.gap = None;
        self.acks.forget();
        self.pushed.forget();
        let unknown = std::mem::take(&mut self.accepted).into();
        let more = std::mem::take(&mut self.accepted_before);
        self.events.push_back(Event::Restored { unknown, more });
        // What is pushed again is another delivery; what a handler has is finished as it is.
        if self.connection.live().is_none() {
            self.drop_undelivered();
        }
    }
}

/// Least pause before asking again after this answer.
fn pause_of(answer: &Result<Outcome, Rejection>) -> Duration {
    match answer {
        Err(Rejection::Overloaded) => least_pause(Code::Overloaded),
        Err(Rejection::Limit(_)) => least_pause(Code::Limit),
        Err(Rejection::Clock(_)) => least_pause(Code::Clock),
        _ => Duration::ZERO,
    }
}
