//! Releasing and cancelling: ending at the object what is already over here.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::{Command, Outcome, Rejection, ReleaseTarget};
use mailbus_spec::{Ordinal, PathSet, RequestId};

use super::claim::{Claim, Extent, lives_at_most};
use super::event::{ClaimId, Event, Released};
use super::rules::Ending;
use super::{Due, LeaseSession, Subject};
use crate::session::call::CallNumber;
use crate::session::retry::Retry;

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
    /// The instant up to which an answer is waited for: by the caller, by what asks for the paths, and by
    /// whoever ends the session. `None` once that is past; copies go on.
    awaited_until: Option<Duration>,
    /// The claim that is still believed meanwhile. Always `None` under [`Sound`](super::Sound): it
    /// is the seam through which a checker plants a client that believes while it releases.
    pub(super) kept: Option<Box<(ClaimId, Claim)>>,
}

/// Number of farewells that go on although nobody waits for the answer: more than an agent may have claims.
const UNAWAITED: usize = 1_024;

impl Farewell {
    /// True if an answer is still waited for.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited_until.is_some()
    }

    /// The instant up to which an answer is waited for.
    pub(super) fn awaited_until(&self) -> Option<Duration> {
        self.awaited_until
    }
}

impl LeaseSession {
    /// True if the first `Acquire` of a claim's request has to wait at `now`, since what it asks for may
    /// still be claimed by this very session: what was given back without an answer yet, and for the
    /// patient also what was asked for earlier. Later copies do not wait: by then there may be a place in
    /// the queue to be kept.
    pub(super) fn is_held_back(&self, id: ClaimId, claim: &Claim, now: Duration) -> bool {
        let wanted = claim.acquire.paths();
        let is_farewell = |(_, farewell): (FarewellId, &Farewell)| {
            farewell.is_awaited()
                && farewell.paths.as_ref().is_some_and(|paths| paths.overlaps(wanted))
        };
        let is_own = |(_, other): (&ClaimId, &Claim)| other.acquire.paths().overlaps(wanted);
        claim.attempts.first.is_none()
            && (claim.behind.is_some_and(|first| self.claims.range(first..id).any(is_own))
                || self.farewells.iter().any(is_farewell)
                || self.unrenewed.values().any(|left| left.is_in_the_way(wanted, now)))
    }

    /// Gives back what `claim` holds or stops asking for it. Belief ends here, before anything is sent.
    /// [`Event::Released`] tells the end of it.
    pub fn release(&mut self, at: Reading, claim: ClaimId) {
        self.observe(at);
        let held = self.claims.get(&claim).and_then(|known| {
            let hold = known.hold.as_ref()?;
            Some((hold.token, (Some(known.wanted.paths.clone()), lives_at_most(known.longest))))
        });
        match held {
            Some((token, extent)) => {
                let farewell = self.release_token(token, extent, Some(claim), at.monotonic);
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
        let (request, extent) = known.cancellation();
        let farewell = self.cancel_request(request, extent, Some(claim), at.monotonic);
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

    /// Gives a token back.
    pub(super) fn release_token(
        &mut self,
        token: Ordinal,
        extent: Extent,
        report: Option<ClaimId>,
        now: Duration,
    ) -> FarewellId {
        let (holder, target) = (self.holder.clone(), ReleaseTarget::Token(token));
        self.say_farewell(Command::Release { holder, target }, extent, report, now)
    }

    /// Ends a request, whatever it became.
    pub(super) fn cancel_request(
        &mut self,
        request: RequestId,
        extent: Extent,
        report: Option<ClaimId>,
        now: Duration,
    ) -> FarewellId {
        let holder = self.holder.clone();
        self.say_farewell(Command::Cancel { holder, request }, extent, report, now)
    }

    /// Sends a farewell until it is answered, or what it ends is over by itself: it names a token or a
    /// request, so that no copy can do harm however late it comes. The answer is waited for no longer than
    /// that of any command.
    fn say_farewell(
        &mut self,
        command: Command,
        (paths, lives): Extent,
        report: Option<ClaimId>,
        now: Duration,
    ) -> FarewellId {
        let same = self.farewells.iter().find(|(_, same)| {
            same.command == command && (report.is_none() || same.report.is_none())
        });
        let (id, is_awaited) = match same {
            Some((id, same)) => (id, same.is_awaited()),
            None => (FarewellId(self.next_number()), false),
        };
        let lives = self.farewells.retry(id).map_or(lives, |retry| retry.prolong(now, lives));
        if report.is_none() && is_awaited {
            return id;
        }
        let (known, asker) = self.farewells.end(id).map(|same| (same.paths, same.report)).unzip();
        let (paths, report) = (paths.or(known.flatten()), report.or(asker.flatten()));
        let retry = Retry::due_at(now, Some(lives)).slowing();
        let awaited_until = Some(now.saturating_add(self.horizon()));
        let farewell = Farewell { command, paths, report, awaited_until, kept: None };
        self.farewells.begin(id, retry, farewell);
        id
    }

    /// Farewells that were waited for long enough: their callers hear that nobody knows. The oldest make
    /// room for the latest.
    pub(super) fn farewells_in_time(&mut self, now: Duration) {
        let overdue =
            |farewell: &&mut Farewell| farewell.awaited_until.is_some_and(|until| until < now);
        for farewell in self.farewells.iter_mut().filter(overdue) {
            farewell.awaited_until = None;
            let unknown = |claim| Event::Released { claim, ending: Released::Unanswered };
            self.events.extend(farewell.report.take().map(unknown));
        }
        let unawaited = || self.farewells.iter().filter(|(_, farewell)| !farewell.is_awaited());
        let beyond = unawaited().count().saturating_sub(UNAWAITED);
        let oldest: Vec<FarewellId> = unawaited().map(|(id, _)| id).take(beyond).collect();
        for id in oldest {
            self.end_farewell(id, Released::Unanswered);
        }
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
