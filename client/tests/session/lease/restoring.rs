//! Restores of the object's storage, as a session learns of them.

use mailbus_client::session::lease::{ClaimId, Event, LeaseSession, LossCause, Released};
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseReply, Outcome};
use mailbus_spec::{LeasePath, RequestId, Timestamp};

use super::stage::*;

fn of(generation: u64, said: LeaseReply) -> LeaseReply {
    reply_of(generation, said.answer)
}

/// Has the session hear of a generation, by the answer to a question that it asks now.
fn hear_of(session: &mut LeaseSession, ms: u64, generation: u64) {
    session.ask(at(ms), Command::Status { path: LeasePath::new("z").unwrap() });
    let asked = sends(session, ms).pop().unwrap();
    assert_eq!(asked.command.name(), "status");
    answer(session, ms, asked.call, reply_of(generation, Ok(Outcome::Released)));
}

/// Events of the session besides the answers to questions.
fn told(session: &mut LeaseSession) -> Vec<Event> {
    let is_answer = |event: &Event| matches!(event, Event::Answered { .. });
    events(session).into_iter().filter(|event| !is_answer(event)).collect()
}

fn granted_by_push(request: &str) -> Notice {
    let request = RequestId::new(request).unwrap();
    let expires_at = Timestamp::ZERO;
    Notice::Granted { request, token: token(5), expires_at, ttl: ttl(30_000) }
}

/// A session that holds `x` under token 5 and `y` under token 6, and the request for `y`.
fn holding_two() -> (LeaseSession, [ClaimId; 2], String) {
    let (mut session, x) = holding();
    let y = session.acquire(at(20), acquisition(&["y"]));
    let acquire = sends_one(&mut session, 20);
    answer(&mut session, 30, acquire.call, granted(6, 30_000));
    events(&mut session);
    (session, [x, y], request(&acquire))
}

#[test]
fn what_was_not_confirmed_in_a_new_generation_is_lost_and_cancelled() {
    let (mut session, [x, y], request_of_y) = holding_two();
    let renew = sends_one(&mut session, 10_000);
    answer(&mut session, 10_010, renew.call, of(9, renewed()));
    let lost = Event::Lost { claim: y, cause: LossCause::Restored };
    let changed = Event::GenerationChanged { from: 1, to: 9 };
    assert_eq!(told(&mut session), [changed, Event::Renewed { claim: x, waiting: 0 }, lost]);
    assert!(session.believes(at(10_010), x) && !session.believes(at(10_010), y));
    let farewell = sends_one(&mut session, 10_010);
    assert_eq!(names(std::slice::from_ref(&farewell)), ["cancel"]);
    assert_eq!(request(&farewell), request_of_y);
}

#[test]
fn a_question_that_is_answered_in_a_new_generation_ends_all_belief() {
    let (mut session, claims, _) = holding_two();
    hear_of(&mut session, 1_000, 9);
    assert_eq!(session.beliefs(at(1_000)).count(), 0);
    let [x, y] = claims.map(|claim| Event::Lost { claim, cause: LossCause::Restored });
    assert_eq!(told(&mut session), [Event::GenerationChanged { from: 1, to: 9 }, x, y]);
}

#[test]
fn a_generation_with_a_smaller_number_is_another_one_if_it_answers_what_was_asked_since() {
    let (mut session, claim) = holding();
    let renew = sends_one(&mut session, 10_000);
    answer(&mut session, 10_010, renew.call, of(9, renewed()));
    told(&mut session);
    hear_of(&mut session, 10_020, 3);
    let lost = Event::Lost { claim, cause: LossCause::Restored };
    assert_eq!(told(&mut session), [Event::GenerationChanged { from: 9, to: 3 }, lost]);
}

#[test]
fn a_late_answer_of_an_earlier_generation_ends_no_farewell() {
    let (mut session, claim) = holding();
    session.release(at(100), claim);
    let first = sends_one(&mut session, 100);
    hear_of(&mut session, 200, 9);
    answer(&mut session, 300, first.call, reply(Ok(Outcome::Released)));
    assert_eq!(told(&mut session), [Event::GenerationChanged { from: 1, to: 9 }]);
    let (again_at, again) = sends_next(&mut session, 300);
    answer(&mut session, again_at, again.call, of(9, lost()));
    let ending = Released::AlreadyOver;
    assert_eq!(told(&mut session), [Event::Released { claim, ending }]);
}

#[test]
fn who_waits_asks_on_in_a_new_generation() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited());
    let first = sends_one(&mut session, 0);
    answer(&mut session, 10, first.call, queued(0));
    hear_of(&mut session, 20, 9);
    let (asked_at, again) = sends_next(&mut session, 21);
    assert_eq!(request(&again), request(&first));
    answer(&mut session, asked_at + 10, again.call, of(9, granted(7, 30_000)));
    let [queued, acquired] =
        [Event::Queued { claim, position: 0 }, Event::Acquired { claim, token: token(7) }];
    assert_eq!(told(&mut session), [queued, Event::GenerationChanged { from: 1, to: 9 }, acquired]);
    assert!(session.believes(at(asked_at + 10), claim));
}

#[test]
fn a_push_that_may_be_of_an_earlier_generation_is_believed_once_it_is_renewed() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited());
    let acquire = sends_one(&mut session, 0);
    answer(&mut session, 10, acquire.call, queued(0));
    hear_of(&mut session, 20, 9);
    told(&mut session);
    session.handle_notice(at(30), granted_by_push(&request(&acquire)));
    assert_eq!(told(&mut session), []);
    let renew = sends_one(&mut session, 30);
    answer(&mut session, 40, renew.call, of(9, renewed()));
    let acquired = Event::Acquired { claim, token: token(5) };
    assert_eq!(told(&mut session)[..1], [acquired]);
}

#[test]
fn the_first_generation_that_is_heard_of_ends_nothing() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited());
    let acquire = sends_one(&mut session, 0);
    session.handle_notice(at(10), granted_by_push(&request(&acquire)));
    assert_eq!(told(&mut session), [Event::Acquired { claim, token: token(5) }]);
    hear_of(&mut session, 20, 9);
    assert_eq!(told(&mut session), []);
    assert!(session.believes(at(20), claim));
}

#[test]
fn of_a_new_generation_no_more_is_believed_than_its_renewal_gives() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited().ttl(ttl(6_000)));
    let acquire = sends_one(&mut session, 0);
    // The first term out of the queue is longer than that of a renewal.
    answer(&mut session, 10, acquire.call, granted(5, 30_000));
    let (renewed_at, renew) = sends_next(&mut session, 10);
    answer(&mut session, renewed_at, renew.call, of(9, renewed()));
    let given = at(renewed_at + 5_737).monotonic;
    assert_eq!(session.deadline(claim), Some(given), "in this life it may have been shorter");
}

#[test]
fn a_lease_that_drains_in_a_new_generation_is_lost() {
    let (mut session, claim) = holding();
    let renew = sends_one(&mut session, 10_000);
    answer(&mut session, 10_010, renew.call, of(9, draining()));
    assert!(!session.believes(at(10_010), claim), "its end may be an earlier one");
    let told = told(&mut session);
    assert_eq!(told.last(), Some(&Event::Lost { claim, cause: LossCause::Restored }));
}
