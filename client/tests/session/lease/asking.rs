//! Asking of a session: how long and how often, and when it stops.

use std::time::Duration;

use mailbus_client::session::CallFailure;
use mailbus_client::session::lease::{AcquireError, Config, Event, LeaseSession};
use mailbus_spec::lease::{Blocker, Command, HeldBy, LimitKind, Outcome, OverReason, Rejection};
use mailbus_spec::wire::{Code, Problem};
use mailbus_spec::{LeasePath, Timestamp, Wait};

use super::stage::*;

#[test]
fn copies_stop_a_minute_after_the_first_went_unanswered_and_the_request_is_cancelled() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted());
    let first = sends_one(&mut session, 0);
    let mut now = 1;
    let mut last_copy = 0;
    let cancel = loop {
        let (sent_at, sent) = sends_next(&mut session, now);
        now = sent_at + 1;
        match &sent.command {
            Command::Acquire(_) => {
                assert_eq!(request(&sent), request(&first));
                last_copy = sent_at;
            }
            _ => break sent,
        }
    };
    assert!(last_copy <= 60_000, "{last_copy}");
    assert!(last_copy > 45_000, "it did not give up early: {last_copy}");
    assert_eq!((cancel.command.name(), request(&cancel)), ("cancel", request(&first)));
    assert_eq!(events(&mut session), [Event::Refused { claim, refusal: AcquireError::Unanswered }]);
}

#[test]
fn a_grant_that_comes_after_the_cancel_is_not_believed_and_given_back() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted());
    let acquire = sends_one(&mut session, 0);
    session.cancel(at(100), claim);
    assert_eq!(names(&sends(&mut session, 100)), ["cancel"]);
    answer(&mut session, 110, acquire.call, granted(5, 30_000));
    assert!(!session.believes(at(110), claim));
    assert_eq!(session.beliefs(at(110)).count(), 0);
    assert_eq!(names(&sends(&mut session, 110)), ["release"]);
}

#[test]
fn a_waiting_session_asks_again_every_third_of_its_wait() {
    let mut session = session();
    session.acquire(at(0), awaited().wait(Wait::from_ms(6_000).unwrap()));
    let mut asked_at = Vec::new();
    let mut now = 0;
    while now < 10_000 {
        let (sent_at, sent) = sends_next(&mut session, now);
        asked_at.push(sent_at);
        now = sent_at + 1;
        answer(&mut session, now, sent.call, queued(0));
    }
    assert_eq!(asked_at, [0, 2_000, 4_000, 6_000, 8_000, 10_000]);
}

#[test]
fn a_waiting_session_asks_on_through_silence_for_as_long_as_its_caller_waits() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited());
    let first = sends_one(&mut session, 0);
    let mut now = 1;
    let mut before = 0;
    loop {
        let (sent_at, sent) = sends_next(&mut session, now);
        now = sent_at + 1;
        if sent.command.name() == "cancel" {
            assert_eq!(sent_at, 600_000, "the patience is over");
            break;
        }
        assert_eq!(request(&sent), request(&first), "the place is not given up");
        assert!(sent_at - before <= 10_000, "{before} to {sent_at}");
        before = sent_at;
    }
    assert_eq!(
        events(&mut session),
        [Event::Refused { claim, refusal: AcquireError::PatienceOver }]
    );
}

#[test]
fn a_ticket_that_timed_out_is_asked_for_anew_while_the_caller_waits() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited());
    let first = sends_one(&mut session, 0);
    answer(&mut session, 10, first.call, over(OverReason::TimedOut));
    let second = sends_one(&mut session, 10);
    assert_ne!(request(&second), request(&first));
    answer(&mut session, 20, second.call, granted(5, 30_000));
    assert_eq!(events(&mut session), [Event::Acquired { claim, token: token(5) }]);
    assert_eq!(session.deadline(claim), Some(at(10 + 29_689).monotonic));
}

#[test]
fn a_request_left_behind_with_copies_under_way_is_cancelled() {
    let mut session = session();
    session.acquire(at(0), awaited());
    let first = sends_one(&mut session, 0);
    let (second_at, second) = sends_next(&mut session, 1);
    answer(&mut session, second_at + 10, second.call, over(OverReason::TimedOut));
    let cancel = sends_one(&mut session, second_at + 10);
    assert_eq!((cancel.command.name(), request(&cancel)), ("cancel", request(&first)));
    answer(&mut session, second_at + 20, cancel.call, cancelled());
    let third = sends_one(&mut session, second_at + 20);
    assert_eq!(third.command.name(), "acquire", "the old request is in nobody's way");
    assert_ne!(request(&third), request(&first));
}

#[test]
fn what_is_being_given_back_is_asked_for_again_once_that_is_answered() {
    let (mut session, claim) = holding();
    session.release(at(100), claim);
    session.acquire(at(100), wanted());
    session.acquire(at(100), acquisition(&["x", "y"]));
    session.acquire(at(100), acquisition(&["y"]));
    let sent = sends(&mut session, 100);
    assert_eq!(names(&sent), ["release", "acquire"], "a copy may overtake another");
    let Command::Acquire(other) = &sent[1].command else { panic!("{sent:?}") };
    assert_eq!(*other.paths(), paths(&["y"]));
    assert!(session.poll_timeout() > Some(at(100).monotonic), "nothing is due meanwhile");
    answer(&mut session, 110, sent[0].call, reply(Ok(Outcome::Released)));
    assert_eq!(names(&sends(&mut session, 110)), ["acquire", "acquire"]);
}

#[test]
fn a_farewell_that_stays_unanswered_holds_nothing_up_for_ever() {
    let (mut session, claim) = holding();
    session.release(at(100), claim);
    session.acquire(at(100), wanted());
    let mut now = 100;
    let asked_at = loop {
        let (sent_at, sent) = sends_next(&mut session, now);
        now = sent_at + 1;
        if sent.command.name() == "acquire" {
            break sent_at;
        }
    };
    assert!((60_100..60_200).contains(&asked_at), "{asked_at}");
}

#[test]
fn a_farewell_to_what_the_object_does_not_know_holds_nothing_up() {
    let mut session = session();
    let first = session.acquire(at(0), wanted());
    sends_one(&mut session, 0);
    session.cancel(at(100), first);
    session.acquire(at(100), wanted());
    let cancel = sends_one(&mut session, 100);
    answer(
        &mut session,
        110,
        cancel.call,
        reply(Err(Rejection::Limit(LimitKind::AgentRemembered))),
    );
    assert_eq!(names(&sends(&mut session, 110)), ["acquire"]);
}

#[test]
fn who_has_a_place_in_the_queue_keeps_it_whatever_is_being_given_back() {
    let mut session = session();
    session.acquire(at(0), awaited());
    let other = session.acquire(at(0), wanted());
    let sent = sends(&mut session, 0);
    answer(&mut session, 10, sent[0].call, queued(0));
    session.cancel(at(20), other);
    assert_eq!(names(&sends(&mut session, 20)), ["cancel"]);
    let sent = sends(&mut session, 10_000);
    assert!(names(&sent).contains(&"acquire"), "{sent:?}");
}

#[test]
fn who_was_asked_for_before_a_farewell_is_asked_for_again_whatever_is_being_given_back() {
    let mut session = session();
    let first = session.acquire(at(0), awaited());
    session.acquire(at(0), wanted());
    let sent = sends(&mut session, 0);
    answer(&mut session, 10, sent[1].call, queued(0));
    session.cancel(at(20), first);
    assert_eq!(names(&sends(&mut session, 20)), ["cancel"]);
    let sent = sends(&mut session, 10_000);
    assert!(names(&sent).contains(&"acquire"), "{sent:?}");
}

#[test]
fn patience_ends_behind_a_farewell_too() {
    let (mut session, claim) = holding();
    session.release(at(100), claim);
    let second = session.acquire(at(100), wanted().patience(Duration::from_secs(7)));
    sends(&mut session, 100);
    session.handle_timeout(at(7_100));
    assert_eq!(
        events(&mut session),
        [Event::Refused { claim: second, refusal: AcquireError::PatienceOver }]
    );
    assert!(!names(&sends(&mut session, 7_100)).contains(&"cancel"), "it was never asked for");
}

#[test]
fn no_attempt_may_leave_later_than_copies_are_sent() {
    let mut cut_short = 0;
    for seed in 0..50 {
        let mut session = LeaseSession::new(holder("a"), Config::default(), seed);
        session.acquire(at(0), wanted());
        let mut now = 0;
        loop {
            let (sent_at, sent) = sends_next(&mut session, now);
            now = sent_at + 1;
            if sent.command.name() == "cancel" {
                break;
            }
            let given_up_at = at(sent_at).monotonic + sent.timeout;
            assert_eq!(sent.leave_by, given_up_at.min(Duration::from_secs(60)), "seed {seed}");
            cut_short += u32::from(sent.leave_by < given_up_at);
        }
    }
    assert!(cut_short > 10, "{cut_short}");
}

#[test]
fn a_refusal_is_final_and_cancels_what_else_is_under_way() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted());
    let first = sends_one(&mut session, 0);
    let mut alone = super::stage::session();
    alone.acquire(at(0), wanted());
    let only = sends_one(&mut alone, 0);
    answer(&mut alone, 10, only.call, held());
    assert!(alone.is_idle(), "the only copy was answered");

    let (second_at, second) = sends_next(&mut session, 1);
    answer(&mut session, second_at + 10, second.call, held());
    let refused = events(&mut session);
    let refusal = |event: &Event| match event {
        Event::Refused { claim: whose, refusal: AcquireError::Held(_) } => *whose == claim,
        _ => false,
    };
    assert!(matches!(&refused[..], [event] if refusal(event)), "{refused:?}");
    let cancel = sends_one(&mut session, second_at + 10);
    assert_eq!((cancel.command.name(), request(&cancel)), ("cancel", request(&first)));
    answer(&mut session, second_at + 20, first.call, granted(5, 30_000));
    assert_eq!(session.beliefs(at(second_at + 20)).count(), 0);
}

#[test]
fn an_overloaded_service_is_asked_again_not_before_it_said() {
    let mut session = session();
    session.acquire(at(0), wanted());
    let first = sends_one(&mut session, 0);
    session.handle_problem(at(10), first.call, Problem::new(Code::Overloaded, "busy"));
    let (again_at, again) = sends_next(&mut session, 10);
    assert!(again_at >= 1_010, "{again_at}");
    assert_eq!(request(&again), request(&first));
}

#[test]
fn what_is_forbidden_is_refused_at_once() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited());
    let first = sends_one(&mut session, 0);
    let problem = Problem::new(Code::Forbidden, "not yours");
    session.handle_problem(at(10), first.call, problem.clone());
    let refusal = AcquireError::Refused(problem);
    assert_eq!(events(&mut session), [Event::Refused { claim, refusal }]);
    assert!(session.is_idle());
}

#[test]
fn a_term_too_short_to_be_believed_is_refused_before_anything_is_sent() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted().ttl(ttl(250)));
    assert_eq!(
        events(&mut session),
        [Event::Refused { claim, refusal: AcquireError::TtlTooShort }]
    );
    assert!(sends(&mut session, 0).is_empty() && session.is_idle());
}

#[test]
fn a_term_shorter_than_a_round_trip_is_given_up_and_cancelled() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited().ttl(ttl(256)));
    let acquire = sends_one(&mut session, 0);
    answer(&mut session, 50, acquire.call, granted(5, 256));
    let mut now = 50;
    for renewals in 0.. {
        assert!(renewals < 20, "it renews for ever what it cannot believe in");
        let sent = sends_one(&mut session, now);
        if matches!(sent.command, Command::Cancel { .. }) {
            break;
        }
        now += 50;
        answer(&mut session, now, sent.call, renewed());
    }
    let refused = Event::Refused { claim, refusal: AcquireError::TtlTooShort };
    assert!(events(&mut session).contains(&refused));
}

#[test]
fn a_question_is_asked_until_it_is_answered_and_a_recovery_once() {
    let mut session = session();
    let path = LeasePath::new("x").unwrap();
    let status = session.ask(at(0), Command::Status { path });
    let first = sends_one(&mut session, 0);
    session.handle_failure(at(10), first.call);
    let (again_at, again) = sends_next(&mut session, 10);
    answer(&mut session, again_at + 1, again.call, lost());
    let answered = Event::Answered { query: status, answer: Ok(lost()) };
    assert_eq!(events(&mut session), [answered]);

    let recover = session.ask(at(20_000), Command::Recover { at_least: token(1) });
    let only = sends_one(&mut session, 20_000);
    session.handle_failure(at(20_010), only.call);
    let answer = Err(CallFailure::Unanswered);
    assert_eq!(events(&mut session), [Event::Answered { query: recover, answer }]);
    assert!(session.is_idle());
}

#[test]
fn the_patient_ask_again_where_a_refusal_may_pass() {
    let own = Blocker {
        by: HeldBy::Own,
        holder: holder("a"),
        paths: paths(&["x"]),
        until: Timestamp::ZERO,
        queue: 0,
        arrival: None,
    };
    let passing = [
        Rejection::Held(own),
        Rejection::Deadlock { cycle: Vec::new(), length: 2 },
        Rejection::Limit(LimitKind::AgentClaims),
    ];
    for rejection in passing {
        let mut session = session();
        let claim = session.acquire(at(0), awaited());
        let first = sends_one(&mut session, 0);
        answer(&mut session, 10, first.call, reply(Err(rejection.clone())));
        assert_eq!(events(&mut session), []);
        let (again_at, again) = sends_next(&mut session, 10);
        assert_eq!(request(&again), request(&first));
        answer(&mut session, again_at + 1, again.call, reply(Err(rejection.clone())));
        session.handle_timeout(at(600_000));
        let told = match rejection {
            Rejection::Held(own) => AcquireError::Held(own),
            Rejection::Deadlock { cycle, length } => AcquireError::Deadlock { cycle, length },
            Rejection::Limit(kind) => AcquireError::Limit(kind),
            other => panic!("{other:?}"),
        };
        assert_eq!(events(&mut session), [Event::Refused { claim, refusal: told }]);
    }
}

#[test]
fn a_patient_claim_waits_for_its_own_process_without_asking() {
    let (mut session, first) = holding();
    let second = session.acquire(at(100), awaited());
    let other = session.acquire(at(100), acquisition(&["y"]).patience(Duration::from_secs(600)));
    let sent = sends_one(&mut session, 100);
    assert!(matches!(&sent.command, Command::Acquire(asked) if asked.paths() == &paths(&["y"])));
    answer(&mut session, 110, sent.call, granted(6, 30_000));
    assert_eq!(events(&mut session), [Event::Acquired { claim: other, token: token(6) }]);
    session.release(at(200), first);
    let release = sends_one(&mut session, 200);
    answer(&mut session, 210, release.call, reply(Ok(Outcome::Released)));
    let asked = sends_one(&mut session, 210);
    answer(&mut session, 220, asked.call, granted(7, 30_000));
    assert!(events(&mut session).contains(&Event::Acquired { claim: second, token: token(7) }));
}

#[test]
fn a_patient_claim_waits_for_each_of_its_own_process() {
    let (mut session, first) = holding();
    let second = session.acquire(at(100), acquisition(&["y"]));
    let asked = sends_one(&mut session, 100);
    answer(&mut session, 110, asked.call, granted(6, 30_000));
    session.acquire(at(200), acquisition(&["x", "y"]).patience(Duration::from_secs(600)));
    for (now, claim, then) in [(200, first, vec![]), (300, second, vec!["acquire"])] {
        session.release(at(now), claim);
        let release = sends_one(&mut session, now);
        answer(&mut session, now + 10, release.call, reply(Ok(Outcome::Released)));
        assert_eq!(names(&sends(&mut session, now + 10)), then);
    }
}

#[test]
fn who_was_granted_after_a_refusal_does_not_hear_of_it_when_patience_ends() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited().patience(Duration::from_secs(40)));
    let first = sends_one(&mut session, 0);
    let deadlock = Rejection::Deadlock { cycle: Vec::new(), length: 2 };
    answer(&mut session, 10, first.call, reply(Err(deadlock)));
    let (_, again) = sends_next(&mut session, 10);
    answer(&mut session, 35_000, again.call, granted(5, 30_000));
    assert_eq!(names(&sends(&mut session, 35_000)), ["renew"], "it is too late to be believed");
    session.handle_timeout(at(40_000));
    let refusal = AcquireError::PatienceOver;
    assert_eq!(events(&mut session), [Event::Refused { claim, refusal }]);
}
