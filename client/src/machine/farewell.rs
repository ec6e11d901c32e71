//! Releasing and cancelling: ending at the object what is already over here.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::{Command, Outcome, Rejection, ReleaseTarget};
use mailbus_spec::{Ordinal, RequestId};

use super::asking::Claim;
use super::copies::Copies;
use super::event::{CallNumber, ClaimId, Event, Released};
use super::rules::Ending;
use super::{Due, LeaseSession, Subject};

/// The session's name for one farewell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FarewellId(u64);

/// A `Release` or `Cancel` that is sent until it is answered.
#[derive(Debug)]
pub(super) struct Farewell {
    command: Command,
    /// Whose caller wants to know the end of it.
    report: Option<ClaimId>,
    pub(super) copies: Copies,
    /// What is still believed meanwhile: nothing, under sound rules.
    pub(super) kept: Option<Box<(ClaimId, Claim)>>,
}

impl LeaseSession {
    /// Gives back what `claim` holds or stops asking for it. Belief ends here, before anything is sent.
    /// [`Event::Released`] tells the end of it.
    pub fn release(&mut self, at: Reading, claim: ClaimId) {
        self.observe(at);
        match self.claims.get(&claim).and_then(|known| known.hold.as_ref()).map(|hold| hold.token) {
            Some(token) => {
                let farewell = self.release_token(token, Some(claim), at.monotonic);
                self.end_belief(claim, farewell, Ending::Release);
            }
            None => self.cancel(at, claim),
        }
    }

    /// Ends the claim whatever it became. Belief ends here, before anything is sent.
    /// [`Event::Released`] tells the end of it.
    pub fn cancel(&mut self, at: Reading, claim: ClaimId) {
        self.observe(at);
        let Some(known) = self.claims.get(&claim) else {
            let ending = Released::AlreadyOver;
            self.events.push_back(Event::Released { claim, ending });
            return;
        };
        if known.attempts.first.is_none() {
            self.claims.remove(&claim);
            self.events.push_back(Event::Released { claim, ending: Released::Ended });
            return;
        }
        let request = known.request.clone();
        let farewell = self.cancel_request(request, Some(claim), at.monotonic);
        self.end_belief(claim, farewell, Ending::Cancel);
    }

    fn end_belief(&mut self, claim: ClaimId, farewell: FarewellId, ending: Ending) {
        let Some(ended) = self.claims.remove(&claim) else { return };
        if self.rules.outlives(ending)
            && let Some(farewell) = self.farewells.get_mut(&farewell)
        {
            farewell.kept = Some(Box::new((claim, ended)));
        }
    }

    pub(super) fn release_token(
        &mut self,
        token: Ordinal,
        report: Option<ClaimId>,
        now: Duration,
    ) -> FarewellId {
        let (holder, target) = (self.holder.clone(), ReleaseTarget::Token(token));
        self.say_farewell(Command::Release { holder, target }, report, now)
    }

    pub(super) fn cancel_request(
        &mut self,
        request: RequestId,
        report: Option<ClaimId>,
        now: Duration,
    ) -> FarewellId {
        let holder = self.holder.clone();
        self.say_farewell(Command::Cancel { holder, request }, report, now)
    }

    fn say_farewell(
        &mut self,
        command: Command,
        report: Option<ClaimId>,
        now: Duration,
    ) -> FarewellId {
        if report.is_none()
            && let Some((id, _)) = self.farewells.iter().find(|(_, same)| same.command == command)
        {
            return *id;
        }
        let id = FarewellId(self.next_number());
        let copies = Copies::due_at(now, Some(self.horizon()));
        self.farewells.insert(id, Farewell { command, report, copies, kept: None });
        id
    }

    pub(super) fn due_farewell(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let timeout = self.config.attempt_timeout;
        let (id, farewell) =
            self.farewells.iter_mut().find(|(_, farewell)| farewell.copies.is_due(now))?;
        let unanswered = farewell.copies.silent();
        farewell.copies.note_sent(call, now, timeout);
        Some((Subject::Farewell(*id), farewell.command.clone(), unanswered, timeout))
    }

    pub(super) fn farewells_in_time(&mut self, now: Duration) {
        let ids: Vec<FarewellId> = self.farewells.keys().copied().collect();
        for id in ids {
            let Some(farewell) = self.farewells.get_mut(&id) else { continue };
            if let Some(call) = farewell.copies.expire(now) {
                self.farewell_failed(id, call, now, Duration::ZERO);
            }
            if self.farewells.get(&id).is_some_and(|farewell| farewell.copies.is_exhausted(now)) {
                self.end_farewell(id, Released::Unanswered);
            }
        }
    }

    pub(super) fn farewell_failed(
        &mut self,
        id: FarewellId,
        call: CallNumber,
        now: Duration,
        least: Duration,
    ) {
        let Some(farewell) = self.farewells.get_mut(&id) else { return };
        farewell.copies.give_up_on(call);
        let silent = farewell.copies.silent();
        let pause = self.pause(silent).max(least);
        if let Some(farewell) = self.farewells.get_mut(&id) {
            farewell.copies.schedule_if_none(now.saturating_add(pause));
        }
    }

    /// The object's answer to a farewell; false if it has to be asked again.
    pub(super) fn on_farewell_answered(
        &mut self,
        id: FarewellId,
        answer: &Result<Outcome, Rejection>,
    ) -> bool {
        let ending = match answer {
            Ok(_) => Released::Ended,
            Err(Rejection::Limit(_) | Rejection::Clock(_)) => return false,
            Err(_) => Released::AlreadyOver,
        };
        self.end_farewell(id, ending);
        true
    }

    pub(super) fn end_farewell(&mut self, id: FarewellId, ending: Released) {
        let Some(farewell) = self.farewells.remove(&id) else { return };
        if let Some(claim) = farewell.report {
            self.events.push_back(Event::Released { claim, ending });
        }
    }
}
