//! Exchange between a lease session and its run loop.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseReply, Outcome, Rejection};
use mailbus_spec::wire::lease::ServerFrame;
use mailbus_spec::wire::{Code, Problem};
use mailbus_spec::{Holder, Ordinal, RequestId};

use super::claim::{Claim, lives_at_most};
use super::error::AcquireError;
use super::event::{ClaimId, Event, LossCause, Released};
use super::rules::Ending;
use super::{Due, LeaseSession, Subject};
use crate::session::call::{CallFailure, CallNumber, QueryId, Sending, Sent, Transmit};
use crate::session::connection::{SocketNumber, SocketOrder};
use crate::session::contract::Session;
use crate::session::retry::{Attempt, Retry, least_pause};

impl Session for LeaseSession {
    type Service = LeaseMachine;
    type Command = Command;
    type Connect = Holder;
    type Frame = ServerFrame;
    type Event = Event;

    /// Asks the object something: `Status`, `List`, `Verify`, `ForceRelease` or `Recover`. What it
    /// says is passed on and not looked at; [`Event::Answered`] tells it.
    ///
    /// A `Recover` is sent once, since each begins a generation; the others until they are answered.
    fn ask(&mut self, at: Reading, command: Command) -> QueryId {
        self.observe(at);
        self.begin_query(at.monotonic, command)
    }

    fn forget(&mut self, query: QueryId) {
        self.queries.end(query);
    }

    fn poll_socket(&mut self, at: Reading) -> Option<SocketOrder<Holder>> {
        if self.connection.is_due(at.monotonic) {
            let socket = SocketNumber(self.next_number());
            self.connection.open(socket, self.holder.clone(), at.monotonic);
        }
        self.connection.next_order()
    }

    fn poll_transmit(&mut self, at: Reading) -> Option<Transmit<Command>> {
        self.observe(at);
        let now = at.monotonic;
        let call = CallNumber(self.last_number.saturating_add(1));
        let (subject, command, attempt) = self
            .due_farewell(call, now)
            .or_else(|| self.due_renewal(call, at))
            .or_else(|| self.due_acquire(call, at))
            .or_else(|| self.due_query(call, now))?;
        self.last_number = call.0;
        let Attempt { unanswered, timeout, leave_by } = attempt;
        let route = self.connection.route(unanswered);
        self.calls.note_sent(call, subject, route, at);
        Some(Transmit { call, command, route, timeout, leave_by })
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Duration> {
        let seen = self.last_seen.unwrap_or_default().monotonic;
        let claims = self
            .claims
            .iter()
            .filter_map(|(id, claim)| claim.timeout(seen, self.is_held_back(*id, claim, seen)));
        let unrenewed = self.unrenewed.values().map(|left| left.timeout(seen));
        let single = [self.farewells.timeout(), self.queries.timeout(), self.connection.timeout()];
        // The instant after the last at which an answer is waited for.
        let awaited = self.farewells.iter().filter_map(|(_, farewell)| farewell.awaited_until());
        let unknown = awaited.map(|until| until.saturating_add(Duration::from_nanos(1)));
        claims.chain(unrenewed).chain(unknown).chain(single.into_iter().flatten()).min()
    }

    fn handle_timeout(&mut self, at: Reading) {
        self.observe(at);
        if self.connection.pass(at.monotonic) {
            self.connection.close();
            self.lose_socket(at.monotonic);
        }
        self.claims_in_time(at.monotonic);
        self.unrenewed_in_time(at.monotonic);
        self.farewells_in_time(at.monotonic);
        for id in self.farewells.pass(at.monotonic, &mut self.pacing) {
            self.end_farewell(id, Released::Unanswered);
        }
        for id in self.queries.pass(at.monotonic, &mut self.pacing) {
            self.on_answered(id, Err(CallFailure::Unanswered));
        }
    }

    fn handle_opened(&mut self, at: Reading, socket: SocketNumber) {
        self.connection.note_live(socket, at.monotonic);
    }

    fn handle_unopened(&mut self, at: Reading, socket: SocketNumber, _why: Option<Problem>) {
        self.handle_closed(at, socket, None);
    }

    fn handle_closed(&mut self, at: Reading, socket: SocketNumber, _code: Option<u16>) {
        self.observe(at);
        if self.connection.socket() == Some(socket) {
            self.lose_socket(at.monotonic);
        }
    }

    fn handle_heard(&mut self, at: Reading, socket: SocketNumber) {
        self.connection.note_heard(socket, at.monotonic);
    }

    fn handle_frame(&mut self, at: Reading, socket: SocketNumber, frame: ServerFrame) {
        match frame {
            ServerFrame::Replies(replies) => {
                for received in replies {
                    self.handle_received(at, received);
                }
            }
            ServerFrame::Notice(notice) => self.handle_notice(at, notice),
            // It does not say which frame, so all that is awaited is asked again.
            ServerFrame::Error(_) => self.ask_awaited_again(socket, at.monotonic),
            ServerFrame::Unknown(_) => {}
        }
    }

    fn handle_reply(&mut self, at: Reading, call: CallNumber, reply: LeaseReply) {
        self.observe(at);
        let before = self.generation;
        if !self.note_life(call, reply.commit) {
            self.calls.stop_awaiting(call);
            return self.try_again(call, at.monotonic, Duration::ZERO);
        }
        self.take_reply(at, call, reply);
        if self.generation != before {
            self.end_older_beliefs(at.monotonic);
        }
    }

    fn handle_problem(&mut self, at: Reading, call: CallNumber, problem: Problem) {
        self.observe(at);
        let least = least_pause(problem.code);
        // From 500 on nobody knows whether it took effect, and 429 passes.
        let status = problem.code.status();
        self.calls.stop_awaiting(call);
        if status < 500
            && let Some((sent, true)) = self.calls.note_answered(call)
            && let Some(retry) = self.retry_of(&sent.subject)
        {
            retry.note_refused(call);
        }
        if status >= 500 || status == 429 {
            self.try_again(call, at.monotonic, least);
        } else {
            self.refused_for_good(call, problem, at.monotonic);
        }
    }

    fn handle_failure(&mut self, at: Reading, call: CallNumber) {
        self.observe(at);
        self.try_again(call, at.monotonic, Duration::ZERO);
    }

    fn handle_diverted(&mut self, call: CallNumber) {
        self.calls.stop_awaiting(call);
    }

    fn handle_abandoned(&mut self, _at: Reading) {
        self.abandoned = true;
    }

    fn is_done(&self) -> bool {
        self.abandoned && self.is_idle()
    }
}

impl LeaseSession {
    /// A push. One about something unknown is answered by giving it back: nobody here waits for it.
    pub fn handle_notice(&mut self, at: Reading, notice: Notice) {
        self.observe(at);
        let now = at.monotonic;
        match notice {
            Notice::Granted { request, token, ttl, .. } => {
                let claim = self.claims.iter().find(|(_, claim)| claim.request == request);
                match claim.map(|(id, _)| *id) {
                    Some(id) => self.on_granted(id, token, ttl, None, at),
                    None if self.was_left(&request) => {}
                    None => {
                        self.release_token(token, (None, lives_at_most(ttl)), None, now);
                    }
                }
            }
            Notice::Lapsed { token } => {
                self.note_over(token);
                let Some(id) = self.claim_under(token) else { return };
                if self.claims.get(&id).is_some_and(Claim::is_believed) {
                    self.lose(id, LossCause::Lapsed, Ending::Over, now);
                } else {
                    self.on_over(id, mailbus_spec::lease::OverReason::Lapsed, now);
                }
            }
            Notice::Forced { token, reason, drain } => {
                if !drain {
                    self.note_over(token);
                }
                match self.claim_under(token) {
                    Some(id) if drain => self.on_draining(id, reason, now),
                    Some(id) => self.on_forced(id, reason, now),
                    None => {}
                }
            }
        }
    }

    fn take_reply(&mut self, at: Reading, call: CallNumber, reply: LeaseReply) {
        let Some(sent) = self.note_answered(call, &reply) else { return };
        let named = sent.sending;
        match sent.subject {
            Subject::Acquire { claim, request } => {
                self.acquire_answered(claim, &request, named, reply.answer, at);
            }
            Subject::Renew { claim, token } => {
                self.renewal_answered(claim, token, named, reply.answer, at);
            }
            Subject::Farewell(farewell) => {
                if !self.on_farewell_answered(farewell, &reply.answer) {
                    self.try_again(call, at.monotonic, pause_of(&reply.answer));
                }
            }
            Subject::Query(query) => self.on_answered(query, Ok(reply)),
        }
    }

    fn acquire_answered(
        &mut self,
        claim: ClaimId,
        request: &RequestId,
        named: Sending,
        answer: Result<Outcome, Rejection>,
        at: Reading,
    ) {
        let now = at.monotonic;
        let live = self.claims.get(&claim).is_some_and(|known| known.request == *request);
        match answer {
            Ok(Outcome::Granted { token, ttl, .. }) if live => {
                self.on_granted(claim, token, ttl, Some(named), at);
            }
            Ok(Outcome::Granted { .. }) if self.was_left(request) => {}
            // Nobody waits for it any more.
            Ok(Outcome::Granted { token, ttl, .. }) => {
                self.release_token(token, (None, lives_at_most(ttl)), None, now);
            }
            _ if !live => {}
            Ok(Outcome::Queued { position }) => self.on_queued(claim, named.at, position, now),
            Ok(Outcome::Over { reason, .. }) => self.on_over(claim, reason, now),
            Err(rejection @ Rejection::Clock(_)) => {
                self.try_again(named.call, now, pause_of(&Err(rejection)));
            }
            Err(Rejection::Lost) | Ok(_) => self.refuse(claim, AcquireError::Unexpected, now),
            Err(rejection) => self.on_rejected(claim, rejection, now),
        }
    }

    fn renewal_answered(
        &mut self,
        claim: ClaimId,
        token: Ordinal,
        named: Sending,
        answer: Result<Outcome, Rejection>,
        at: Reading,
    ) {
        let hold = self.claims.get_mut(&claim).and_then(|known| known.hold.as_mut());
        let Some(hold) = hold.filter(|hold| hold.token == token) else { return };
        match answer {
            Ok(Outcome::Renewed { waiting, draining, .. }) => {
                hold.waiting = waiting;
                if draining {
                    self.on_draining(claim, String::new(), at.monotonic);
                } else {
                    self.on_renewed(claim, named, at);
                }
            }
            Err(Rejection::Lost) => self.on_renewal_refused(claim, at.monotonic),
            other => self.try_again(named.call, at.monotonic, pause_of(&other)),
        }
    }

    /// The socket is gone, and with it whatever was awaited over it.
    fn lose_socket(&mut self, now: Duration) {
        let lost = self.connection.lose(now, Duration::ZERO, &mut self.reconnecting);
        if let Some(socket) = lost {
            self.ask_awaited_again(socket, now);
        }
    }

    fn ask_awaited_again(&mut self, socket: SocketNumber, now: Duration) {
        for call in self.calls.take_awaited(socket) {
            self.try_again(call, now, Duration::ZERO);
        }
    }

    /// Notes the answer to an attempt, if it is known.
    fn note_answered(&mut self, call: CallNumber, reply: &LeaseReply) -> Option<Sent<Subject>> {
        let (sent, first) = self.calls.note_answered(call)?;
        if first && let Some(retry) = self.retry_of(&sent.subject) {
            if matches!(reply.answer, Err(Rejection::Clock(_))) {
                retry.note_refused(call);
            } else {
                retry.note_answered(call, sent.sending.at.monotonic);
            }
        }
        Some(sent)
    }

    fn retry_of(&mut self, subject: &Subject) -> Option<&mut Retry> {
        match subject {
            Subject::Acquire { claim, request } => self
                .claims
                .get_mut(claim)
                .filter(|known| known.request == *request)
                .map(|known| &mut known.acquiring),
            Subject::Renew { claim, token } => self
                .claims
                .get_mut(claim)
                .and_then(|known| known.hold.as_mut())
                .filter(|hold| hold.token == *token)
                .map(|hold| &mut hold.renewing),
            Subject::Farewell(id) => self.farewells.retry(*id),
            Subject::Query(id) => self.queries.retry(*id),
        }
    }

    /// Attempt `call` came to nothing that anybody knows of: another follows.
    fn try_again(&mut self, call: CallNumber, now: Duration, least: Duration) {
        let Some(subject) = self.calls.note_failed(call) else { return };
        match subject {
            Subject::Acquire { claim, request } => {
                if self.claims.get(&claim).is_some_and(|known| known.request == request) {
                    self.acquire_failed(claim, call, now, least);
                }
            }
            Subject::Renew { claim, token } => self.renewal_failed(claim, token, call, now, least),
            Subject::Farewell(id) => {
                if self.farewells.fail(id, call, (now, least), &mut self.pacing) {
                    self.end_farewell(id, Released::Unanswered);
                }
            }
            Subject::Query(id) => {
                if self.queries.fail(id, call, (now, least), &mut self.pacing) {
                    self.on_answered(id, Err(CallFailure::Unanswered));
                }
            }
        }
    }

    fn refused_for_good(&mut self, call: CallNumber, problem: Problem, now: Duration) {
        let Some(sent) = self.calls.get(call) else { return };
        match sent.subject.clone() {
            Subject::Acquire { claim, request } => {
                let asking = |known: &&Claim| known.request == request && known.hold.is_none();
                if self.claims.get(&claim).filter(asking).is_some() {
                    self.refuse(claim, AcquireError::Refused(problem), now);
                }
            }
            // It may pass, as credentials are renewed, and belief ends by itself.
            Subject::Renew { claim, token } => {
                self.renewal_failed(claim, token, call, now, Duration::ZERO);
            }
            Subject::Farewell(farewell) => self.end_farewell(farewell, Released::Unanswered),
            Subject::Query(query) => {
                self.on_answered(query, Err(CallFailure::Problem(problem)));
            }
        }
    }

    pub(super) fn begin_query(&mut self, now: Duration, command: Command) -> QueryId {
        let id = QueryId(self.next_number());
        let retry = Retry::due_at(now, Some(self.horizon()));
        let retry = match command {
            Command::Recover { .. } => retry.once(),
            _ => retry,
        };
        self.queries.begin(id, retry, command);
        id
    }

    fn due_query(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let timeout = self.config.attempt_timeout;
        let (id, command, attempt) = self.queries.take_due(call, now, |_| timeout)?;
        Some((Subject::Query(id), command.clone(), attempt))
    }

    fn on_answered(&mut self, query: QueryId, answer: Result<LeaseReply, CallFailure>) {
        if self.queries.end(query).is_some() {
            self.events.push_back(Event::Answered { query, answer });
        }
    }
}

/// Least pause before asking again after this answer.
fn pause_of(answer: &Result<Outcome, Rejection>) -> Duration {
    match answer {
        Err(Rejection::Limit(_)) => least_pause(Code::Limit),
        Err(Rejection::Clock(_)) => least_pause(Code::Clock),
        _ => Duration::ZERO,
    }
}
