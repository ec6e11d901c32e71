//! Belief, renewal and loss.

use std::time::Duration;

use mailbus_spec::Ordinal;
use mailbus_spec::belief::{Belief, ClockAnomaly, Reading};
use mailbus_spec::lease::Command;

use super::claim::{AttemptLog, Claim, lives_at_most};
use super::error::AcquireError;
use super::event::{Believed, ClaimId, Event, LossCause};
use super::rules::{Credit, Ending, renewal_due};
use super::{Due, LeaseSession, Subject};
use crate::session::call::{CallNumber, Sending};
use crate::session::retry::Retry;

/// Number of renewals that may come through without anything to believe in before the claim is given up:
/// the term is shorter than a round trip.
const FRUITLESS_RENEWALS: u32 = 8;

impl LeaseSession {
    /// Looks at the clocks: ends all belief if they went wrong, and each belief whose time is over.
    pub(super) fn observe(&mut self, at: Reading) {
        let seen = self.last_seen.replace(at);
        if let Some(seen) = seen
            && let Err(anomaly) = self.compare(seen, at)
        {
            self.distrust_clocks(anomaly, at.monotonic);
        }
        // Never under sound rules; under those that keep what has run out there is nothing to end.
        if self.rules.outlives(Ending::TimedOut) {
            return;
        }
        while let Some((id, cause)) = self.first_belief_over(at) {
            self.lose(id, cause, Ending::TimedOut, at.monotonic);
        }
    }

    pub(super) fn compare(&self, earlier: Reading, later: Reading) -> Result<(), ClockAnomaly> {
        self.rules.compare(earlier, later, &self.config.clock_bound)
    }

    fn distrust_clocks(&mut self, anomaly: ClockAnomaly, now: Duration) {
        self.void_through = Some(CallNumber(self.last_number));
        for id in self.believed_claims(|_| true) {
            self.lose(id, LossCause::Clock(anomaly), Ending::TimedOut, now);
        }
    }

    pub(super) fn believed_claims(&self, which: impl Fn(&Claim) -> bool) -> Vec<ClaimId> {
        let believed = |(_, claim): &(&ClaimId, &Claim)| claim.is_believed() && which(claim);
        self.claims.iter().filter(believed).map(|(id, _)| *id).collect()
    }

    fn first_belief_over(&self, at: Reading) -> Option<(ClaimId, LossCause)> {
        self.claims.iter().find_map(|(id, claim)| {
            let hold = claim.hold.as_ref().filter(|hold| hold.believed)?;
            let belief = hold.belief?;
            if let Err(anomaly) = self.compare(belief.sent, at) {
                Some((*id, LossCause::Clock(anomaly)))
            } else if !self.rules.holds(&belief, at) {
                Some((*id, LossCause::RanOut))
            } else if hold.is_bound(at.monotonic) {
                Some((*id, LossCause::HeldAtMost))
            } else {
                None
            }
        })
    }

    /// Belief in a claim at `at`.
    pub(super) fn believed<'a>(
        &self,
        id: ClaimId,
        claim: &'a Claim,
        at: Reading,
    ) -> Option<Believed<'a>> {
        let hold = claim.hold.as_ref().filter(|hold| hold.believed)?;
        let belief = hold.belief?;
        let holds = self.rules.holds(&belief, at)
            && self.compare(belief.sent, at).is_ok()
            && !hold.is_bound(at.monotonic);
        let until = hold.end()?;
        holds.then(|| Believed {
            claim: id,
            holder: claim.acquire.holder(),
            request: &claim.request,
            paths: claim.acquire.paths(),
            token: hold.token,
            until,
        })
    }

    /// The belief that a credit gives at `at`, if there is still something left to believe in.
    pub(super) fn usable_term(&self, credit: &Credit, at: Reading) -> Option<Belief> {
        let void = self.void_through.is_some_and(|void| credit.from.call <= void);
        let term = self.rules.belief(credit, &self.config.clock_bound);
        let usable =
            !void && self.rules.holds(&term, at) && self.compare(credit.from.at, at).is_ok();
        usable.then_some(term)
    }

    /// Believes in a term that was given in a life of the storage, if that is the present one and there is
    /// still something of it left to believe in. What was believed of an earlier life is not added to.
    pub(super) fn credit(&mut self, id: ClaimId, credit: &Credit, generation: u64, at: Reading) {
        let is_of_now = generation == self.generation;
        let usable = self.usable_term(credit, at).filter(|_| is_of_now);
        let whole = self.rules.belief(credit, &self.config.clock_bound);
        let Some(claim) = self.claims.get_mut(&id) else { return };
        let at_most = claim.wanted.at_most;
        let Some(hold) = claim.hold.as_mut() else { return };
        if let Some(term) = usable {
            let before = hold.belief.filter(|_| claim.generation == generation);
            claim.generation = generation;
            hold.belief = Some(match before {
                Some(old) => self.rules.later(old, term),
                None => term,
            });
            if !hold.believed {
                hold.believed = true;
                hold.bound = at_most.map(|most| at.monotonic.saturating_add(most));
                let token = hold.token;
                self.events.push_back(Event::Acquired { claim: id, token });
            }
        }
        if hold.draining.is_some() {
            hold.renewing.stop();
            hold.renew_at = None;
        } else if !hold.renewing.is_active() {
            let due = hold.belief.map(|held| renewal_due(&held, credit.ttl, &whole));
            hold.renew_at = due.max(Some(at.monotonic));
        }
    }

    pub(super) fn due_renewal(&mut self, call: CallNumber, at: Reading) -> Option<Due> {
        let now = at.monotonic;
        let horizon = self.horizon();
        let timeout = self.config.attempt_timeout;
        let holder = &self.holder;
        self.claims.iter_mut().find_map(|(id, claim)| {
            let hold = claim.hold.as_mut()?;
            if hold.renew_at.is_some_and(|renew_at| renew_at <= now) && !hold.renewing.is_active() {
                hold.renewing = Retry::due_at(now, Some(horizon));
                hold.renewals = AttemptLog::default();
                hold.renew_at = None;
            }
            let attempt = hold.renewing.take_due(call, now, timeout)?;
            hold.renewals.note(Sending { call, at, failed: false });
            let (token, ttl) = (hold.token, claim.wanted.ttl);
            let command = Command::Renew { holder: holder.clone(), token, ttl, drain: true };
            Some((Subject::Renew { claim: *id, token }, command, attempt))
        })
    }

    /// The time's share in renewing: attempts that stay unanswered, rounds that come to nothing.
    pub(super) fn renewals_in_time(&mut self, id: ClaimId, now: Duration) {
        let horizon = self.horizon();
        let Some(claim) = self.claims.get_mut(&id) else { return };
        let impatient = claim.give_up_at.is_none();
        let third = Duration::from_millis(claim.wanted.ttl.ms() / 3);
        let expired =
            claim.hold.as_mut().and_then(|hold| Some((hold.token, hold.renewing.expire(now)?)));
        if let Some((token, call)) = expired {
            self.renewal_failed(id, token, call, now, Duration::ZERO);
        }
        let Some(hold) = self.claims.get_mut(&id).and_then(|claim| claim.hold.as_mut()) else {
            return;
        };
        if hold.renewing.is_exhausted(now) && hold.renewing.is_active() {
            hold.renewing.stop();
            hold.renew_at = Some(now.saturating_add(third.saturating_sub(horizon)));
            if impatient && !hold.believed {
                self.refuse(id, AcquireError::Unanswered, now);
            }
        }
    }

    /// An attempt was given up on: another follows, after a pause of at least `least`.
    pub(super) fn renewal_failed(
        &mut self,
        id: ClaimId,
        token: Ordinal,
        call: CallNumber,
        now: Duration,
        least: Duration,
    ) {
        let hold = self.claims.get_mut(&id).and_then(|claim| claim.hold.as_mut());
        let Some(hold) = hold.filter(|hold| hold.token == token) else { return };
        hold.renewals.note_failed(call);
        hold.renewing.give_up_on(call);
        // Between two rounds, or while it drains, no copy is wanted.
        if hold.draining.is_some() || hold.renew_at.is_some() {
            return;
        }
        hold.renewing.fail(call, now, least, &mut self.pacing);
    }

    /// A renewal came through.
    pub(super) fn on_renewed(&mut self, id: ClaimId, named: Sending, at: Reading) {
        let Some(claim) = self.claims.get_mut(&id) else { return };
        let ttl = claim.wanted.ttl;
        let Some(hold) = claim.hold.as_mut() else { return };
        if !hold.renewing.is_awaiting() {
            hold.renewing.stop();
        }
        let attempts = hold.renewals.answered(Some(named), at);
        let Some(credit) = attempts.and_then(|attempts| self.rules.renewal(&attempts, ttl)) else {
            if !hold.renewing.is_active() {
                hold.renew_at = Some(at.monotonic);
            }
            self.note_use(id, at.monotonic);
            return;
        };
        self.credit(id, &credit, self.generation, at);
        self.note_use(id, at.monotonic);
    }

    /// A lease that is renewed again and again and never believed is in everybody's way for nothing.
    fn note_use(&mut self, id: ClaimId, now: Duration) {
        let Some(claim) = self.claims.get_mut(&id) else { return };
        if claim.is_believed() {
            let waiting = claim.waiting();
            self.events.push_back(Event::Renewed { claim: id, waiting });
        } else if let Some(hold) = claim.hold.as_mut() {
            hold.fruitless = hold.fruitless.saturating_add(1);
            if hold.fruitless >= FRUITLESS_RENEWALS {
                self.refuse(id, AcquireError::TtlTooShort, now);
            }
        }
    }

    /// A renewal was refused: the lease is over, or drains.
    pub(super) fn on_renewal_refused(&mut self, id: ClaimId, now: Duration) {
        let Some(claim) = self.claims.get(&id) else { return };
        if claim.is_believed() {
            self.lose(id, LossCause::RenewalRefused, Ending::RenewalRefused, now);
            // It is still there only under rules that are wrong on purpose.
            if let Some(hold) = self.claims.get_mut(&id).and_then(|claim| claim.hold.as_mut()) {
                hold.renew_at = hold.belief.map(|belief| belief.monotonic_end());
            }
            return;
        }
        let patient = claim.give_up_at.is_some_and(|give_up| now < give_up);
        self.cancel_drained(id, now);
        if patient {
            self.ask_anew(id, now);
        } else {
            let lapsed = mailbus_spec::lease::OverReason::Lapsed;
            self.refuse(id, AcquireError::Over(lapsed), now);
        }
    }

    /// An admin took the lease.
    pub(super) fn on_forced(&mut self, id: ClaimId, reason: String, now: Duration) {
        if self.claims.get(&id).is_some_and(Claim::is_believed) {
            self.lose(id, LossCause::Forced { reason }, Ending::Forced, now);
        } else {
            self.refuse(id, AcquireError::Forced(reason), now);
        }
    }

    /// An admin lets the lease drain, as a notice or a renewal says: its end does not move. What is believed
    /// is held to its end and not renewed; what is not never will be. A renewal brings no words, so those of
    /// a notice that comes later are told too.
    pub(super) fn on_draining(&mut self, id: ClaimId, reason: String, now: Duration) {
        let Some(hold) = self.claims.get_mut(&id).and_then(|claim| claim.hold.as_mut()) else {
            return;
        };
        if !hold.believed {
            self.cancel_drained(id, now);
            return self.refuse(id, AcquireError::Forced(reason), now);
        }
        hold.renewing.stop();
        hold.renew_at = None;
        let told = hold.draining.as_ref();
        if told.is_none_or(|told| !reason.is_empty() && *told != reason) {
            hold.draining = Some(reason.clone());
            self.events.push_back(Event::Draining { claim: id, reason });
        }
    }

    /// Ends a lease that may be draining and was not believed yet: it never will be, and would be in
    /// everybody's way to its end.
    fn cancel_drained(&mut self, id: ClaimId, now: Duration) {
        let Some(claim) = self.claims.get(&id) else { return };
        let (request, extent) = claim.cancellation();
        self.cancel_request(request, extent, None, now);
    }

    /// The claim that holds `token`.
    pub(super) fn claim_under(&self, token: Ordinal) -> Option<ClaimId> {
        let holds = |claim: &Claim| claim.hold.as_ref().is_some_and(|hold| hold.token == token);
        self.claims.iter().find(|(_, claim)| holds(claim)).map(|(id, _)| *id)
    }

    /// Ends a belief, for good. What the object may still hold of it is released.
    pub(super) fn lose(&mut self, id: ClaimId, cause: LossCause, ending: Ending, now: Duration) {
        // Never under sound rules: the seam for a checker's client that goes on believing.
        if self.rules.outlives(ending) {
            return;
        }
        let Some(claim) = self.claims.remove(&id) else { return };
        match cause {
            LossCause::Lapsed | LossCause::Over(_) | LossCause::Forced { .. } => {}
            // The request may be a ticket again, or have been granted under another token.
            LossCause::Restored => {
                let (request, extent) = claim.cancellation();
                self.cancel_request(request, extent, None, now);
            }
            _ => {
                if let Some(hold) = claim.hold {
                    let extent = (Some(claim.wanted.paths), lives_at_most(claim.longest));
                    self.release_token(hold.token, extent, None, now);
                }
            }
        }
        self.events.push_back(Event::Lost { claim: id, cause });
    }
}
