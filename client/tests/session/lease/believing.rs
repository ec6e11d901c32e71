//! Belief: from when it counts, what it rests on, and that it does not come back.

use std::time::Duration;

use mailbus_client::session::lease::{ClaimId, Event, LeaseSession, LossCause};
use mailbus_client::session::{CallNumber, Route};
use mailbus_spec::belief::ClockAnomaly;
use mailbus_spec::lease::Command;
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::wire::{Code, Problem};
use mailbus_spec::{RequestId, Timestamp};

use super::stage::*;

/// L of 30 s inside the promised bound.
const L: u64 = 29_689;

#[test]
fn a_grant_is_believed_for_less_than_its_term() {
    let (mut session, claim) = holding();
    // Renewals go unanswered.
    assert!(session.believes(at(L - 1), claim));
    assert!(!session.believes(at(L), claim));
}

#[test]
fn a_grant_counts_from_the_first_attempt_whichever_was_answered() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted());
    let first = sends_one(&mut session, 0);
    session.handle_failure(at(10), first.call);
    let (again_at, again) = sends_next(&mut session, 10);
    assert!(again_at > 10 && request(&again) == request(&first));
    answer(&mut session, 20_000, again.call, granted(5, 30_000));
    assert!(session.believes(at(L - 1), claim));
    assert!(!session.believes(at(L), claim), "it counts from 0, not from {again_at}");
}

#[test]
fn a_grant_is_reckoned_from_the_term_granted_not_from_the_one_asked_for() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited().ttl(ttl(3_600_000)));
    let acquire = sends_one(&mut session, 0);
    answer(&mut session, 10, acquire.call, granted(5, 30_000));
    assert!(session.believes(at(L - 1), claim));
    assert!(!session.believes(at(L), claim));
}

#[test]
fn a_renewal_counts_from_the_attempt_that_its_reply_names() {
    let (mut session, claim) = holding();
    let first = sends_one(&mut session, 10_000);
    assert!(matches!(first.command, Command::Renew { .. }));
    let (second_at, second) = sends_next(&mut session, 10_001);
    assert!(second_at >= 15_000, "the first was given up on after 5 s");
    answer(&mut session, 20_000, first.call, renewed());
    assert_eq!(session.deadline(claim), Some(at(10_000 + L).monotonic));
    answer(&mut session, 20_001, second.call, renewed());
    assert_eq!(session.deadline(claim), Some(at(second_at + L).monotonic));
    assert!(session.believes(at(second_at + L - 1), claim));
}

#[test]
fn a_renewal_that_comes_late_shortens_nothing() {
    let (mut session, claim) = holding();
    let first = sends_one(&mut session, 10_000);
    let (second_at, second) = sends_next(&mut session, 10_001);
    answer(&mut session, 20_000, second.call, renewed());
    answer(&mut session, 20_001, first.call, renewed());
    assert_eq!(session.deadline(claim), Some(at(second_at + L).monotonic));
}

#[test]
fn a_lease_is_renewed_at_a_third_of_its_time() {
    let (mut session, _) = holding();
    assert!(sends(&mut session, 9_999).is_empty());
    let renew = sends_one(&mut session, 10_000);
    answer(&mut session, 10_020, renew.call, renewed());
    assert_eq!(session.poll_timeout(), Some(at(20_000).monotonic));
    assert!(sends(&mut session, 19_999).is_empty());
    assert_eq!(names(&sends(&mut session, 20_000)), ["renew"]);
}

#[test]
fn a_short_term_after_a_longer_first_one_is_renewed_when_its_own_part_of_that_is_left() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited().ttl(ttl(6_000)));
    let acquire = sends_one(&mut session, 0);
    answer(&mut session, 10, acquire.call, granted(5, 30_000));
    let mut renewed_at = Vec::new();
    let mut now = 10;
    while now < 33_000 && renewed_at.len() < 10 {
        let (sent_at, renew) = sends_next(&mut session, now);
        renewed_at.push(sent_at);
        now = sent_at + 1;
        answer(&mut session, now, renew.call, renewed());
        assert!(session.believes(at(now), claim));
    }
    // Of a term of 6 s, 5 737 ms are believed and 2 000 are over when it is renewed.
    let first = L - (5_737 - 2_000);
    assert_eq!(
        renewed_at,
        [10_000, first, first + 2_000, first + 4_000, first + 6_000, first + 8_000]
    );
}

#[test]
fn a_pushed_grant_counts_from_the_first_attempt_too() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited());
    let acquire = sends_one(&mut session, 0);
    answer(&mut session, 10, acquire.call, queued(0));
    let request = RequestId::new(request(&acquire)).unwrap();
    let expires_at = Timestamp::ZERO;
    let notice = Notice::Granted { request, token: token(5), expires_at, ttl: ttl(30_000) };
    session.handle_notice(at(5_000), notice);
    assert_eq!(session.deadline(claim), Some(at(L).monotonic));
    assert_eq!(
        events(&mut session),
        [Event::Queued { claim, position: 0 }, Event::Acquired { claim, token: token(5) }]
    );
}

#[test]
fn a_grant_whose_belief_is_over_at_once_is_not_lost_and_begins_with_its_first_renewal() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited());
    let first = sends_one(&mut session, 0);
    answer(&mut session, 10, first.call, queued(0));
    let mut now = 10;
    let granted_at = loop {
        let (sent_at, asked) = sends_next(&mut session, now);
        now = sent_at + 1;
        if now > 60_000 {
            answer(&mut session, now, asked.call, granted(5, 30_000));
            break now;
        }
        answer(&mut session, now, asked.call, queued(0));
    };
    assert!(!session.believes(at(granted_at), claim));
    assert_eq!(events(&mut session), [Event::Queued { claim, position: 0 }], "not acquired yet");
    let renew = sends_one(&mut session, granted_at);
    answer(&mut session, granted_at + 5, renew.call, renewed());
    assert_eq!(
        events(&mut session),
        [Event::Acquired { claim, token: token(5) }, Event::Renewed { claim, waiting: 0 }]
    );
    assert!(session.believes(at(granted_at + L - 1), claim));
}

/// A session whose first token ended before it was believed, with two copies of its renewal under
/// way, and which believes in a second; and when that was asked for.
fn holding_the_next_token() -> (LeaseSession, ClaimId, [CallNumber; 2], u64) {
    let (mut session, claim, granted_at) = granted_late();
    let slow = sends_one(&mut session, granted_at);
    let (copy_at, copy) = sends_next(&mut session, granted_at + 1);
    assert_eq!((slow.command.name(), copy.command.name()), ("renew", "renew"));
    answer(&mut session, copy_at + 10, copy.call, lost());
    let cancel = sends_one(&mut session, copy_at + 10);
    answer(&mut session, copy_at + 20, cancel.call, cancelled());
    let anew = sends_one(&mut session, copy_at + 20);
    answer(&mut session, copy_at + 30, anew.call, granted(9, 30_000));
    assert!(session.believes(at(copy_at + 30), claim));
    events(&mut session);
    (session, claim, [slow.call, copy.call], copy_at + 20)
}

#[test]
fn a_renewal_of_one_token_is_not_credited_to_the_next() {
    let (mut session, claim, [slow, _], asked_at) = holding_the_next_token();
    answer(&mut session, asked_at + 20, slow, renewed());
    assert_eq!(session.deadline(claim), Some(at(asked_at + L).monotonic), "not an hour");
    assert!(events(&mut session).is_empty(), "nothing was renewed");
}

#[test]
fn a_refused_renewal_of_one_token_does_not_end_the_next() {
    let (mut session, claim, [slow, copy], asked_at) = holding_the_next_token();
    answer(&mut session, asked_at + 20, slow, lost());
    answer(&mut session, asked_at + 21, copy, lost());
    assert!(session.believes(at(asked_at + 21), claim));
    assert!(events(&mut session).is_empty());
}

#[test]
fn what_is_heard_of_one_token_changes_no_copy_of_the_next() {
    let (mut session, _, [slow, copy], asked_at) = holding_the_next_token();
    open_socket(&mut session, asked_at + 20);
    let (first_at, first) = sends_next(&mut session, asked_at + 20);
    assert!(matches!(first.command, Command::Renew { token: renewed, .. } if renewed == token(9)));
    session.handle_failure(at(first_at + 10), first.call);
    let due = session.poll_timeout();
    answer(&mut session, first_at + 11, slow, lost());
    session.handle_failure(at(first_at + 12), copy);
    session.handle_problem(at(first_at + 13), slow, Problem::new(Code::Forbidden, "not yours"));
    assert_eq!(session.poll_timeout(), due);
    let (_, again) = sends_next(&mut session, first_at + 13);
    assert_eq!(again.route, Route::Http, "its own first copy alone stayed unanswered");
}

#[test]
fn a_refused_renewal_ends_belief_at_once_and_the_token_is_released() {
    let (mut session, claim) = holding();
    let renew = sends_one(&mut session, 10_000);
    answer(&mut session, 10_010, renew.call, lost());
    assert!(!session.believes(at(10_010), claim));
    assert_eq!(events(&mut session), [Event::Lost { claim, cause: LossCause::RenewalRefused }]);
    assert_eq!(names(&sends(&mut session, 10_010)), ["release"]);
}

#[test]
fn a_lost_lease_stays_lost_and_is_released() {
    let (mut session, claim) = holding();
    let renew = sends_one(&mut session, 10_000);
    assert!(!session.believes(at(L), claim));
    assert_eq!(events(&mut session), [Event::Lost { claim, cause: LossCause::RanOut }]);
    answer(&mut session, L + 1, renew.call, renewed());
    assert!(!session.believes(at(L + 2), claim));
    assert_eq!(names(&sends(&mut session, L + 2)), ["release"]);
}

#[test]
fn belief_needs_both_clocks() {
    // The wall clock runs ahead slowly, 200 ms at a time: never an anomaly from look to look.
    let (mut session, claim) = holding();
    for step in 1..=5_u64 {
        session.handle_timeout(apart(step * 100, i64::try_from(step).unwrap() * 60));
    }
    // By the monotonic clock there would be 30 ms left.
    let end = apart(L - 30, 300);
    assert_eq!(session.beliefs(end).count(), 0);
    assert!(!session.believes(end, claim));
}

#[test]
fn a_wall_clock_that_steps_back_ends_all_belief() {
    let (mut session, claim) = holding();
    session.handle_timeout(at(5_000));
    assert_eq!(session.beliefs(apart(5_100, -200)).count(), 0);
    assert!(!session.believes(apart(5_100, -200), claim));
    let cause = LossCause::Clock(ClockAnomaly::SteppedBack);
    assert_eq!(events(&mut session), [Event::Lost { claim, cause }]);
    assert!(
        !session.believes(at(5_400), claim),
        "it is not believed again when the step is undone"
    );
}

#[test]
fn clocks_that_disagree_after_a_suspend_end_all_belief() {
    let (mut session, claim) = holding();
    session.handle_timeout(at(5_000));
    assert!(!session.believes(apart(5_001, 40_000), claim), "the monotonic clock had stood still");
    let cause = LossCause::Clock(ClockAnomaly::Disagree);
    assert_eq!(events(&mut session), [Event::Lost { claim, cause }]);
}

#[test]
fn what_was_sent_before_the_clocks_went_wrong_is_never_credited() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted());
    let acquire = sends_one(&mut session, 0);
    session.handle_timeout(apart(100, -150));
    session.handle_timeout(at(400));
    answer(&mut session, 410, acquire.call, granted(5, 30_000));
    assert!(!session.believes(at(410), claim));
    let renew = sends_one(&mut session, 410);
    answer(&mut session, 420, renew.call, renewed());
    assert!(session.believes(at(420), claim), "what was sent afterwards counts");
}

#[test]
fn looking_at_beliefs_changes_nothing() {
    let (session, claim) = holding();
    assert_eq!(session.beliefs(at(L)).count(), 0);
    let believed: Vec<_> = session.beliefs(at(10)).collect();
    assert_eq!(believed.len(), 1);
    assert_eq!((believed[0].claim, believed[0].token), (claim, token(5)));
    assert_eq!(believed[0].holder, &holder("a"));
}

#[test]
fn a_lease_ends_at_its_callers_bound_however_well_renewals_go() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted().at_most(Duration::from_secs(60)));
    let acquire = sends_one(&mut session, 0);
    answer(&mut session, 10, acquire.call, granted(5, 30_000));
    assert_eq!(session.deadline(claim), Some(at(29_689).monotonic), "the term is shorter");
    for renewed_at in [10_000, 20_000, 30_000, 40_000, 50_000] {
        let renew = sends_one(&mut session, renewed_at);
        answer(&mut session, renewed_at, renew.call, renewed());
    }
    assert_eq!(session.deadline(claim), Some(at(60_010).monotonic), "from its beginning");
    assert!(session.believes(at(60_009), claim));
    events(&mut session);
    assert_eq!(session.beliefs(at(60_010)).count(), 0);
    assert!(!session.believes(at(60_010), claim));
    assert_eq!(events(&mut session), [Event::Lost { claim, cause: LossCause::HeldAtMost }]);
    assert_eq!(names(&sends(&mut session, 60_010)), ["release"]);
}
