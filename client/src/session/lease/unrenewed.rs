//! Leases that nobody here renews: they end at the object with their term, unless given back before.
//!
//! Nobody believes in one, but the session knows its token for as long as it may be held: to give it
//! back, to extend it, and not to take a late answer about it for a lease that nobody wants.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::Command;
use mailbus_spec::{LeasePath, Ordinal, PathSet, RequestId, Ttl};

use super::claim::{Claim, lasts_at_most, lives_at_most};
use super::error::AcquireError;
use super::event::{ClaimId, Event};
use super::rules::Credit;
use super::{Acquisition, LeaseSession};
use crate::session::call::QueryId;

/// A lease that nobody here renews.
#[derive(Debug)]
pub(super) struct Unrenewed {
    token: Ordinal,
    request: RequestId,
    paths: PathSet,
    /// The monotonic instant from which it is taken to be over.
    until: Duration,
    why: Why,
}

/// Reason why nobody renews it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It was wanted for one term.
    ForATerm,
    /// It was given back, and nobody has confirmed it.
    GivenBack,
    /// Its holder let it lapse. What asks for its paths waits for its end, but not for ever.
    Lapses { in_the_way_until: Duration },
}

impl Unrenewed {
    pub(super) fn timeout(&self, seen: Duration) -> Duration {
        match self.why {
            Why::Lapses { in_the_way_until } if in_the_way_until > seen => in_the_way_until,
            _ => self.until,
        }
    }

    /// True if what asks for these paths has to wait for its end.
    pub(super) fn is_in_the_way(&self, paths: &PathSet, now: Duration) -> bool {
        matches!(self.why, Why::Lapses { in_the_way_until } if now < in_the_way_until)
            && self.paths.overlaps(paths)
    }
}

impl LeaseSession {
    /// Begins to ask for a set of paths for one term: at once or not at all, like any impatient
    /// [`acquire`](Self::acquire), but it is not renewed, and nobody is told when its term is over.
    /// [`Event::Acquired`] or [`Event::Refused`] tells the end of the asking.
    ///
    /// It may be [`extend`](Self::extend)ed and [`release`](Self::release)d until its term is over.
    pub fn acquire_for_a_term(&mut self, at: Reading, paths: PathSet, ttl: Ttl) -> ClaimId {
        self.begin(at, Acquisition::new(paths).ttl(ttl), true)
    }

    /// Lets what `claim` holds end with its term, without giving it back: what it protects may still be
    /// written to. Belief ends here. What is only asked for is cancelled.
    pub fn lapse(&mut self, at: Reading, claim: ClaimId) {
        self.observe(at);
        let Some(known) = self.claims.get(&claim) else { return };
        let Some(hold) = &known.hold else { return self.cancel(at, claim) };
        let (token, longest) = (hold.token, known.longest);
        let left = lasts_at_most(longest).min(self.horizon());
        let in_the_way_until = at.monotonic.saturating_add(left);
        let Some(ended) = self.claims.remove(&claim) else { return };
        self.leave(claim, ended, token, longest, Why::Lapses { in_the_way_until }, at.monotonic);
    }

    fn leave(
        &mut self,
        id: ClaimId,
        claim: Claim,
        token: Ordinal,
        longest: Ttl,
        why: Why,
        now: Duration,
    ) {
        let until = now.saturating_add(lives_at_most(longest));
        let (request, paths) = (claim.request, claim.wanted.paths);
        self.unrenewed.insert(id, Unrenewed { token, request, paths, until, why });
    }

    /// A grant of a claim that is for one term. One that comes so late that its term may be over is none.
    pub(super) fn on_granted_for_a_term(
        &mut self,
        id: ClaimId,
        token: Ordinal,
        credit: &Credit,
        at: Reading,
    ) {
        if self.usable_term(credit, at).is_none() {
            let lapsed = AcquireError::Over(mailbus_spec::lease::OverReason::Lapsed);
            return self.refuse(id, lapsed, at.monotonic);
        }
        let Some(claim) = self.claims.remove(&id) else { return };
        self.leave(id, claim, token, credit.ttl, Why::ForATerm, at.monotonic);
        self.events.push_back(Event::Acquired { claim: id, token });
    }

    /// The claim that this session holds on `path`: a lease for one term, or a claim that is believed.
    fn held_on(&self, path: &LeasePath) -> Option<(ClaimId, Ordinal)> {
        let for_a_term = |(id, left): (&ClaimId, &Unrenewed)| {
            (left.why == Why::ForATerm && left.paths.covers(path)).then_some((*id, left.token))
        };
        let believed = |(id, claim): (&ClaimId, &Claim)| {
            let hold = claim.hold.as_ref().filter(|hold| hold.believed)?;
            claim.wanted.paths.covers(path).then_some((*id, hold.token))
        };
        self.unrenewed.iter().find_map(for_a_term).or_else(|| self.claims.iter().find_map(believed))
    }

    /// Asks for a new term of at least `ttl` of what this session holds on `path`; `None` if it holds
    /// nothing there. [`Event::Answered`] tells the end of it; if it is lost, the session is to
    /// [`forget`](Self::forget_lost) it.
    pub fn extend(
        &mut self,
        at: Reading,
        path: &LeasePath,
        ttl: Ttl,
    ) -> Option<(ClaimId, QueryId)> {
        self.observe(at);
        let (claim, token) = self.held_on(path)?;
        // The last copy may be carried out as late as copies are sent.
        let latest = at.monotonic.saturating_add(self.horizon());
        if let Some(left) = self.unrenewed.get_mut(&claim) {
            left.until = left.until.max(latest.saturating_add(lives_at_most(ttl)));
        } else if let Some(known) = self.claims.get_mut(&claim) {
            known.longest = known.longest.max(ttl);
        }
        // What drains gives no more time, but it is held: `Lost` would say that it is not.
        let renew = Command::Renew { holder: self.holder.clone(), token, ttl, drain: true };
        Some((claim, self.begin_query(at.monotonic, renew)))
    }

    /// Notes that what was held for a term is over at the object.
    pub fn forget_lost(&mut self, claim: ClaimId) {
        self.unrenewed.remove(&claim);
    }

    /// True if `claim` was granted for one term, which is not known to be over.
    #[must_use]
    pub fn is_for_a_term(&self, claim: ClaimId) -> bool {
        self.unrenewed.get(&claim).is_some_and(|left| left.why == Why::ForATerm)
    }

    /// The claim that was acquired on `path` for one term and is not known to be over.
    #[must_use]
    pub fn for_a_term_on(&self, path: &LeasePath) -> Option<ClaimId> {
        let lapses = |left: &Unrenewed| matches!(left.why, Why::Lapses { .. });
        let found =
            self.unrenewed.iter().find(|(_, left)| !lapses(left) && left.paths.covers(path));
        found.map(|(id, _)| *id)
    }

    /// Gives back what nobody renews; false if `claim` is none of that.
    pub(super) fn release_unrenewed(&mut self, claim: ClaimId, now: Duration) -> bool {
        let Some(left) = self.unrenewed.get_mut(&claim) else { return false };
        left.why = Why::GivenBack;
        let (token, paths) = (left.token, left.paths.clone());
        let lives = left.until.saturating_sub(now);
        self.release_token(token, (Some(paths), lives), Some(claim), now);
        true
    }

    /// Gives back again what was given back without an answer and is wanted now.
    pub(super) fn repeat_farewells(&mut self, wanted: &PathSet, now: Duration) {
        let left = self.unrenewed.values();
        let unconfirmed: Vec<(Ordinal, PathSet, Duration)> = left
            .filter(|left| left.why == Why::GivenBack && left.paths.overlaps(wanted))
            .map(|left| (left.token, left.paths.clone(), left.until.saturating_sub(now)))
            .collect();
        for (token, paths, lives) in unconfirmed {
            self.release_token(token, (Some(paths), lives), None, now);
        }
    }

    /// Notes that what this token named is over at the object.
    pub(super) fn note_over(&mut self, token: Ordinal) {
        self.unrenewed.retain(|_, left| left.token != token);
    }

    /// True if `request` was granted and nobody renews what it was granted.
    pub(super) fn was_left(&self, request: &RequestId) -> bool {
        self.unrenewed.values().any(|left| left.request == *request)
    }

    pub(super) fn unrenewed_in_time(&mut self, now: Duration) {
        self.unrenewed.retain(|_, left| now < left.until);
    }
}
