//! Three sessions, two paths, the specification's object and a bad network.
//!
//! Goal: whoever believes is the holder at the object, with the same token, unexpired, and no two
//! believe in the same path, inside `ClockBound`. Method: random operations, all legal in every
//! state, in virtual time; after each, every session's beliefs are held against the object's state.
//! Each wrong rule of the gallery below has to be found by the same operations. A failure prints
//! the shrunk operations; they are the reproduction.

use mailbus_client::session::Sending;
use mailbus_client::session::lease::{Attempts, Credit, CreditRules, Ending, Sound};
use mailbus_spec::Ttl;
use mailbus_spec::belief::{Belief, ClockAnomaly, ClockBound, Reading};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestCaseError, TestError, TestRng, TestRunner};

use super::stage::cases;
use super::world::{CLIENTS, Op, Rules, World, op};

fn run(ops: &[Op], rules: Rules) -> Result<(), TestCaseError> {
    let mut world = World::new(rules);
    for op in ops {
        world.apply(op);
        world.check().map_err(TestCaseError::fail)?;
        world.pump();
        world.check().map_err(TestCaseError::fail)?;
        world.check_timeouts().map_err(TestCaseError::fail)?;
    }
    Ok(())
}

fn history() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..120)
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn whoever_believes_is_the_holder(ops in history()) {
        run(&ops, || Box::new(Sound))?;
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn once_the_network_heals_nothing_stays_open(ops in history()) {
        let mut world = World::new(|| Box::new(Sound));
        for op in &ops {
            world.apply(op);
            world.pump();
        }
        for client in 0..CLIENTS {
            while !world.clients[client].claims.is_empty() {
                world.apply(&Op::Release { client, nth: 0 });
            }
        }
        for _ in 0..200 {
            world.pump();
            world.apply(&Op::DeliverAll);
            world.apply(&Op::Pass { ms: 1_000 });
        }
        for client in &world.clients {
            prop_assert!(client.session.is_idle(), "{:?}", client.session);
        }
        world.apply(&Op::Alarm);
        prop_assert!(world.object.leases.is_empty() && world.object.queue.is_empty());
    }
}

/// Fails unless some history refutes the rules.
fn is_found(rules: Rules) {
    let cases = Cases { cases: 30_000, failure_persistence: None, ..Cases::default() };
    let mut runner = TestRunner::new_with_rng(
        cases,
        TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha),
    );
    match runner.run(&history(), |ops| run(&ops, rules)) {
        Err(TestError::Fail(reason, ops)) => {
            assert!(reason.message().starts_with("belief_"), "{reason}\n{ops:#?}");
        }
        other => panic!("the wrong rule was not found: {other:?}"),
    }
}

/// Sound but for one rule.
macro_rules! wrong {
    ($name:ident, $test:ident, { $($rule:tt)* }) => {
        struct $name;

        impl CreditRules for $name {
            wrong!(@rules { $($rule)* });
        }

        #[test]
        fn $test() {
            is_found(|| Box::new($name));
        }
    };
    (@rules { grant: $grant:expr }) => {
        fn grant(&self, acquires: &Attempts<'_>, asked: Ttl, granted: Ttl) -> Credit {
            let wrong: fn(&Attempts<'_>, Ttl, Ttl) -> Credit = $grant;
            wrong(acquires, asked, granted)
        }
        wrong!(@sound renewal holds compare outlives);
    };
    (@rules { renewal: $renewal:expr }) => {
        fn renewal(&self, renewals: &Attempts<'_>, ttl: Ttl) -> Option<Credit> {
            let wrong: fn(&Attempts<'_>) -> Option<Sending> = $renewal;
            wrong(renewals).map(|from| Credit { from, ttl })
        }
        wrong!(@sound grant holds compare outlives);
    };
    (@rules { outlives: $ending:pat }) => {
        fn outlives(&self, ending: Ending) -> bool {
            matches!(ending, $ending)
        }
        wrong!(@sound grant renewal holds compare);
    };
    (@rules { holds: $holds:expr }) => {
        fn holds(&self, belief: &Belief, at: Reading) -> bool {
            let wrong: fn(&Belief, Reading) -> bool = $holds;
            wrong(belief, at)
        }
        fn compare(&self, _: Reading, _: Reading, _: &ClockBound) -> Result<(), ClockAnomaly> {
            Ok(())
        }
        wrong!(@sound grant renewal outlives);
    };
    (@sound $($rule:ident)*) => { $(wrong!(@one $rule);)* };
    (@one grant) => {
        fn grant(&self, acquires: &Attempts<'_>, asked: Ttl, granted: Ttl) -> Credit {
            Sound.grant(acquires, asked, granted)
        }
    };
    (@one renewal) => {
        fn renewal(&self, renewals: &Attempts<'_>, ttl: Ttl) -> Option<Credit> {
            Sound.renewal(renewals, ttl)
        }
    };
    (@one holds) => {
        fn holds(&self, belief: &Belief, at: Reading) -> bool {
            Sound.holds(belief, at)
        }
    };
    (@one compare) => {
        fn compare(&self, a: Reading, b: Reading, bound: &ClockBound) -> Result<(), ClockAnomaly> {
            Sound.compare(a, b, bound)
        }
    };
    (@one outlives) => {
        fn outlives(&self, ending: Ending) -> bool {
            Sound.outlives(ending)
        }
    };
}

wrong!(FromTheAnswered, belief_from_the_answered_attempt_is_found, {
    grant: |acquires, _, granted| Credit {
        from: acquires.named.unwrap_or(acquires.first),
        ttl: granted,
    }
});

wrong!(FromTheReceipt, belief_from_the_receipt_of_the_grant_is_found, {
    grant: |acquires, _, granted| Credit {
        from: Sending { at: acquires.received, ..acquires.first },
        ttl: granted,
    }
});

wrong!(FailedMeansNotApplied, taking_a_failed_attempt_for_not_applied_is_found, {
    grant: |acquires, _, granted| {
        let alive = acquires.recent.iter().find(|sending| !sending.failed);
        Credit { from: *alive.unwrap_or(&acquires.first), ttl: granted }
    }
});

wrong!(TermAskedFor, believing_the_term_asked_for_is_found, {
    grant: |acquires, asked, _| Credit { from: acquires.first, ttl: asked }
});

wrong!(LatestRenewal, crediting_the_latest_renewal_is_found, {
    renewal: |renewals| renewals.recent.last().copied()
});

wrong!(KeptWhileReleasing, belief_kept_while_releasing_is_found, { outlives: Ending::Release });

wrong!(KeptWhileCancelling, belief_kept_while_cancelling_is_found, { outlives: Ending::Cancel });

wrong!(KeptAcrossARestore, belief_kept_across_a_restore_is_found, { outlives: Ending::Restored });

wrong!(MonotonicAlone, believing_the_monotonic_clock_alone_is_found, {
    holds: |belief, at| at.monotonic.saturating_sub(belief.sent.monotonic) < belief.lasts
});

wrong!(WallAlone, believing_the_wall_clock_alone_is_found, {
    holds: |belief, at| at.wall.saturating_sub(belief.sent.wall) < belief.lasts
});

wrong!(NeverLooks, believing_without_looking_at_the_clocks_is_found, { holds: |_, _| true });
