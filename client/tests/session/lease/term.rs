//! Leases that nobody here renews: for one term, or left to lapse.

use mailbus_client::session::lease::{AcquireError, Event, LeaseSession, Released};
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, Outcome, OverReason};
use mailbus_spec::{LeasePath, RequestId, Timestamp, Wait};

use super::stage::*;

fn path() -> LeasePath {
    LeasePath::new("x").unwrap()
}

/// A session that was granted `x` under token 5 for one term of 30 s, asked for at 0 and answered at 10;
/// the claim, and the request.
fn held_for_a_term() -> (LeaseSession, mailbus_client::session::lease::ClaimId, String) {
    let mut session = session();
    let claim = session.acquire_for_a_term(at(0), paths(&["x"]), ttl(30_000));
    let acquire = sends_one(&mut session, 0);
    answer(&mut session, 10, acquire.call, granted(5, 30_000));
    assert_eq!(events(&mut session), [Event::Acquired { claim, token: token(5) }]);
    (session, claim, request(&acquire))
}

/// Lets time pass; what is sent.
fn sent_until(session: &mut LeaseSession, from_ms: u64, to_ms: u64) -> Vec<&'static str> {
    let mut sent = Vec::new();
    for ms in (from_ms..to_ms).step_by(100) {
        sent.extend(names(&sends(session, ms)));
    }
    sent
}

#[test]
fn what_is_acquired_for_a_term_is_not_renewed_and_is_over_with_it() {
    let (mut session, _, _) = held_for_a_term();
    assert!(session.is_idle(), "a loop may end without it");
    assert_eq!(session.beliefs(at(10)).count(), 0);
    assert_eq!(sent_until(&mut session, 11, 200_000), Vec::<&str>::new());
    assert_eq!(session.for_a_term_on(&path()), None);
    assert_eq!(session.extend(at(200_000), &path(), ttl(30_000)), None);
}

#[test]
fn a_grant_that_comes_after_its_term_is_none_and_cancelled() {
    let mut session = session();
    let claim = session.acquire_for_a_term(at(0), paths(&["x"]), ttl(2_000));
    let acquire = sends_one(&mut session, 0);
    answer(&mut session, 1_900, acquire.call, granted(5, 2_000));
    let refusal = AcquireError::Over(OverReason::Lapsed);
    assert_eq!(events(&mut session), [Event::Refused { claim, refusal }]);
    session.handle_timeout(at(1_900));
    assert_eq!(session.for_a_term_on(&path()), None);
}

#[test]
fn what_is_held_is_extended_under_its_token() {
    let (mut session, _, _) = held_for_a_term();
    let (_, query) = session.extend(at(20_000), &path(), ttl(60_000)).unwrap();
    let renew = sends_one(&mut session, 20_000);
    let asked =
        Command::Renew { holder: holder("a"), token: token(5), ttl: ttl(60_000), drain: true };
    assert_eq!(renew.command, asked);
    session.handle_failure(at(20_010), renew.call);
    let (again_at, again) = sends_next(&mut session, 20_010);
    answer(&mut session, again_at + 1, again.call, renewed());
    assert_eq!(events(&mut session), [Event::Answered { query, answer: Ok(renewed()) }]);
    session.handle_timeout(at(130_000));
    assert!(session.for_a_term_on(&path()).is_some(), "the new term is known of");

    let (mut believed, claim) = holding();
    let (extended, _) = believed.extend(at(5_000), &path(), ttl(60_000)).unwrap();
    assert_eq!((extended, names(&sends(&mut believed, 5_000))), (claim, vec!["renew"]));
}

#[test]
fn a_late_answer_about_what_is_held_for_a_term_takes_nothing_back() {
    let mut session = session();
    let claim = session.acquire_for_a_term(at(0), paths(&["x"]), ttl(30_000));
    let first = sends_one(&mut session, 0);
    let (again_at, again) = sends_next(&mut session, 1);
    answer(&mut session, again_at + 10, again.call, granted(5, 30_000));
    assert_eq!(events(&mut session), [Event::Acquired { claim, token: token(5) }]);
    answer(&mut session, again_at + 20, first.call, granted(5, 30_000));
    let request = RequestId::new(request(&first)).unwrap();
    let (token, expires_at, ttl) = (token(5), Timestamp::ZERO, ttl(30_000));
    let notice = Notice::Granted { request, token, expires_at, ttl };
    session.handle_notice(at(again_at + 30), notice);
    assert!(sends(&mut session, again_at + 30).is_empty(), "its holder has it");
}

#[test]
fn what_is_given_back_is_known_until_that_is_answered() {
    let (mut session, claim, _) = held_for_a_term();
    session.release(at(100), claim);
    let mut now = 100;
    while !session.is_idle() {
        let sent = sends(&mut session, now);
        assert!(sent.iter().all(|transmit| transmit.command.name() == "release"), "{sent:?}");
        now =
            u64::try_from(session.poll_timeout().unwrap().as_nanos().div_ceil(1_000_000)).unwrap();
    }
    assert_eq!(events(&mut session), [Event::Released { claim, ending: Released::Unanswered }]);
    assert_eq!(session.for_a_term_on(&path()), Some(claim));
    assert_eq!(session.extend(at(now), &path(), ttl(30_000)), None, "a late copy may end it");

    session.release(at(now), claim);
    let release = sends_one(&mut session, now);
    answer(&mut session, now + 1, release.call, reply(Ok(Outcome::Released)));
    assert_eq!(events(&mut session), [Event::Released { claim, ending: Released::Ended }]);
    assert_eq!(session.for_a_term_on(&path()), None);
}

#[test]
fn what_was_given_back_without_an_answer_is_given_back_again_before_it_is_asked_for() {
    let (mut session, claim, _) = held_for_a_term();
    session.release(at(100), claim);
    sent_until(&mut session, 100, 61_000);
    assert!(session.is_idle());
    session.acquire(at(61_000), wanted());
    let release = sends_one(&mut session, 61_000);
    assert_eq!(release.command.name(), "release");
    answer(&mut session, 61_010, release.call, lost());
    assert_eq!(names(&sends(&mut session, 61_010)), ["acquire"]);
}

#[test]
fn what_lapses_is_neither_believed_nor_renewed_nor_given_back() {
    let (mut session, claim) = holding();
    session.lapse(at(5_000), claim);
    assert_eq!(session.beliefs(at(5_000)).count(), 0);
    assert!(!session.believes(at(5_000), claim));
    assert!(session.is_idle(), "a loop may end without it");
    assert_eq!(sent_until(&mut session, 5_000, 200_000), Vec::<&str>::new());
    assert_eq!(events(&mut session), []);
}

#[test]
fn a_late_answer_about_what_lapses_does_not_give_it_back() {
    let (mut session, claim) = holding();
    let renew = sends_one(&mut session, 10_000);
    session.lapse(at(10_001), claim);
    answer(&mut session, 10_010, renew.call, renewed());
    answer(&mut session, 10_020, mailbus_client::session::CallNumber(2), granted(5, 30_000));
    assert!(sends(&mut session, 10_020).is_empty());
}

#[test]
fn what_asks_for_paths_that_lapse_waits_for_their_end_but_not_for_ever() {
    let (mut session, claim) = holding();
    session.lapse(at(5_000), claim);
    assert_eq!(session.extend(at(5_000), &path(), ttl(30_000)), None, "its work may go on");
    session.acquire(at(6_000), wanted());
    let (asked_at, asked) = sends_next(&mut session, 6_000);
    assert_eq!((asked_at, asked.command.name()), (36_300, "acquire"));

    let (mut session, claim) = holding();
    session.lapse(at(5_000), claim);
    session.acquire(at(6_000), acquisition(&["y"]));
    assert_eq!(names(&sends(&mut session, 6_000)), ["acquire"], "it is in nobody else's way");
}

#[test]
fn what_lapses_lasts_for_its_first_term_out_of_the_queue_if_that_is_longer() {
    // A term of 2 s, and of 1 % and a second more by the client's clocks.
    for (wait_ms, lasts_ms) in [(1_000, 3_020), (6_000, 7_060), (600_000, 31_300)] {
        let mut session = session();
        let wait = Wait::from_ms(wait_ms).unwrap();
        let claim = session.acquire(at(0), awaited().ttl(ttl(2_000)).wait(wait));
        let acquire = sends_one(&mut session, 0);
        answer(&mut session, 10, acquire.call, granted(5, 2_000));
        session.lapse(at(100), claim);
        session.acquire(at(200), wanted());
        let (asked_at, asked) = sends_next(&mut session, 200);
        assert_eq!((asked_at, asked.command.name()), (100 + lasts_ms, "acquire"));
    }
}
