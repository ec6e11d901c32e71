//! From the first `Acquire` to the grant: asking, waiting, asking again, giving up.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::{Acquire, Command, HeldBy, OverReason, Rejection};
use mailbus_spec::wire::Code;
use mailbus_spec::{Ordinal, RequestId, Ttl};

use super::claim::{AttemptLog, Claim, Hold, longest_term};
use super::error::AcquireError;
use super::event::{ClaimId, Event};
use super::rules::Ending;
use super::{Acquisition, Due, LeaseSession, Subject};
use crate::session::call::{CallNumber, Sending};
use crate::session::retry::{Retry, least_pause};

impl LeaseSession {
    /// Begins to ask for a set of paths. [`Event::Acquired`] or [`Event::Refused`] tells the end of it.
    ///
    /// While something that overlaps them is being released or cancelled, nothing is asked: commands
    /// may overtake each other, and the new claim would find the old one in its way. It is asked once
    /// the farewell is answered or, at the latest a retry horizon after its last answer, given up on.
    /// What [`lapse`](Self::lapse)s is waited for in the same way.
    pub fn acquire(&mut self, at: Reading, wanted: Acquisition) -> ClaimId {
        self.begin(at, wanted, false)
    }

    pub(super) fn begin(&mut self, at: Reading, wanted: Acquisition, for_a_term: bool) -> ClaimId {
        self.observe(at);
        let id = ClaimId(self.next_number());
        let believable = self.config.clock_bound.believable(wanted.ttl);
        if believable.is_zero() {
            self.events.push_back(Event::Refused { claim: id, refusal: AcquireError::TtlTooShort });
            return id;
        }
        let Some((acquire, request)) = self.new_request(&wanted) else {
            self.events.push_back(Event::Refused { claim: id, refusal: AcquireError::Unexpected });
            return id;
        };
        self.repeat_farewells(&wanted.paths, at.monotonic);
        let patient = !wanted.patience.is_zero();
        let give_up_at = patient.then(|| at.monotonic.saturating_add(wanted.patience));
        let acquiring = self.retry_of_acquire(&wanted, at.monotonic);
        let is_own =
            |(_, other): &(&ClaimId, &Claim)| other.acquire.paths().overlaps(&wanted.paths);
        let own = self.claims.iter().find(is_own).map(|(first, _)| *first);
        let (attempts, longest) = (AttemptLog::default(), longest_term(&acquire));
        let (position, hold) = (None, None);
        let claim = Claim {
            wanted,
            for_a_term,
            acquire,
            request,
            longest,
            give_up_at,
            behind: own.filter(|_| patient),
            acquiring,
            attempts,
            position,
            generation: self.generation,
            turned_away: None,
            hold,
        };
        self.claims.insert(id, claim);
        id
    }

    fn new_request(&mut self, wanted: &Acquisition) -> Option<(Acquire, RequestId)> {
        let number = self.next_number();
        let request = RequestId::new(format!("{:016x}-{number}", self.nonce)).ok()?;
        let acquire = Acquire::new(
            self.holder.clone(),
            Some(request.clone()),
            wanted.paths.clone(),
            wanted.ttl,
            wanted.queue_wait(),
        );
        Some((acquire.ok()?, request))
    }

    /// A ticket's `Acquire` has no horizon: it is asked about for as long as its caller waits.
    fn retry_of_acquire(&self, wanted: &Acquisition, due: Duration) -> Retry {
        let horizon = wanted.patience.is_zero().then(|| self.horizon());
        Retry::due_at(due, horizon)
    }

    pub(super) fn due_acquire(&mut self, call: CallNumber, at: Reading) -> Option<Due> {
        let (most, now) = (self.config.attempt_timeout, at.monotonic);
        let is_due = |(id, claim): &(&ClaimId, &Claim)| {
            claim.acquiring.is_due(now) && !self.is_held_back(**id, claim, now)
        };
        let id = self.claims.iter().find(is_due).map(|(id, _)| *id)?;
        let claim = self.claims.get_mut(&id)?;
        let timeout = claim.poll().map_or(most, |poll| poll.min(most));
        let attempt = claim.acquiring.take_due(call, now, timeout)?;
        claim.attempts.note(Sending { call, at, failed: false });
        let subject = Subject::Acquire { claim: id, request: claim.request.clone() };
        Some((subject, Command::Acquire(claim.acquire.clone()), attempt))
    }

    /// The time's share in asking: attempts that stay unanswered, patience that ends.
    pub(super) fn claims_in_time(&mut self, now: Duration) {
        let ids: Vec<ClaimId> = self.claims.keys().copied().collect();
        for id in ids {
            let Some(claim) = self.claims.get_mut(&id) else { continue };
            if let Some(call) = claim.acquiring.expire(now) {
                self.acquire_failed(id, call, now, Duration::ZERO);
            }
            self.renewals_in_time(id, now);
            let Some(claim) = self.claims.get(&id) else { continue };
            if claim.is_believed() {
                continue;
            }
            if claim.give_up_at.is_some_and(|give_up| give_up <= now) {
                let refused = claim.turned_away.clone().map(AcquireError::of);
                self.refuse(id, refused.unwrap_or(AcquireError::PatienceOver), now);
            } else if claim.hold.is_none() && claim.acquiring.is_exhausted(now) {
                self.refuse(id, AcquireError::Unanswered, now);
            }
        }
    }

    /// An attempt was given up on: another follows, after a pause of at least `least`.
    pub(super) fn acquire_failed(
        &mut self,
        id: ClaimId,
        call: CallNumber,
        now: Duration,
        least: Duration,
    ) {
        let Some(claim) = self.claims.get_mut(&id) else { return };
        claim.acquiring.give_up_on(call);
        claim.attempts.note_failed(call);
        if claim.hold.is_none() {
            let pause = self.pacing.pause(claim.acquiring.silent()).max(least);
            let pause = claim.poll().map_or(pause, |poll| pause.min(poll));
            claim.acquiring.schedule_if_none(now.saturating_add(pause));
        }
    }

    /// The claim waits: it asks again before its place is given up.
    pub(super) fn on_queued(&mut self, id: ClaimId, sent: Reading, position: u64, now: Duration) {
        let Some(claim) = self.claims.get_mut(&id).filter(|claim| claim.hold.is_none()) else {
            return;
        };
        let poll = claim.poll().unwrap_or(self.config.attempt_timeout);
        claim.acquiring.schedule(sent.monotonic.saturating_add(poll).max(now));
        claim.turned_away = None;
        claim.generation = self.generation;
        if claim.position != Some(position) {
            claim.position = Some(position);
            self.events.push_back(Event::Queued { claim: id, position });
        }
    }

    /// The object refused. Refusals are not remembered there, so a refusal says nothing about other
    /// copies: they are cancelled. The patient ask again if it may pass.
    pub(super) fn on_rejected(&mut self, id: ClaimId, rejection: Rejection, now: Duration) {
        let Some(claim) = self.claims.get_mut(&id).filter(|claim| claim.hold.is_none()) else {
            return;
        };
        let least = match &rejection {
            Rejection::Held(blocker) if blocker.by == HeldBy::Own => Some(Duration::ZERO),
            Rejection::Deadlock { .. } => Some(Duration::ZERO),
            Rejection::Limit(_) => Some(least_pause(Code::Limit)),
            _ => None,
        };
        let (is_patient, poll) = (claim.give_up_at.is_some(), claim.poll());
        if let (true, Some(poll), Some(least)) = (is_patient, poll, least) {
            claim.turned_away = Some(rejection);
            claim.acquiring.schedule(now.saturating_add(poll.max(least)));
        } else {
            self.refuse(id, AcquireError::of(rejection), now);
        }
    }

    /// The present request is over. A patient claim that was never believed asks anew.
    pub(super) fn on_over(&mut self, id: ClaimId, reason: OverReason, now: Duration) {
        let Some(claim) = self.claims.get(&id) else { return };
        if claim.is_believed() {
            self.lose(id, super::LossCause::Over(reason), Ending::Over, now);
            return;
        }
        let ran_out = matches!(reason, OverReason::Lapsed | OverReason::TimedOut);
        if ran_out && claim.give_up_at.is_some_and(|give_up| now < give_up) {
            self.ask_anew(id, now);
        } else {
            self.refuse(id, AcquireError::Over(reason), now);
        }
    }

    /// Leaves the present request for a new one, at the end of the queue.
    pub(super) fn ask_anew(&mut self, id: ClaimId, now: Duration) {
        let Some(claim) = self.claims.get(&id) else { return };
        let wanted = claim.wanted.clone();
        let old = claim.acquiring.any_unanswered().then(|| claim.cancellation());
        let Some((acquire, request)) = self.new_request(&wanted) else {
            self.refuse(id, AcquireError::Unexpected, now);
            return;
        };
        let acquiring = self.retry_of_acquire(&wanted, now);
        if let Some(claim) = self.claims.get_mut(&id) {
            (claim.acquire, claim.request, claim.acquiring) = (acquire, request, acquiring);
            (claim.attempts, claim.generation) = (AttemptLog::default(), self.generation);
            (claim.position, claim.hold, claim.turned_away) = (None, None, None);
        }
        if let Some((request, extent)) = old {
            self.cancel_request(request, extent, None, now);
        }
    }

    /// A grant of the claim's present request, however it was learned.
    pub(super) fn on_granted(
        &mut self,
        id: ClaimId,
        token: Ordinal,
        granted: Ttl,
        named: Option<Sending>,
        received: Reading,
    ) {
        let horizon = self.horizon();
        let Some(claim) = self.claims.get_mut(&id) else { return };
        let known = claim.hold.as_ref().map(|hold| (hold.token, hold.believed));
        match known {
            // A request that outlived its memory was granted anew.
            Some((old, false)) if old < token => {}
            Some(_) => return,
            None => {}
        }
        claim.acquiring.stop();
        claim.turned_away = None;
        let Some(attempts) = claim.attempts.answered(named, received) else { return };
        let credit = self.rules.grant(&attempts, claim.wanted.ttl, granted);
        let generation = if named.is_some() { self.generation } else { claim.generation };
        if claim.for_a_term {
            return self.on_granted_for_a_term(id, token, &credit, received);
        }
        claim.hold = Some(Hold::new(token, horizon, received.monotonic));
        self.credit(id, &credit, generation, received);
    }

    /// The claim will not be held: it is gone here, and ended at the object if anything of it may
    /// be there.
    pub(super) fn refuse(&mut self, id: ClaimId, refusal: AcquireError, now: Duration) {
        let Some(claim) = self.claims.remove(&id) else { return };
        let known_over = matches!(refusal, AcquireError::Over(_) | AcquireError::Forced(_));
        let maybe_there = claim.position.is_some() || claim.hold.is_some();
        let cancel = claim.acquiring.any_unanswered() || (maybe_there && !known_over);
        if cancel {
            let (request, extent) = claim.cancellation();
            self.cancel_request(request, extent, None, now);
        }
        self.events.push_back(Event::Refused { claim: id, refusal });
    }
}
