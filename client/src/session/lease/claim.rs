//! A claim, from the first `Acquire` to its end: what is asked, what is held, what is believed.

use std::time::Duration;

use mailbus_spec::belief::{Belief, Reading};
use mailbus_spec::lease::{Acquire, Rejection};
use mailbus_spec::{Ordinal, PathSet, RequestId, Ttl, Wait, limits};

use super::config::Acquisition;
use super::event::ClaimId;
use super::rules::Attempts;
use crate::session::call::{CallNumber, Sending};
use crate::session::retry::Retry;

/// Number of the latest attempts that are kept for [`Attempts::recent`].
const RECENT: usize = 8;

/// Longest travel of a copy that asked for a term.
pub(super) const TRAVEL: Duration = Duration::from_millis(limits::RETRY_MS);

/// Longest time that a term of `ttl` may last at the object by the client's clocks, more than
/// either may be off.
pub(super) fn lasts_at_most(ttl: Ttl) -> Duration {
    let term = Duration::from_millis(ttl.ms());
    let spread = term.checked_div(100).unwrap_or_default();
    term.saturating_add(spread).saturating_add(Duration::from_secs(1))
}

/// Longest time that a lease may live at the object whose terms are at most `longest`, when the last copy that
/// asks for one has only just left.
pub(super) fn lives_at_most(longest: Ttl) -> Duration {
    TRAVEL.saturating_add(lasts_at_most(longest))
}

/// Longest term that the object gives to who asks for `acquire`: the one asked for, or the first out of the
/// queue.
pub(super) fn longest_term(acquire: &Acquire) -> Ttl {
    let ttl = acquire.ttl();
    ttl.max(ttl.queued_term(acquire.wait()))
}

/// Extent, at the object, of that which a farewell ends: its paths, if they are known, and the longest time for
/// which it lives.
pub(super) type Extent = (Option<PathSet>, Duration);

/// One acquisition of a caller.
///
/// Invariant: `hold` is there from the grant on; before it was believed for the first time the
/// claim may go back to asking, under a new request.
#[derive(Debug)]
pub(super) struct Claim {
    pub wanted: Acquisition,
    /// True if it is for one term, and not renewed.
    pub for_a_term: bool,
    /// The present request as it is asked; always the same words, or it would be a conflict.
    pub acquire: Acquire,
    pub request: RequestId,
    /// Longest term that it was or may be given at the object, extensions included.
    pub longest: Ttl,
    /// Time at which the caller's patience is over; `None` for those who would not wait at all.
    pub give_up_at: Option<Duration>,
    /// The first of the earlier claims that a patient one waited for as it began. None before that is ever in
    /// its way.
    pub behind: Option<ClaimId>,
    pub acquiring: Retry,
    pub attempts: AttemptLog,
    pub position: Option<u64>,
    /// Life of the object's storage that its belief is of. Of what is not believed yet, the one that was known
    /// when its request was made or last said to wait; no push about it is of an older one.
    pub generation: u64,
    /// The latest refusal that may pass: what a caller hears whose patience is over before it did.
    pub turned_away: Option<Rejection>,
    pub hold: Option<Hold>,
}

/// The sendings of one command that a reply may be credited to.
#[derive(Clone, Debug, Default)]
pub(super) struct AttemptLog {
    pub first: Option<Sending>,
    pub recent: Vec<Sending>,
}

impl AttemptLog {
    pub fn note(&mut self, sending: Sending) {
        self.first.get_or_insert(sending);
        if self.recent.len() >= RECENT {
            self.recent.remove(0);
        }
        self.recent.push(sending);
    }

    pub fn note_failed(&mut self, call: CallNumber) {
        let kept = self.first.iter_mut().chain(self.recent.iter_mut());
        kept.filter(|sending| sending.call == call).for_each(|sending| sending.failed = true);
    }

    pub fn answered(&self, named: Option<Sending>, received: Reading) -> Option<Attempts<'_>> {
        Some(Attempts { first: self.first?, recent: &self.recent, named, received })
    }
}

impl Claim {
    /// Time at which something is to be done about it next. `seen` is the latest reading: what it has
    /// already judged is not waited for again. An `Acquire` that is `held_back` is not waited for either:
    /// the end of what is before it is.
    pub fn timeout(&self, seen: Duration, held_back: bool) -> Option<Duration> {
        let patience = self.give_up_at.filter(|_| !self.is_believed());
        let hold = self.hold.as_ref().and_then(|hold| hold.timeout(seen));
        let asking = self.acquiring.timeout().filter(|_| !held_back);
        [patience, asking, hold].into_iter().flatten().min()
    }

    /// True if it was ever believed.
    pub fn is_believed(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.believed)
    }

    /// Number of others who wait for something of it, as of its last renewal.
    pub fn waiting(&self) -> u64 {
        self.hold.as_ref().map_or(0, |hold| hold.waiting)
    }

    /// Request that a `Cancel` of it ends, and the extent of it.
    pub fn cancellation(&self) -> (RequestId, Extent) {
        let queued = Duration::from_millis(self.acquire.wait().map_or(0, Wait::ms));
        let lives = queued.saturating_add(lives_at_most(self.longest));
        (self.request.clone(), (Some(self.acquire.paths().clone()), lives))
    }

    /// The longest pause between two questions of one who waits.
    pub fn poll(&self) -> Option<Duration> {
        self.acquire.wait().map(|wait| Duration::from_millis(wait.poll_ms()))
    }
}

/// Grant of a claim, and what is believed of it.
#[derive(Debug)]
pub(super) struct Hold {
    pub token: Ordinal,
    /// The belief; `None` when a grant or renewal cannot be credited.
    pub belief: Option<Belief>,
    /// True if it was ever believed. Invariant: from then on, the end of belief is the end of the
    /// claim.
    pub believed: bool,
    /// The monotonic instant from which it is not held any more, whatever is renewed.
    pub bound: Option<Duration>,
    /// Words of the admin who lets it drain, if one does: renewing it moves nothing. They are empty as
    /// long as only a renewal has told of it.
    pub draining: Option<String>,
    pub waiting: u64,
    /// Renewals that came through and could not be believed, since there was no belief.
    pub fruitless: u32,
    pub renewing: Retry,
    pub renewals: AttemptLog,
    pub renew_at: Option<Duration>,
}

impl Hold {
    /// A lease just granted, not yet believed: renewing it is the way to believe in it.
    pub fn new(token: Ordinal, horizon: Duration, now: Duration) -> Self {
        let mut renewing = Retry::due_at(now, Some(horizon));
        renewing.stop();
        Self {
            token,
            belief: None,
            believed: false,
            bound: None,
            draining: None,
            waiting: 0,
            fruitless: 0,
            renewing,
            renewals: AttemptLog::default(),
            renew_at: Some(now),
        }
    }

    /// The monotonic instant from which it is believed no more unless renewed.
    pub fn end(&self) -> Option<Duration> {
        let end = self.belief?.monotonic_end();
        Some(self.bound.map_or(end, |bound| bound.min(end)))
    }

    pub fn is_bound(&self, now: Duration) -> bool {
        self.bound.is_some_and(|bound| bound <= now)
    }

    pub fn timeout(&self, seen: Duration) -> Option<Duration> {
        let end = self.end().filter(|end| *end > seen);
        let renewal =
            if self.renewing.is_active() { self.renewing.timeout() } else { self.renew_at };
        [end, renewal].into_iter().flatten().min()
    }
}
