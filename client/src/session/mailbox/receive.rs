//! Inputs from the object: replies, refusals, failures and pushes.

use std::time::Duration;

use mailbus_spec::Commit;
use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{MailboxReply, Notice, Outcome, Rejection};
use mailbus_spec::wire::mailbox::{Received, ServerFrame};
use mailbus_spec::wire::{Code, Problem};

use super::connection::{Connection, least_pause};
use super::event::{Event, Published, SocketNumber};
use super::{MailboxSession, Sent, Subject};
use crate::session::call::{CallFailure, CallNumber};

impl MailboxSession {
    /// One object of a text frame that came in over a socket.
    pub fn handle_frame(&mut self, at: Reading, socket: SocketNumber, frame: ServerFrame) {
        self.handle_heard(socket);
        match frame {
            ServerFrame::Connected(reply) => self.handle_greeting(at, socket, reply),
            ServerFrame::Replies(replies) => {
                for received in replies {
                    self.handle_received(at, received);
                }
            }
            ServerFrame::Notice(notice) => self.handle_notice(at, socket, notice),
            ServerFrame::Error(_) => self.handle_unreadable(at, socket),
            ServerFrame::Unknown(_) => {}
        }
    }

    /// A reply as the wire has it. One that names no attempt is ignored: an HTTP transport fills in
    /// the number of the exchange.
    pub fn handle_received(&mut self, at: Reading, received: Received) {
        let Some(call) = received.call.map(CallNumber) else { return };
        match received.result {
            Ok(reply) => self.handle_reply(at, call, reply),
            Err(problem) => self.handle_problem(at, call, problem),
        }
    }

    /// The object's reply to attempt `call`. Replies may come late, twice and in any order.
    pub fn handle_reply(&mut self, at: Reading, call: CallNumber, reply: MailboxReply) {
        self.note_commit(reply.commit);
        let Some(sent) = self.note_answered(call) else { return };
        let now = at.monotonic;
        let least = pause_of(&reply.answer);
        match sent.subject {
            Subject::Publish(id) => {
                self.publication_answered(id, call, reply.answer, (now, least));
            }
            Subject::Query(id) => match reply.answer {
                Err(Rejection::Replaced | Rejection::Clock(_)) => {
                    self.query_failed(id, call, now, least);
                }
                _ => self.on_answered(id, Ok(reply)),
            },
            Subject::Ack => match reply.answer {
                Ok(_) => self.on_ack_answered(call),
                Err(_) => self.ack_failed(call, now, least),
            },
            Subject::Gap => match reply.answer {
                Ok(_) => self.on_gap_answered(call),
                Err(_) => self.gap_ack_failed(call, now, least),
            },
            Subject::Nack(seq) => match reply.answer {
                Ok(_) => self.on_returned(seq, call),
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

    /// Attempt `call` was refused by somebody on the way, or by the object before it was a command.
    pub fn handle_problem(&mut self, at: Reading, call: CallNumber, problem: Problem) {
        let now = at.monotonic;
        let least = least_pause(problem.code);
        let status = problem.code.status();
        let passing = status >= 500 || matches!(problem.code, Code::Limit | Code::Replaced);
        let Some(sent) = self.calls.get(&call).cloned() else { return };
        if passing {
            // From 500 on nobody knows whether it took effect; 429 and a replaced session's frames had
            // none.
            match sent.subject {
                Subject::Publish(id) if status < 500 && !sent.answered => {
                    self.note_answered(call);
                    let why = Published::Refused(problem);
                    self.publication_held_up(id, call, why, (now, least));
                }
                _ => self.try_again(call, now, least),
            }
        } else {
            self.note_answered(call);
            self.refused_for_good(call, sent.subject, problem, now);
        }
        self.leave_if_done(now);
    }

    /// No reply to attempt `call` will come by the way it went: refused a connection, cut, or
    /// unreadable. What became of it is unknown.
    pub fn handle_failure(&mut self, at: Reading, call: CallNumber) {
        self.try_again(call, at.monotonic, Duration::ZERO);
        self.leave_if_done(at.monotonic);
    }

    /// What the object sends unasked over a socket. What comes over one that is not the live session's
    /// is ignored: it comes again.
    pub fn handle_notice(&mut self, at: Reading, socket: SocketNumber, notice: Notice) {
        self.handle_heard(socket);
        if self.connection.live().is_none_or(|live| live.socket != socket) {
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

    /// The object could not read a frame of this socket. It does not say which, so all that is awaited
    /// over it is sent again.
    pub fn handle_unreadable(&mut self, at: Reading, socket: SocketNumber) {
        self.handle_heard(socket);
        let awaited: Vec<CallNumber> = self
            .calls
            .iter()
            .filter(|(_, sent)| !sent.answered && sent.route == super::Route::Socket(socket))
            .map(|(call, _)| *call)
            .collect();
        for call in awaited {
            self.try_again(call, at.monotonic, Duration::ZERO);
        }
    }

    /// Notes the first answer to an attempt, if it is known.
    fn note_answered(&mut self, call: CallNumber) -> Option<Sent> {
        let sent = self.calls.get_mut(&call)?;
        sent.answered = true;
        Some(sent.clone())
    }

    /// Attempt `call` came to nothing that anybody knows of: another follows.
    pub(super) fn try_again(&mut self, call: CallNumber, now: Duration, least: Duration) {
        let Some(sent) = self.calls.get(&call) else { return };
        match sent.subject.clone() {
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
            Subject::Publish(id) => self.publication_refused(id, problem),
            Subject::Query(id) => self.on_answered(id, Err(CallFailure::Problem(problem))),
            // What is not settled comes again, and is settled again.
            Subject::Ack => self.on_ack_answered(call),
            Subject::Gap => self.on_gap_answered(call),
            Subject::Nack(seq) => self.on_returned(seq, call),
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
        let unknown = std::mem::take(&mut self.accepted).into();
        let more = std::mem::take(&mut self.accepted_before);
        self.events.push_back(Event::Restored { unknown, more });
        // What is pushed again is another delivery; what a handler has is finished as it is.
        if !matches!(self.connection, Connection::Live(_)) {
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
