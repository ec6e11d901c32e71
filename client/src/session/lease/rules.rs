//! The rules that decide from when a belief counts and when it ends: the narrow waist of the
//! client's safety.
//!
//! Everything else about a lease (what is asked, how often, by which way) can be wrong and will
//! only cost time. These rules can be wrong and cost exclusion, so they stand alone, with one
//! production implementation, [`Sound`]. The simulator replaces them to show that each is needed.

use std::time::Duration;

use mailbus_spec::Ttl;
use mailbus_spec::belief::{self, Belief, ClockAnomaly, ClockBound, Reading};

use crate::session::call::Sending;

/// The attempts at one command, when one of them has been answered.
#[derive(Clone, Copy, Debug)]
pub struct Attempts<'a> {
    /// The first of all.
    pub first: Sending,
    /// The latest few, in order.
    pub recent: &'a [Sending],
    /// The one that the reply names; a push names none.
    pub named: Option<Sending>,
    /// The clocks at the receipt of the answer.
    pub received: Reading,
}

/// Sending from which a term counts, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The sending it is reckoned from.
    pub from: Sending,
    /// The term.
    pub ttl: Ttl,
}

/// Ends of a belief besides time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// A `Release` is about to be sent.
    Release,
    /// A `Cancel` is about to be sent.
    Cancel,
    /// A renewal was refused.
    RenewalRefused,
    /// The object says that the lease is over: its time ran out, or its request is.
    Over,
    /// An admin took it.
    Forced,
    /// An answer says that the object's storage has begun another generation, and the lease was not confirmed
    /// in it.
    Restored,
    /// The belief ran out before a renewal came through, the caller's own bound is reached, or a clock
    /// cannot be trusted.
    TimedOut,
}

/// Rules of when belief begins to count, and when it ends.
///
/// A session asks these and adds nothing of its own: each method is called wherever its question
/// arises.
pub trait CreditRules {
    /// The term of a grant: direct, queued, pushed or polled.
    fn grant(&self, acquires: &Attempts<'_>, asked: Ttl, granted: Ttl) -> Credit;

    /// The term of a renewal of `ttl`, or `None` if no attempt can be credited.
    fn renewal(&self, renewals: &Attempts<'_>, ttl: Ttl) -> Option<Credit>;

    /// The belief that a credit gives.
    fn belief(&self, credit: &Credit, bound: &ClockBound) -> Belief {
        Belief::in_term(credit.from.at, credit.ttl, bound)
    }

    /// The belief of one who has `old` and is given `new`.
    fn later(&self, old: Belief, new: Belief) -> Belief {
        if old.monotonic_end() < new.monotonic_end() { new } else { old }
    }

    /// True if a belief holds at `at`.
    fn holds(&self, belief: &Belief, at: Reading) -> bool;

    /// Compares two looks at the clocks.
    ///
    /// # Errors
    /// [`ClockAnomaly`]: nothing noted at `earlier` is worth anything at `later`.
    fn compare(
        &self,
        earlier: Reading,
        later: Reading,
        bound: &ClockBound,
    ) -> Result<(), ClockAnomaly>;

    /// True if a belief goes on although this happened. Never, under [`Sound`]: the question is asked
    /// only so that a checker can plant a client that goes on, and see that it is caught.
    fn outlives(&self, ending: Ending) -> bool;
}

/// The rules [as they stand](mailbus_spec::rules::leases#what-a-client-may-believe), each the survivor of an
/// exhaustive search that [refuted](mailbus_spec::rules::refuted#what-a-client-believes) a simpler one.
///
/// * A grant counts from the sending of the *first* attempt of its `Acquire`, whichever was
///   answered: the object may have executed any of them.
/// * A renewal counts from the sending of the attempt its reply *names*.
/// * The term is the one granted, not the one asked for.
/// * Belief needs both clocks, and ends for good when they cannot be trusted.
/// * It ends before `Release` or `Cancel` is sent.
/// * It ends with the generation that it was granted or last renewed in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sound;

impl CreditRules for Sound {
    fn grant(&self, acquires: &Attempts<'_>, _asked: Ttl, granted: Ttl) -> Credit {
        Credit { from: acquires.first, ttl: granted }
    }

    fn renewal(&self, renewals: &Attempts<'_>, ttl: Ttl) -> Option<Credit> {
        renewals.named.map(|from| Credit { from, ttl })
    }

    fn holds(&self, belief: &Belief, at: Reading) -> bool {
        belief.holds(at)
    }

    fn compare(
        &self,
        earlier: Reading,
        later: Reading,
        bound: &ClockBound,
    ) -> Result<(), ClockAnomaly> {
        belief::compare_readings(earlier, later, bound)
    }

    fn outlives(&self, _ending: Ending) -> bool {
        false
    }
}

/// The monotonic instant at which `held` is to be renewed, if a renewal gives a term of `ttl` and the belief
/// `term`: when as much is left of it as of such a term after a third of it, or, if it is so short that belief
/// ends long before it does, after half of the belief. What is held for longer than a renewal gives is
/// renewed that late.
pub(super) fn renewal_due(held: &Belief, ttl: Ttl, term: &Belief) -> Duration {
    let half = term.lasts.checked_div(2).unwrap_or_default();
    let pause = Duration::from_millis(ttl.ms() / 3).min(half);
    held.monotonic_end().saturating_sub(term.lasts.saturating_sub(pause))
}
