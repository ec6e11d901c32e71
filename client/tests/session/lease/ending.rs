//! Giving back, being taken from, and what is reported of it.

use mailbus_client::session::lease::{AcquireError, Event, LeaseSession, LossCause, Released};
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, Outcome};
use mailbus_spec::wire::{Code, Problem};

use super::stage::*;

#[test]
fn belief_ends_before_a_release_is_sent_for_good() {
    let (mut session, claim) = holding();
    let renew = sends_one(&mut session, 10_000);
    session.release(at(10_010), claim);
    assert_eq!(session.beliefs(at(10_010)).count(), 0);
    let release = sends_one(&mut session, 10_020);
    assert_eq!(release.command.name(), "release");
    answer(&mut session, 10_030, renew.call, renewed());
    assert_eq!(session.beliefs(at(10_030)).count(), 0);
    answer(&mut session, 10_040, release.call, reply(Ok(Outcome::Released)));
    assert_eq!(events(&mut session), [Event::Released { claim, ending: Released::Ended }]);
    assert!(session.is_idle());
}

#[test]
fn a_release_is_repeated_for_a_minute_and_then_unknown() {
    let (mut session, claim) = holding();
    session.release(at(100), claim);
    let mut now = 100;
    while !session.is_idle() {
        let sent = sends(&mut session, now);
        assert!(sent.is_empty() || now <= 60_100, "{now}: {sent:?}");
        if let Some(due) = session.poll_timeout() {
            now = u64::try_from(due.as_nanos().div_ceil(1_000_000)).unwrap();
        }
    }
    assert_eq!(events(&mut session), [Event::Released { claim, ending: Released::Unanswered }]);
}

#[test]
fn a_farewell_goes_on_after_its_caller_was_told_once_a_minute_until_the_term_is_over() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted().ttl(ttl(600_000)));
    let asked = sends_one(&mut session, 0);
    answer(&mut session, 10, asked.call, granted(5, 600_000));
    events(&mut session);
    session.release(at(100), claim);
    let (mut now, mut late) = (100, Vec::new());
    while let Some(due) = session.poll_timeout() {
        let sent = sends(&mut session, now);
        assert!(sent.iter().all(|copy| copy.command.name() == "release"), "{sent:?}");
        late.extend(sent.iter().filter(|_| 60_100 < now).map(|_| now));
        now = u64::try_from(due.as_nanos().div_ceil(1_000_000)).unwrap();
    }
    assert_eq!(events(&mut session), [Event::Released { claim, ending: Released::Unanswered }]);
    assert!((9..=11).contains(&late.len()), "{late:?}");
    assert!(late.windows(2).all(|pair| 60_000 <= pair[1] - pair[0]), "{late:?}");
    assert!(*late.last().unwrap() <= 100 + 60_000 + 607_000, "{late:?}");
}

#[test]
fn what_is_asked_for_is_not_held_back_by_a_farewell_that_nobody_answers() {
    let (mut session, claim) = holding();
    session.release(at(100), claim);
    sends(&mut session, 100);
    session.acquire(at(200), wanted());
    let asked = (200..70_000).step_by(100).find(|now| {
        let sent = sends(&mut session, *now);
        sent.iter().any(|transmit| transmit.command.name() == "acquire")
    });
    assert!(asked.is_some_and(|asked| (60_000..=60_300).contains(&asked)), "{asked:?}");
}

#[test]
fn a_renewal_of_what_drains_gives_nothing_to_believe_in() {
    let (mut session, claim) = holding();
    let renew = sends_one(&mut session, 10_000);
    assert!(matches!(renew.command, Command::Renew { drain: true, .. }));
    let until = session.deadline(claim);
    answer(&mut session, 10_020, renew.call, draining());
    let reason = String::new();
    assert_eq!(events(&mut session), [Event::Draining { claim, reason }]);
    assert_eq!(session.deadline(claim), until, "its end has not moved");
    assert!(sends(&mut session, 20_000).is_empty(), "renewing would be in vain");
    let over = u64::try_from(until.unwrap().as_millis()).unwrap() + 1;
    session.handle_timeout(at(over));
    assert_eq!(events(&mut session), [Event::Lost { claim, cause: LossCause::RanOut }]);
}

#[test]
fn releasing_what_was_lost_says_so() {
    let (mut session, claim) = holding();
    session.release(at(100), claim);
    let release = sends_one(&mut session, 100);
    answer(&mut session, 110, release.call, lost());
    assert_eq!(events(&mut session), [Event::Released { claim, ending: Released::AlreadyOver }]);
    session.release(at(120), claim);
    assert_eq!(events(&mut session), [Event::Released { claim, ending: Released::AlreadyOver }]);
}

#[test]
fn releasing_what_was_never_sent_sends_nothing() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted());
    session.release(at(0), claim);
    assert_eq!(events(&mut session), [Event::Released { claim, ending: Released::Ended }]);
    assert!(sends(&mut session, 0).is_empty() && session.is_idle());
}

#[test]
fn a_drained_lease_is_believed_to_its_end_and_not_renewed() {
    let (mut session, claim) = holding();
    let reason = "make room".to_owned();
    let notice = Notice::Forced { token: token(5), reason: reason.clone(), drain: true };
    session.handle_notice(at(5_000), notice.clone());
    session.handle_notice(at(5_001), notice);
    assert_eq!(events(&mut session), [Event::Draining { claim, reason }]);
    assert!(sends(&mut session, 10_000).is_empty(), "a renewal would be refused and end it early");
    assert!(session.believes(at(29_688), claim));
    assert!(sends(&mut session, 29_688).is_empty());
    assert!(!session.believes(at(29_689), claim));
    assert_eq!(names(&sends(&mut session, 29_689)), ["release"]);
}

#[test]
fn the_words_of_a_drain_are_told_when_they_come_after_it() {
    let (mut session, claim) = holding();
    let renew = sends_one(&mut session, 10_000);
    answer(&mut session, 10_020, renew.call, draining());
    let told = |session: &mut LeaseSession, ms: u64, reason: &str| {
        let (token, reason) = (token(5), reason.to_owned());
        session.handle_notice(at(ms), Notice::Forced { token, reason, drain: true });
        events(session)
    };
    let drains = |reason: &str| [Event::Draining { claim, reason: reason.to_owned() }];
    assert_eq!(events(&mut session), drains(""));
    assert_eq!(told(&mut session, 10_030, "make room"), drains("make room"));
    assert_eq!(told(&mut session, 10_040, "make room"), []);
    answer(&mut session, 10_050, renew.call, draining());
    assert_eq!(events(&mut session), [], "a renewal brings no words");
    assert_eq!(told(&mut session, 10_060, "at once"), drains("at once"));
}

#[test]
fn a_lease_that_drains_before_it_was_believed_is_cancelled_however_that_is_heard() {
    let (mut session, claim, granted_at) = granted_late();
    let renew = sends_one(&mut session, granted_at);
    answer(&mut session, granted_at + 10, renew.call, draining());
    let refusal = AcquireError::Forced(String::new());
    assert_eq!(refusal.to_string(), "an admin took the lease");
    assert_eq!(events(&mut session), [Event::Refused { claim, refusal }]);
    assert_eq!(names(&sends(&mut session, granted_at + 10)), ["cancel"], "it is still there");
}

#[test]
fn a_lease_drained_before_it_was_believed_is_cancelled() {
    let (mut session, claim, granted_at) = granted_late();
    sends_one(&mut session, granted_at);
    let reason = "make room".to_owned();
    let notice = Notice::Forced { token: token(5), reason: reason.clone(), drain: true };
    session.handle_notice(at(granted_at + 10), notice);
    let refusal = AcquireError::Forced(reason);
    assert_eq!(events(&mut session), [Event::Refused { claim, refusal }]);
    assert_eq!(names(&sends(&mut session, granted_at + 10)), ["cancel"], "it is still there");
}

#[test]
fn a_lease_taken_before_it_was_believed_is_not_cancelled() {
    let (mut session, _, granted_at) = granted_late();
    sends_one(&mut session, granted_at);
    let notice = Notice::Forced { token: token(5), reason: "broken".to_owned(), drain: false };
    session.handle_notice(at(granted_at + 10), notice);
    assert!(session.is_idle(), "there is nothing left to give back");
}

#[test]
fn a_first_renewal_that_is_refused_cancels_what_may_be_draining() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted());
    let acquire = sends_one(&mut session, 0);
    session.handle_timeout(apart(100, -150));
    answer(&mut session, 110, acquire.call, granted(5, 30_000));
    assert!(!session.believes(at(110), claim), "the clocks went wrong");
    let renew = sends_one(&mut session, 110);
    answer(&mut session, 120, renew.call, lost());
    assert_eq!(names(&sends(&mut session, 120)), ["cancel"]);
}

#[test]
fn a_lease_that_an_admin_took_is_believed_no_more() {
    let (mut session, claim) = holding();
    let reason = "broken".to_owned();
    let notice = Notice::Forced { token: token(5), reason: reason.clone(), drain: false };
    session.handle_notice(at(5_000), notice);
    assert!(!session.believes(at(5_000), claim));
    assert_eq!(events(&mut session), [Event::Lost { claim, cause: LossCause::Forced { reason } }]);
    assert!(session.is_idle(), "there is nothing left to give back");
}

#[test]
fn a_lease_that_the_object_ended_is_believed_no_more() {
    let (mut session, claim) = holding();
    session.handle_notice(at(5_000), Notice::Lapsed { token: token(4) });
    assert!(session.believes(at(5_000), claim), "that was another's");
    session.handle_notice(at(5_001), Notice::Lapsed { token: token(5) });
    assert!(!session.believes(at(5_001), claim));
    assert_eq!(events(&mut session), [Event::Lost { claim, cause: LossCause::Lapsed }]);
}

#[test]
fn a_push_about_a_request_that_nobody_made_is_given_back() {
    let mut session = session();
    let request = mailbus_spec::RequestId::new("another").unwrap();
    let expires_at = mailbus_spec::Timestamp::ZERO;
    let notice = Notice::Granted { request, token: token(9), expires_at, ttl: ttl(30_000) };
    session.handle_notice(at(0), notice.clone());
    session.handle_notice(at(1), notice);
    assert_eq!(names(&sends(&mut session, 1)), ["release"], "once");
    assert_eq!(session.beliefs(at(1)).count(), 0);
}

#[test]
fn a_renewal_refused_on_the_way_ends_nothing() {
    let (mut session, claim) = holding();
    let renew = sends_one(&mut session, 10_000);
    session.handle_problem(at(10_010), renew.call, Problem::new(Code::Unauthorized, "expired"));
    assert!(session.believes(at(10_010), claim));
    assert!(events(&mut session).is_empty());
    let (_, again) = sends_next(&mut session, 10_010);
    assert_eq!(again.command.name(), "renew");
}

#[test]
fn patience_that_ends_before_the_first_renewal_cancels_the_grant() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited().patience(std::time::Duration::from_secs(40)));
    let first = sends_one(&mut session, 0);
    answer(&mut session, 35_000, first.call, granted(5, 30_000));
    assert_eq!(names(&sends(&mut session, 35_000)), ["renew"]);
    session.handle_timeout(at(40_000));
    assert_eq!(
        events(&mut session),
        [Event::Refused { claim, refusal: AcquireError::PatienceOver }]
    );
    assert!(names(&sends(&mut session, 40_000)).contains(&"cancel"));
}

#[test]
fn a_new_generation_is_reported_once() {
    let (mut session, _) = holding();
    let renew = sends_one(&mut session, 10_000);
    let mut newer = renewed();
    newer.commit.generation = 9;
    answer(&mut session, 10_010, renew.call, newer.clone());
    answer(&mut session, 10_011, renew.call, renewed());
    answer(&mut session, 10_012, renew.call, newer);
    let changed = events(&mut session)
        .into_iter()
        .filter(|event| matches!(event, Event::GenerationChanged { .. }))
        .collect::<Vec<_>>();
    assert_eq!(changed, [Event::GenerationChanged { from: 1, to: 9 }]);
}
