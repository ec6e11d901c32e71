//! Goal: the history checker accepts what the specification can do and nothing else.
//!
//! Method: concurrent histories are made from the specification itself, with overlapping clients,
//! alarms that nobody sees and replies that are lost; all of them must be explained. Then single lies
//! are told in them, and in small histories by hand; each must be found. A second judge, which knows
//! nothing of sequences and tries every order, must agree with the first on small histories.

mod concurrent;

use concurrent::{World, grants, history_of, judge, reply_mut};
use mailbus_conformance::linearize::{History, Outcome, explain, explain_within};
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{LeaseMachine, Outcome as Answer, Push};

type Leases = History<LeaseMachine>;

/// The report on a history that must not be explained.
fn report(history: &Leases) -> String {
    explain(history).expect_err("this history must not be explained").to_string()
}

#[test]
fn what_the_specification_does_is_explained_without_a_search() {
    let mut searched = 0;
    for seed in 0..100 {
        let history = World::new(seed).clients(6).commands(120).history();
        let explained = explain(&history).unwrap_or_else(|found| panic!("seed {seed}: {found}"));
        assert_eq!((explained.order.len(), explained.hidden()), (120, 0), "seed {seed}");
        // Two commands of one millisecond may both be what wrote a sequence.
        searched += u32::from(explained.tried > 0);
    }
    assert!(searched < 5, "{searched} histories needed a search");
}

#[test]
fn alarms_that_nobody_saw_are_found() {
    let mut hidden = 0;
    for seed in 0..100 {
        let history = World::new(seed).clients(6).commands(120).alarms().history();
        let explained = explain(&history).unwrap_or_else(|found| panic!("seed {seed}: {found}"));
        hidden += explained.hidden();
    }
    assert!(hidden > 200, "only {hidden} hidden events");
}

#[test]
fn lost_replies_are_in_the_order_once_or_not_at_all() {
    let mut hidden = 0;
    for seed in 0..100 {
        let history = World::new(seed).clients(8).commands(120).alarms().losses(0.02).history();
        let explained = explain(&history).unwrap_or_else(|found| panic!("seed {seed}: {found}"));
        hidden += explained.hidden();
    }
    assert!(hidden > 250, "only {hidden} hidden events");
}

#[test]
fn what_was_executed_when_the_server_died_is_found() {
    // Four crashes with ten commands under way have more orders than a real history.
    let mut hidden = 0;
    for seed in 0..45 {
        let world = World::new(seed).clients(10).commands(400).agents().alarms().kills(4);
        let history = world.history();
        let explained = explain_within(&history, 1_000_000)
            .unwrap_or_else(|found| panic!("seed {seed}: {found}"));
        hidden += explained.hidden();
    }
    assert!(hidden > 500, "only {hidden} hidden events");
}

#[test]
fn a_lost_acknowledgement_is_found() {
    // Alice was told that she holds the path, and the object forgot.
    let mut history = history_of(&[
        (1, 2, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (3, 4, 1_000, "status src/lib.rs"),
    ]);
    reply_mut(&mut history, 1).answer = Ok(Answer::Free { queue: 0, reserved: None });
    assert_eq!(
        report(&history),
        "\
no order of events explains this history
    [1 +0s] client 0: acquire alice/1 a1 src/lib.rs ttl=30s -> granted #0s until +30s, term 30s
  client 1: status src/lib.rs
  was answered        [1 +1s] free, 0 waiting
  the specification   [1 +1s] held by alice/1 #0s until +30s with src/lib.rs, 0 waiting"
    );
}

#[test]
fn a_write_that_was_rolled_back_is_found_by_its_sequence() {
    // The object restarted from before Alice's lease, and went on.
    let mut history = history_of(&[
        (1, 2, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (3, 4, 1_000, "acquire bob/1 b1 src/main.rs ttl=30s"),
    ]);
    reply_mut(&mut history, 1).commit.sequence = 1;
    assert!(report(&history).contains("client 1: acquire bob/1"));
}

#[test]
fn a_double_grant_is_found() {
    let mut history = history_of(&[
        (1, 4, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (2, 3, 0, "acquire bob/1 b1 src/main.rs ttl=30s"),
        (5, 6, 0, "acquire bob/1 b2 src/lib.rs ttl=30s"),
    ]);
    let granted = reply_mut(&mut history, 1).clone();
    let refused = reply_mut(&mut history, 2);
    refused.answer = granted.answer;
    refused.commit.sequence = 3;
    assert!(report(&history).contains("held by the lease of alice/1"), "{}", report(&history));
}

#[test]
fn a_token_issued_twice_is_found() {
    let mut history = history_of(&[
        (1, 2, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (3, 4, 0, "acquire bob/1 b1 src/main.rs ttl=30s"),
    ]);
    let first = reply_mut(&mut history, 0).answer.clone();
    reply_mut(&mut history, 1).answer = first;
    assert!(report(&history).contains("granted #0s.1"), "{}", report(&history));
}

#[test]
fn a_reply_older_than_what_was_already_seen_is_found() {
    // A replaced object answers from memory: its read is of before the release that had been answered.
    let mut history = history_of(&[
        (1, 2, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (5, 6, 0, "status src/lib.rs"),
        (3, 4, 0, "release alice/1 #0s"),
    ]);
    assert!(report(&history).contains("it began after the other had been answered"));
    // Had it begun before that, it would be fine.
    history.invocations[1].started = 4;
    explain(&history).unwrap();
}

#[test]
fn writes_in_another_order_than_real_time_are_found() {
    let history = history_of(&[
        (3, 4, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (1, 2, 0, "acquire bob/1 b1 src/main.rs ttl=30s"),
    ]);
    assert!(report(&history).contains("it began after the other had been answered"));
}

#[test]
fn what_read_a_sequence_before_its_write_began_is_found() {
    // The status ended before the acquisition began, and shows its sequence.
    let mut history = history_of(&[
        (3, 4, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (1, 2, 0, "status src/lib.rs"),
    ]);
    assert!(explain(&history).is_err());
    history.invocations[1].ended = Some(3);
    explain(&history).unwrap();
}

#[test]
fn a_gap_that_nothing_fills_is_found() {
    let mut history = history_of(&[
        (1, 2, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (3, 4, 1_000, "acquire bob/1 b1 src/main.rs ttl=30s"),
    ]);
    reply_mut(&mut history, 1).commit.sequence = 3;
    assert!(report(&history).contains("nothing: no event that was seen or may be hidden"));
}

#[test]
fn a_command_of_unknown_outcome_fills_one_gap_and_not_two() {
    let mut history = history_of(&[
        (1, 2, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (3, 4, 500, "renew alice/1 #0s ttl=1m"),
        (5, 6, 900, "renew alice/1 #0s ttl=1m"),
        (7, 8, 1_000, "status src/lib.rs"),
    ]);
    history.invocations[1].outcome = Outcome::Unknown;
    history.invocations[1].ended = None;
    let both = explain(&history).unwrap();
    assert_eq!((both.hidden(), both.order.len()), (1, 4));
    history.invocations.remove(2);
    assert!(explain(&history).is_err(), "the sequence 3 needs two writes");
}

#[test]
fn a_command_that_was_cut_off_has_no_effect_afterwards() {
    // The connection broke with the process at 4: what had not been executed by then never was.
    let mut history = history_of(&[
        (1, 2, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (5, 6, 500, "status src/lib.rs"),
        (3, 4, 600, "release alice/1 #0s"),
        (7, 8, 1_000, "status src/lib.rs"),
    ]);
    history.invocations[2].outcome = Outcome::Unknown;
    assert!(explain(&history).is_err());
    history.invocations[2].ended = None;
    explain(&history).unwrap();
}

#[test]
fn an_unknown_outcome_nobody_saw_the_effect_of_is_not_needed() {
    let mut history = history_of(&[
        (1, 2, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
        (3, 4, 500, "release alice/1 #0s"),
    ]);
    history.invocations[1].outcome = Outcome::Unknown;
    assert_eq!(explain(&history).unwrap().hidden(), 0);
}

#[test]
fn pushes_are_neither_made_up_nor_lost() {
    let history = || {
        history_of(&[
            (1, 2, 0, "acquire alice/1 a1 src/lib.rs ttl=30s"),
            (3, 4, 0, "acquire bob/1 b1 src/lib.rs ttl=30s wait=1m"),
            (5, 6, 0, "release alice/1 #0s"),
        ])
    };
    let order = explain(&history()).unwrap().order;
    let push: Push = order[2].pushes[0].clone();
    let mut received = history();
    received.received.push(push.clone());
    received.listening.insert(push.to.clone());
    received.complete_until = 3;
    explain(&received).unwrap();
    received.received.push(push.clone());
    assert!(report(&received).contains("nothing sent it"));
    received.received.clear();
    assert!(report(&received).contains("nobody received it"));
    received.complete_until = 2;
    explain(&received).unwrap();
    let token = match &push.notice {
        Notice::Granted { token, .. } => *token,
        other => panic!("{other:?}"),
    };
    received.received.push(Push { notice: Notice::Lapsed { token }, ..push });
    assert!(explain(&received).is_err());
}

#[test]
fn a_small_lie_about_any_grant_is_found() {
    let mut told = 0;
    for seed in 0..40 {
        let history = World::new(seed).clients(6).commands(80).alarms().history();
        for index in grants(&history) {
            let mut lied = history.clone();
            if let Ok(Answer::Granted { expires_at, .. }) = &mut reply_mut(&mut lied, index).answer
            {
                *expires_at = expires_at.plus_ms(1);
            }
            assert!(explain_within(&lied, 300).is_err(), "seed {seed}, invocation {index}");
            told += 1;
        }
    }
    assert!(told > 300, "only {told} lies");
}

#[test]
fn a_judge_that_knows_no_sequences_agrees_on_small_histories() {
    let (mut explained, mut refused) = (0, 0);
    for seed in 0..400 {
        let history = World::new(seed).clients(4).commands(6).history();
        assert!(explain(&history).is_ok() && judge(&history), "seed {seed}");
        for first in 0..6 {
            for second in 0..first {
                let mut swapped = history.clone();
                let other = reply_mut(&mut swapped, second).clone();
                let one = core::mem::replace(reply_mut(&mut swapped, first), other);
                *reply_mut(&mut swapped, second) = one;
                // Alarms are beyond the second judge.
                let found = explain(&swapped);
                if found.as_ref().is_ok_and(|found| found.hidden() > 0) {
                    continue;
                }
                if found.is_ok() {
                    explained += 1;
                    assert!(judge(&swapped), "seed {seed}: swapped {first} and {second}");
                } else {
                    refused += 1;
                }
            }
        }
    }
    assert!(explained > 100 && refused > 1_000, "{explained} explained, {refused} refused");
}
