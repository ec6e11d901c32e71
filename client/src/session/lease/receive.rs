//! Inputs from the object: replies, refusals, failures and pushes.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{LeaseReply, Outcome, Rejection};
use mailbus_spec::wire::Problem;
use mailbus_spec::wire::lease::Received;
use mailbus_spec::{Commit, Ordinal, RequestId};

use super::event::{ClaimId, Event, LossCause, Refusal, Released};
use super::rules::{Ending, Sending};
use super::{LeaseSession, Sent, Subject};
use crate::session::call::{CallFailure, CallNumber};

impl LeaseSession {
    /// A reply as the wire has it. One that names no attempt is ignored: an HTTP transport fills in
    /// the number of the exchange.
    pub fn handle_received(&mut self, at: Reading, received: Received) {
        let Some(call) = received.call.map(CallNumber) else {
            self.observe(at);
            return;
        };
        match received.result {
            Ok(reply) => self.handle_reply(at, call, reply),
            Err(problem) => self.handle_problem(at, call, problem),
        }
    }

    /// The object's reply to attempt `call`. Replies may come late, twice and in any order.
    pub fn handle_reply(&mut self, at: Reading, call: CallNumber, reply: LeaseReply) {
        self.observe(at);
        self.note_commit(reply.commit);
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

    /// Attempt `call` was refused by somebody on the way, or by the object before it was a command.
    pub fn handle_problem(&mut self, at: Reading, call: CallNumber, problem: Problem) {
        self.observe(at);
        let least = problem
            .code
            .retry_after()
            .map_or(Duration::ZERO, |seconds| Duration::from_secs(u64::from(seconds)));
        // From 500 on nobody knows whether it took effect, and 429 passes.
        let status = problem.code.status();
        if status < 500
            && let Some(sent) = self.calls.get_mut(&call)
            && !sent.answered
        {
            sent.answered = true;
            let sent = sent.clone();
            if let Some(retry) = self.retry_of(&sent.subject) {
                retry.note_refused(call);
            }
        }
        if status >= 500 || status == 429 {
            self.try_again(call, at.monotonic, least);
        } else {
            self.refused_for_good(call, problem, at.monotonic);
        }
    }

    /// No reply to attempt `call` will come by the way it went: refused a connection, cut, or
    /// unreadable. What became of it is unknown.
    pub fn handle_failure(&mut self, at: Reading, call: CallNumber) {
        self.observe(at);
        self.try_again(call, at.monotonic, Duration::ZERO);
    }

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
                        self.release_token(token, None, None, now);
                    }
                }
            }
            Notice::Lapsed { token } => {
                self.note_over(token);
                let Some(id) = self.claim_under(token) else { return };
                if self.claims.get(&id).is_some_and(super::acquire::Claim::is_believed) {
                    self.lose(id, LossCause::Lapsed, Ending::Over, now);
                } else {
                    self.on_over(id, mailbus_spec::lease::OverReason::Lapsed, now);
                }
            }
            Notice::Forced { token, reason, drain } => {
                if !drain {
                    self.note_over(token);
                }
                self.on_forced(token, reason, drain, now);
            }
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
            Ok(Outcome::Granted { token, .. }) => {
                self.release_token(token, None, None, now);
            }
            _ if !live => {}
            Ok(Outcome::Queued { position }) => self.on_queued(claim, named.at, position, now),
            Ok(Outcome::Over { reason, .. }) => self.on_over(claim, reason, now),
            Err(rejection @ Rejection::Clock(_)) => {
                self.try_again(named.call, now, pause_of(&Err(rejection)));
            }
            Err(Rejection::Lost) | Ok(_) => self.refuse(claim, Refusal::Unexpected, now),
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
        if !self.holds(claim, token) {
            return;
        }
        match answer {
            Ok(Outcome::Renewed { waiting, .. }) => self.on_renewed(claim, named, waiting, at),
            Err(Rejection::Lost) => self.on_renewal_refused(claim, at.monotonic),
            other => self.try_again(named.call, at.monotonic, pause_of(&other)),
        }
    }

    /// Notes the answer to an attempt, if it is known.
    fn note_answered(&mut self, call: CallNumber, reply: &LeaseReply) -> Option<Sent> {
        let sent = self.calls.get_mut(&call)?;
        let first_time = !std::mem::replace(&mut sent.answered, true);
        let sent = sent.clone();
        if first_time && let Some(retry) = self.retry_of(&sent.subject) {
            if matches!(reply.answer, Err(Rejection::Clock(_))) {
                retry.note_refused(call);
            } else {
                retry.note_answered(call, sent.sending.at.monotonic);
            }
        }
        Some(sent)
    }

    fn retry_of(&mut self, subject: &Subject) -> Option<&mut crate::session::retry::Retry> {
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
                .map(super::hold::Hold::renewing),
            Subject::Farewell(id) => self.farewells.get_mut(id).map(|farewell| &mut farewell.retry),
            Subject::Query(id) => self.queries.get_mut(id).map(|query| &mut query.retry),
        }
    }

    /// Attempt `call` came to nothing that anybody knows of: another follows.
    fn try_again(&mut self, call: CallNumber, now: Duration, least: Duration) {
        let Some(sent) = self.calls.get_mut(&call) else { return };
        sent.sending.failed = true;
        match sent.subject.clone() {
            Subject::Acquire { claim, request } => {
                if self.claims.get(&claim).is_some_and(|known| known.request == request) {
                    self.acquire_failed(claim, call, now, least);
                }
            }
            Subject::Renew { claim, token } => self.renewal_failed(claim, token, call, now, least),
            Subject::Farewell(farewell) => self.farewell_failed(farewell, call, now, least),
            Subject::Query(query) => self.query_failed(query, call, now, least),
        }
    }

    fn refused_for_good(&mut self, call: CallNumber, problem: Problem, now: Duration) {
        let Some(sent) = self.calls.get(&call) else { return };
        match sent.subject.clone() {
            Subject::Acquire { claim, request } => {
                let asking = |known: &&super::acquire::Claim| {
                    known.request == request && known.hold.is_none()
                };
                if self.claims.get(&claim).filter(asking).is_some() {
                    self.refuse(claim, Refusal::Problem(problem), now);
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

    fn note_commit(&mut self, commit: Commit) {
        if self.generation != 0 && commit.generation > self.generation {
            let (from, to) = (self.generation, commit.generation);
            self.events.push_back(Event::GenerationChanged { from, to });
        }
        self.generation = self.generation.max(commit.generation);
    }
}

/// Least pause before asking again after this answer.
fn pause_of(answer: &Result<Outcome, Rejection>) -> Duration {
    let code = match answer {
        Err(Rejection::Limit(_)) => mailbus_spec::wire::Code::Limit,
        Err(Rejection::Clock(_)) => mailbus_spec::wire::Code::Clock,
        _ => return Duration::ZERO,
    };
    Duration::from_secs(u64::from(code.retry_after().unwrap_or_default()))
}
