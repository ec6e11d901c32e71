//! Releasing and cancelling: ending at the object what is already over here.

use std::collections::BTreeMap;
use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::{Command, Outcome, Rejection, ReleaseTarget};
use mailbus_spec::{Ordinal, PathSet, RequestId};

use super::claim::Claim;
use super::event::{ClaimId, Event, Released};
use super::rules::Ending;
use super::unrenewed::Unrenewed;
use super::{Due, LeaseSession, Subject};
use crate::session::call::CallNumber;
use crate::session::retry::{Repeated, Retry};

/// The session's name for one farewell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FarewellId(u64);

/// A `Release` or `Cancel` that is sent until it is answered.
#[derive(Debug)]
pub(super) struct Farewell {
    command: Command,
    /// Paths that may still be claimed at the object until it is answered; `None` if that is not
    /// known, or known to be nothing.
    paths: Option<PathSet>,
    /// The claim whose caller wants to know the end of it.
    report: Option<ClaimId>,
    /// The claim that is still believed meanwhile. Always `None` under [`Sound`](super::Sound): it
    /// is the seam through which a checker plants a client that believes while it releases.
    pub(super) kept: Option<Box<(ClaimId, Claim)>>,
}

/// True if the first `Acquire` of a claim's request has to wait at `now`, since what it asks for may
/// still be claimed by this very session. Later copies do not wait: by then there may be a place in the
/// queue to be kept.
pub(super) fn is_held_back(
    claim: &Claim,
    farewells: &Repeated<FarewellId, Farewell>,
    unrenewed: &BTreeMap<ClaimId, Unrenewed>,
    now: Duration,
) -> bool {
    let wanted = claim.acquire.paths();
    let overlaps = |(_, farewell): (FarewellId, &Farewell)| {
        farewell.paths.as_ref().is_some_and(|paths| paths.overlaps(wanted))
    };
    claim.attempts.first.is_none()
        && (farewells.iter().any(overlaps)
            || unrenewed.values().any(|left| left.is_in_the_way(wanted, now)))
}

impl LeaseSession {
    /// Gives back what `claim` holds or stops asking for it. Belief ends here, before anything is sent.
    /// [`Event::Released`] tells the end of it.
    pub fn release(&mut self, at: Reading, claim: ClaimId) {
        self.observe(at);
        let held = self.claims.get(&claim).and_then(|known| {
            let hold = known.hold.as_ref()?;
            Some((hold.token, known.wanted.paths.clone()))
        });
        match held {
            Some((token, paths)) => {
                let farewell = self.release_token(token, Some(paths), Some(claim), at.monotonic);
                self.end_belief(claim, farewell, Ending::Release);
            }
            None if self.release_unrenewed(claim, at.monotonic) => {}
            None => self.cancel(at, claim),
        }
    }

    /// Ends the claim whatever it became. Belief ends here, before anything is sent.
    /// [`Event::Released`] tells the end of it.
    pub fn cancel(&mut self, at: Reading, claim: ClaimId) {
        self.observe(at);
        let Some(known) = self.claims.get(&claim) else {
            if self.release_unrenewed(claim, at.monotonic) {
                return;
            }
            let ending = Released::AlreadyOver;
            self.events.push_back(Event::Released { claim, ending });
            return;
        };
        if known.attempts.first.is_none() {
            self.claims.remove(&claim);
            self.events.push_back(Event::Released { claim, ending: Released::Ended });
            return;
        }
        let (request, paths) = (known.request.clone(), known.wanted.paths.clone());
        let farewell = self.cancel_request(request, paths, Some(claim), at.monotonic);
        self.end_belief(claim, farewell, Ending::Cancel);
    }

    fn end_belief(&mut self, claim: ClaimId, farewell: FarewellId, ending: Ending) {
        let Some(ended) = self.claims.remove(&claim) else { return };
        // Never under sound rules; see `Farewell::kept`.
        if self.rules.outlives(ending)
            && let Some(farewell) = self.farewells.get_mut(farewell)
        {
            farewell.kept = Some(Box::new((claim, ended)));
        }
    }

    pub(super) fn release_token(
        &mut self,
        token: Ordinal,
        paths: Option<PathSet>,
        report: Option<ClaimId>,
        now: Duration,
    ) -> FarewellId {
        let (holder, target) = (self.holder.clone(), ReleaseTarget::Token(token));
        self.say_farewell(Command::Release { holder, target }, paths, report, now)
    }

    pub(super) fn cancel_request(
        &mut self,
        request: RequestId,
        paths: PathSet,
        report: Option<ClaimId>,
        now: Duration,
    ) -> FarewellId {
        let holder = self.holder.clone();
        self.say_farewell(Command::Cancel { holder, request }, Some(paths), report, now)
    }

    fn say_farewell(
        &mut self,
        command: Command,
        paths: Option<PathSet>,
        report: Option<ClaimId>,
        now: Duration,
    ) -> FarewellId {
        if report.is_none()
            && let Some((id, _)) = self.farewells.iter().find(|(_, same)| same.command == command)
        {
            return id;
        }
        let id = FarewellId(self.next_number());
        let retry = Retry::due_at(now, Some(self.horizon()));
        self.farewells.begin(id, retry, Farewell { command, paths, report, kept: None });
        id
    }

    pub(super) fn due_farewell(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let timeout = self.config.attempt_timeout;
        let (id, farewell, attempt) = self.farewells.take_due(call, now, |_| timeout)?;
        Some((Subject::Farewell(id), farewell.command.clone(), attempt))
    }

    /// The object's answer to a farewell; false if it has to be asked again.
    pub(super) fn on_farewell_answered(
        &mut self,
        id: FarewellId,
        answer: &Result<Outcome, Rejection>,
    ) -> bool {
        let ending = match answer {
            Ok(_) => Released::Ended,
            Err(Rejection::Limit(_)) => {
                // The object knows nothing of the request, so nothing of it is in anybody's way.
                if let Some(farewell) = self.farewells.get_mut(id) {
                    farewell.paths = None;
                }
                return false;
            }
            Err(Rejection::Clock(_)) => return false,
            Err(_) => Released::AlreadyOver,
        };
        self.end_farewell(id, ending);
        true
    }

    pub(super) fn end_farewell(&mut self, id: FarewellId, ending: Released) {
        let Some(farewell) = self.farewells.end(id) else { return };
        if let Command::Release { target: ReleaseTarget::Token(token), .. } = &farewell.command
            && ending != Released::Unanswered
        {
            self.note_over(*token);
        }
        if let Some(claim) = farewell.report {
            self.events.push_back(Event::Released { claim, ending });
        }
    }
}
