//! The worlds: small, each built so that certain rules are refuted in it when they are broken.
//!
//! Ticks are chosen in the scale of the constants that matter: memory 120 s, first term and
//! re-anchoring 30 s and 60 s, copies 60 s after the first and 60 s under way.

use mailbus_spec::belief::ClockBound;

use crate::harness::UNLIMITED;
use crate::lease::marks::Mark;
use crate::lease::setting::{Budget, Part, Setting, Wish};

const HALF: u64 = 30_000;
const MINUTE: u64 = 60_000;

/// ε is one tick; the clocks are read exactly and keep their rate.
fn error_of(tick_ms: u64) -> ClockBound {
    ClockBound { rate_ppm: 0, step_ms: tick_ms, granularity_ms: 0 }
}

pub fn all() -> Vec<Setting> {
    vec![
        direct(),
        stepping(),
        queue(),
        sets(),
        cancel(),
        reanchored(),
        patient(),
        suspended(),
        wall_back(),
        admin(),
        original(),
        restored(),
    ]
}

/// Direct grants to two sessions of one agent, copies, duplicates and renewals on a slow network.
pub fn direct() -> Setting {
    let wish = || vec![Wish::new("r", "x", 2 * MINUTE)];
    let parts = vec![Part::new("a/1", wish()).repeating(1).renewing(2), Part::new("a/2", wish())];
    Setting {
        in_flight: 2,
        budget: Budget { duplicates: 1, ..Budget::default() },
        expected: &[
            Mark::Granted,
            Mark::Held,
            Mark::RepeatedGrant,
            Mark::OverAnswered,
            Mark::Renewed,
            Mark::RenewalLost,
            Mark::Believed,
            Mark::BeliefRenewed,
            Mark::BeliefRanOut,
            Mark::LateReplyIgnored,
            Mark::DuplicateDelivered,
            Mark::Released,
            Mark::ReleasedAgain,
            Mark::Lapsed,
        ],
        ..Setting::new(
            "direct",
            "belief counts from the first attempt and the named renewal, and ends before a release",
            MINUTE,
            parts,
        )
    }
}

/// A host whose clock steps both ways inside the bound.
pub fn stepping() -> Setting {
    let wish = || vec![Wish::new("r", "x", 3 * HALF).renewed_for(2 * HALF)];
    let parts = vec![
        Part::new("a/1", wish()).repeating(1).renewing(1),
        Part::new("b/1", wish()).never_releasing(),
    ];
    Setting {
        bound: error_of(HALF),
        budget: Budget { forward_steps: 1, back_steps: 1, reads: 1, ..Budget::default() },
        expected: &[Mark::FrozenClock, Mark::Believed, Mark::BeliefRenewed, Mark::Lapsed],
        ..Setting::new(
            "stepping",
            "L allows for ε, renewals never shorten, object time never runs back",
            HALF,
            parts,
        )
    }
}

/// Three holders want one path; grants are pushed, the alarm rings early, late, again or never.
pub fn queue() -> Setting {
    let wish = || Wish::new("r", "x", 2 * HALF);
    let waiting = || vec![wish().waiting(MINUTE)];
    let parts = vec![
        Part::new("a/1", vec![wish()]),
        Part::new("a/2", waiting()).repeating(UNLIMITED).renewing(1),
        Part::new("b/1", waiting()),
    ];
    Setting {
        travel_ticks: 0,
        pushes: true,
        budget: Budget { alarms: UNLIMITED, ..Budget::default() },
        expected: &[
            Mark::Queued,
            Mark::TicketExtended,
            Mark::TimedOut,
            Mark::GrantedFromQueue,
            Mark::GrantPushed,
            Mark::Believed,
            Mark::BeliefBegunByRenewal,
        ],
        ..Setting::new(
            "queue",
            "order of arrival, extension of tickets, the short first term, grants told by push or poll",
            HALF,
            parts,
        )
    }
}

/// Sets over three paths, held and waited for at once, so that waits can close a cycle.
pub fn sets() -> Setting {
    let wish = |name: &str, set: &str| Wish::new(name, set, 2 * HALF);
    let parts = vec![
        Part::new("a/1", vec![wish("r", "x"), wish("s", "y").waiting(MINUTE)]).concurrent(),
        Part::new("a/2", vec![wish("r", "xy").waiting(MINUTE)]),
        Part::new("b/1", vec![wish("r", "yz")]),
    ];
    Setting {
        travel_ticks: 0,
        expected: &[
            Mark::DeadlockRefused,
            Mark::HeldByTicket,
            Mark::GrantedFromQueue,
            Mark::TimedOut,
        ],
        ..Setting::new("sets", "all or none, no barging, refused cycles", HALF, parts)
    }
}

/// Clients that give up on tickets and leases while copies are under way.
pub fn cancel() -> Setting {
    let waiting = || vec![Wish::new("r", "x", MINUTE).waiting(MINUTE)];
    let parts = vec![
        Part::new("a/1", waiting()).repeating(UNLIMITED).cancelling(),
        Part::new("b/1", vec![Wish::new("r", "x", MINUTE)]),
    ];
    Setting {
        in_flight: 2,
        budget: Budget { duplicates: 1, alarms: UNLIMITED, ..Budget::default() },
        expected: &[
            Mark::Tombstone,
            Mark::LateAcquireRefused,
            Mark::CancelledLease,
            Mark::CancelledTicket,
            Mark::MemoryRenewed,
            Mark::MemoryForgotten,
            Mark::GrantedAfterMemory,
            Mark::LateReplyIgnored,
        ],
        ..Setting::new("cancel", "a cancelled request never lives again", MINUTE, parts)
    }
}

/// A host more than a minute behind, or back from there.
pub fn reanchored() -> Setting {
    let wish = || vec![Wish::new("r", "x", 3 * HALF)];
    let waiting = || vec![Wish::new("r", "x", 2 * HALF).waiting(MINUTE)];
    let parts = vec![Part::new("a/1", wish()).renewing(1), Part::new("b/1", waiting())];
    Setting {
        travel_ticks: 0,
        bound: error_of(HALF),
        back_ticks: 3,
        budget: Budget { forward_steps: 1, back_steps: 1, reads: 1, ..Budget::default() },
        expected: &[Mark::Reanchored, Mark::Believed, Mark::Lapsed, Mark::GrantedFromQueue],
        ..Setting::new(
            "re-anchored",
            "time goes on from the floor, and nothing is un-ended",
            HALF,
            parts,
        )
    }
}

/// Clients that wait and keep asking, on a host whose clock goes far back once.
pub fn patient() -> Setting {
    let wish = |set: &str| Wish::new("r", set, 3 * HALF);
    let parts = vec![
        Part::new("a/1", vec![wish("x")]),
        Part::new("a/2", vec![wish("xy").waiting(MINUTE)]).never_releasing(),
        Part::new("b/1", vec![wish("y").waiting(MINUTE)]).never_releasing(),
    ];
    Setting {
        travel_ticks: 0,
        back_ticks: 4,
        keeps_asking: true,
        budget: Budget { back_steps: 1, ..Budget::default() },
        expected: &[Mark::Queued, Mark::GrantedFromQueue, Mark::GrantedInTheEnd, Mark::Reanchored],
        ..Setting::new("patient", "who keeps asking is granted in the end", HALF, parts)
    }
}

/// A client that sleeps with its monotonic clock while its wall clock runs right.
pub fn suspended() -> Setting {
    let wish = || vec![Wish::new("r", "x", 3 * HALF)];
    let parts = vec![Part::new("a/1", wish()).renewing(1), Part::new("a/2", wish())];
    Setting {
        travel_ticks: 0,
        budget: Budget { suspends: 2, ..Budget::default() },
        expected: &[Mark::Suspended, Mark::Believed, Mark::BeliefRanOut, Mark::BeliefRenewed],
        ..Setting::new("suspended", "belief needs the wall clock too", HALF, parts)
    }
}

/// A client whose wall clock is set back while its monotonic clock runs right.
pub fn wall_back() -> Setting {
    let wish = || vec![Wish::new("r", "x", 3 * HALF)];
    let parts = vec![Part::new("a/1", wish()).renewing(1), Part::new("a/2", wish())];
    Setting {
        travel_ticks: 0,
        budget: Budget { wall_steps: 2, ..Budget::default() },
        expected: &[
            Mark::Believed,
            Mark::BeliefRanOut,
            Mark::BeliefRenewed,
            Mark::AnomalyEndedBelief,
        ],
        ..Setting::new("wall clock back", "belief needs the monotonic clock too", HALF, parts)
    }
}

/// An admin forces and drains, and repeats itself after a lost reply.
pub fn admin() -> Setting {
    let wish = || Wish::new("r", "x", 2 * HALF);
    let parts = vec![
        Part::new("a/1", vec![wish()]).renewing(1).cancelling(),
        Part::new("b/1", vec![wish().waiting(MINUTE)]).repeating(1).renewing(1),
    ];
    Setting {
        travel_ticks: 0,
        budget: Budget { forces: 1, drains: 1, force_repeats: 1, ..Budget::default() },
        expected: &[
            Mark::Forced,
            Mark::ForceRepeated,
            Mark::Drained,
            Mark::DrainEnded,
            Mark::RenewalLost,
            Mark::GrantedFromQueue,
        ],
        ..Setting::new("admin", "force needs the token, drain breaks no belief", HALF, parts)
    }
}

/// The original's protocol beside a session: renewal by acquiring again, for another time.
pub fn original() -> Setting {
    let wish = |ttl| Wish::new("r", "x", ttl).without_request();
    let parts = vec![
        Part::new("a", vec![wish(3 * HALF), wish(HALF)])
            .concurrent()
            .repeating(1)
            .never_releasing(),
        Part::new("b/1", vec![Wish::new("r", "x", 2 * HALF)]),
    ];
    Setting {
        travel_ticks: 0,
        bound: error_of(HALF),
        budget: Budget { drains: 1, forward_steps: 1, ..Budget::default() },
        expected: &[
            Mark::Extended,
            Mark::HeldByOwn,
            Mark::Drained,
            Mark::DrainEnded,
            Mark::Believed,
        ],
        ..Setting::new(
            "original",
            "an id-less acquisition renews, never shortens, and moves no drain",
            HALF,
            parts,
        )
    }
}

/// Storage goes back to an earlier state while clients go on.
pub fn restored() -> Setting {
    let wishes = || vec![Wish::new("r", "x", MINUTE), Wish::new("s", "x", MINUTE)];
    let parts = vec![
        Part::new("a/1", wishes()).never_releasing(),
        Part::new("b/1", vec![Wish::new("r", "x", MINUTE)]),
    ];
    Setting {
        exact_tokens: true,
        horizon: Some(4),
        travel_ticks: 0,
        back_ticks: 1,
        budget: Budget { restores: 1, back_steps: 1, writes: 2, ..Budget::default() },
        expected: &[
            Mark::Restored,
            Mark::Recovered,
            Mark::WriteAccepted,
            Mark::WriteRefused,
            Mark::Believed,
        ],
        ..Setting::new("restored", "tokens outlive a restore, belief a closed one", MINUTE, parts)
    }
}
