//! The worlds: small, each built so that certain rules are refuted in it when they are broken.
//!
//! Ticks are chosen in the scale of the constants that matter: memory 120 s, first term and
//! re-anchoring 30 s and 60 s, copies 60 s after the first and 60 s under way.

use mailbus_spec::belief::ClockBound;

use crate::harness::UNLIMITED;
use crate::lease::marks::Mark;
use crate::lease::scenario::{Budget, Claim, Peer, Scenario};

const HALF: u64 = 30_000;
const MINUTE: u64 = 60_000;

/// ε is one tick; the clocks are read exactly and keep their rate.
fn error_of(tick_ms: u64) -> ClockBound {
    ClockBound { rate_ppm: 0, step_ms: tick_ms, granularity_ms: 0 }
}

pub fn all() -> Vec<Scenario> {
    vec![
        direct(),
        stepping(),
        queue(),
        sets(),
        cancel(),
        reanchored(),
        patient(),
        short(),
        asking(),
        suspended(),
        wall_back(),
        admin(),
        original(),
        restored(),
    ]
}

/// Direct grants to two sessions of one agent, copies, duplicates and renewals on a slow network.
pub fn direct() -> Scenario {
    let claim = || vec![Claim::new("r", "x", 2 * MINUTE)];
    let peers = vec![Peer::new("a/1", claim()).repeating(1).renewing(2), Peer::new("a/2", claim())];
    Scenario {
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
        ..Scenario::new(
            "direct",
            "belief counts from the first attempt and the named renewal, and ends before a release",
            MINUTE,
            peers,
        )
    }
}

/// A host whose clock steps both ways inside the bound.
pub fn stepping() -> Scenario {
    let claim = || vec![Claim::new("r", "x", 3 * HALF).renewed_for(2 * HALF)];
    let peers = vec![
        Peer::new("a/1", claim()).repeating(1).renewing(1),
        Peer::new("b/1", claim()).never_releasing(),
    ];
    Scenario {
        bound: error_of(HALF),
        budget: Budget { forward_steps: 1, back_steps: 1, reads: 1, ..Budget::default() },
        expected: &[Mark::FrozenClock, Mark::Believed, Mark::BeliefRenewed, Mark::Lapsed],
        ..Scenario::new(
            "stepping",
            "L allows for ε, renewals never shorten, object time never runs back",
            HALF,
            peers,
        )
    }
}

/// Three holders want one path; grants are pushed, the alarm rings early, late, again or never.
pub fn queue() -> Scenario {
    let claim = || Claim::new("r", "x", 2 * HALF);
    let waiting = || vec![claim().waiting(MINUTE)];
    let peers = vec![
        Peer::new("a/1", vec![claim()]),
        Peer::new("a/2", waiting()).repeating(UNLIMITED).renewing(1),
        Peer::new("b/1", waiting()),
    ];
    Scenario {
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
        ..Scenario::new(
            "queue",
            "order of arrival, extension of tickets, the short first term, grants told by push or poll",
            HALF,
            peers,
        )
    }
}

/// Sets over three paths, held and waited for at once, so that waits can close a cycle.
pub fn sets() -> Scenario {
    let claim = |name: &str, set: &str| Claim::new(name, set, 2 * HALF);
    let peers = vec![
        Peer::new("a/1", vec![claim("r", "x"), claim("s", "y").waiting(MINUTE)]).concurrent(),
        Peer::new("a/2", vec![claim("r", "xy").waiting(MINUTE)]),
        Peer::new("b/1", vec![claim("r", "Yz")]),
    ];
    Scenario {
        travel_ticks: 0,
        expected: &[
            Mark::DeadlockRefused,
            Mark::HeldByTicket,
            Mark::GrantedFromQueue,
            Mark::TimedOut,
        ],
        ..Scenario::new("sets", "all or none, no barging, refused cycles", HALF, peers)
    }
}

/// Clients that give up on tickets and leases while copies are under way.
pub fn cancel() -> Scenario {
    let waiting = || vec![Claim::new("r", "x", MINUTE).waiting(MINUTE)];
    let peers = vec![
        Peer::new("a/1", waiting()).repeating(UNLIMITED).cancelling(),
        Peer::new("b/1", vec![Claim::new("r", "x", MINUTE)]),
    ];
    Scenario {
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
        ..Scenario::new("cancel", "a cancelled request never lives again", MINUTE, peers)
    }
}

/// A host more than a minute behind, or back from there.
pub fn reanchored() -> Scenario {
    let claim = || vec![Claim::new("r", "x", 3 * HALF)];
    let waiting = || vec![Claim::new("r", "x", 2 * HALF).waiting(MINUTE)];
    let peers = vec![Peer::new("a/1", claim()).renewing(1), Peer::new("b/1", waiting())];
    Scenario {
        travel_ticks: 0,
        bound: error_of(HALF),
        back_ticks: 3,
        budget: Budget { forward_steps: 1, back_steps: 1, reads: 1, ..Budget::default() },
        expected: &[Mark::Reanchored, Mark::Believed, Mark::Lapsed, Mark::GrantedFromQueue],
        ..Scenario::new(
            "re-anchored",
            "time goes on from the floor, and nothing is un-ended",
            HALF,
            peers,
        )
    }
}

/// Clients that wait and keep asking, on a host whose clock goes far back once.
pub fn patient() -> Scenario {
    let claim = |set: &str| Claim::new("r", set, 3 * HALF);
    let peers = vec![
        Peer::new("a/1", vec![claim("x")]),
        Peer::new("a/2", vec![claim("xy").waiting(MINUTE)]).never_releasing(),
        Peer::new("b/1", vec![claim("y").waiting(MINUTE)]).never_releasing(),
    ];
    Scenario {
        travel_ticks: 0,
        back_ticks: 4,
        keeps_asking: true,
        budget: Budget { back_steps: 1, ..Budget::default() },
        expected: &[Mark::Queued, Mark::GrantedFromQueue, Mark::GrantedInTheEnd, Mark::Reanchored],
        ..Scenario::new("patient", "who keeps asking is granted in the end", HALF, peers)
    }
}

/// A client that waits for a term shorter than the pause between two of its questions.
pub fn short() -> Scenario {
    const TICK: u64 = 3_000;
    let claim = |ttl| Claim::new("r", "x", ttl);
    let peers = vec![
        Peer::new("a/1", vec![claim(2 * TICK)]),
        Peer::new("b/1", vec![claim(TICK).waiting(4 * TICK)]).never_releasing(),
    ];
    Scenario {
        travel_ticks: 0,
        keeps_asking: true,
        expected: &[Mark::Queued, Mark::GrantedFromQueue, Mark::GrantedInTheEnd],
        ..Scenario::new("short", "a turn outlasts the pause between two questions", TICK, peers)
    }
}

/// A client that asks again when three tenths of its wait are over.
pub fn asking() -> Scenario {
    const TICK: u64 = 3_000;
    let peers = vec![
        Peer::new("a/1", vec![Claim::new("r", "x", 4 * TICK)]).never_releasing(),
        Peer::new("b/1", vec![Claim::new("r", "x", TICK).waiting(10_000)])
            .repeating(1)
            .never_releasing(),
    ];
    Scenario {
        travel_ticks: 0,
        expected: &[Mark::TicketExtended, Mark::TimedOut, Mark::GrantedFromQueue],
        ..Scenario::new("asking", "one question in three may be lost", TICK, peers)
    }
}

/// A client that sleeps with its monotonic clock while its wall clock runs right.
pub fn suspended() -> Scenario {
    let claim = || vec![Claim::new("r", "x", 3 * HALF)];
    let peers = vec![Peer::new("a/1", claim()).renewing(1), Peer::new("a/2", claim())];
    Scenario {
        travel_ticks: 0,
        budget: Budget { suspends: 2, ..Budget::default() },
        expected: &[Mark::Suspended, Mark::Believed, Mark::BeliefRanOut, Mark::BeliefRenewed],
        ..Scenario::new("suspended", "belief needs the wall clock too", HALF, peers)
    }
}

/// A client whose wall clock is set back while its monotonic clock runs right.
pub fn wall_back() -> Scenario {
    let claim = || vec![Claim::new("r", "x", 3 * HALF)];
    let peers = vec![Peer::new("a/1", claim()).renewing(1), Peer::new("a/2", claim())];
    Scenario {
        travel_ticks: 0,
        budget: Budget { wall_steps: 2, ..Budget::default() },
        expected: &[
            Mark::Believed,
            Mark::BeliefRanOut,
            Mark::BeliefRenewed,
            Mark::AnomalyEndedBelief,
        ],
        ..Scenario::new("wall clock back", "belief needs the monotonic clock too", HALF, peers)
    }
}

/// An admin forces and drains, and repeats itself after a lost reply; one client knows what a drain is,
/// the other was built before.
pub fn admin() -> Scenario {
    let claim = || Claim::new("r", "x", 2 * HALF);
    let peers = vec![
        Peer::new("a/1", vec![claim()]).renewing(1).cancelling(),
        Peer::new("b/1", vec![claim().waiting(MINUTE)])
            .repeating(1)
            .renewing(1)
            .not_knowing_drains(),
    ];
    Scenario {
        travel_ticks: 0,
        budget: Budget {
            forces: 1,
            drains: 1,
            force_repeats: 1,
            ticket_forces: 1,
            ..Budget::default()
        },
        expected: &[
            Mark::Forced,
            Mark::TicketForced,
            Mark::ForceRepeated,
            Mark::Drained,
            Mark::DrainTold,
            Mark::DrainEnded,
            Mark::RenewalLost,
            Mark::GrantedFromQueue,
        ],
        ..Scenario::new("admin", "force needs the token, drain breaks no belief", HALF, peers)
    }
}

/// The original's protocol beside a session: renewal by acquiring again, for another time.
pub fn original() -> Scenario {
    let claim = |ttl| Claim::new("r", "x", ttl).without_request();
    let peers = vec![
        Peer::new("a", vec![claim(3 * HALF), claim(HALF)])
            .concurrent()
            .repeating(1)
            .never_releasing(),
        Peer::new("b/1", vec![Claim::new("r", "x", 2 * HALF)]),
    ];
    Scenario {
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
        ..Scenario::new(
            "original",
            "an id-less acquisition renews, never shortens, and moves no drain",
            HALF,
            peers,
        )
    }
}

/// Storage goes back to an earlier state while clients go on.
pub fn restored() -> Scenario {
    let claims = || vec![Claim::new("r", "x", MINUTE), Claim::new("s", "x", MINUTE)];
    let peers = vec![
        Peer::new("a/1", claims()).never_releasing(),
        Peer::new("b/1", vec![Claim::new("r", "x", MINUTE)]),
    ];
    Scenario {
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
        ..Scenario::new("restored", "tokens outlive a restore, belief a closed one", MINUTE, peers)
    }
}
