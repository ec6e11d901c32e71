//! From the push to the handler.

use std::time::Duration;

use mailbus_client::session::mailbox::{Config, Event, Handled, InHand};
use mailbus_spec::mailbox::{Ask, Notice, Outcome};

use super::stage::*;

#[test]
fn deliveries_are_handled_one_after_the_other_in_order() {
    let (mut session, socket) = live();
    for number in 1..=3 {
        push(&mut session, 0, socket, number, 1);
    }
    for number in 1..=3 {
        let given = delivery(&mut session);
        assert_eq!(given.seq(), seq(number));
        session.finish(at(number), given, Handled::Done);
    }
}

#[test]
fn as_many_handlers_run_at_a_time_as_were_asked_for() {
    let (mut session, socket) = live_with(Config { concurrency: 2, ..Config::default() });
    for number in 1..=4 {
        push(&mut session, 0, socket, number, 1);
    }
    let given = deliveries(&mut session);
    assert_eq!(given.len(), 2);
    session.finish(at(1), given[1], Handled::Done);
    assert_eq!(delivery(&mut session).seq(), seq(3));
}

#[test]
fn what_was_delivered_before_is_announced_and_handled_alone() {
    let (mut session, socket) = live_with(Config { concurrency: 4, ..Config::default() });
    push(&mut session, 0, socket, 1, 1);
    push(&mut session, 0, socket, 2, 2);
    push(&mut session, 0, socket, 3, 1);
    let first = delivery(&mut session);
    assert!(sends(&mut session, 1).is_empty(), "something else is being handled");
    session.finish(at(2), first, Handled::Done);
    let announced = sends_one(&mut session, 2);
    assert!(matches!(announced.command, Ask::Working { seq: named, .. } if named == seq(2)));
    assert_eq!(over(&announced), Some(socket));
    assert!(deliveries(&mut session).is_empty(), "the object does not know yet");
    session.handle_reply(at(3), announced.call, reply(Ok(Outcome::Noted { known: true })));
    let second = delivery(&mut session);
    assert_eq!(second.seq(), seq(2));
    session.finish(at(4), second, Handled::Done);
    assert_eq!(delivery(&mut session).seq(), seq(3));
}

#[test]
fn what_this_run_was_pushed_before_a_cut_is_handled_side_by_side() {
    let (mut session, socket) = live_with(Config { concurrency: 2, ..Config::default() });
    for number in 1..=4 {
        push(&mut session, 0, socket, number, 1);
    }
    let begun = deliveries(&mut session);
    session.handle_closed(at(1), socket, None);
    for delivery in begun {
        session.finish(at(2), delivery, Handled::Done);
    }
    events(&mut session);
    let socket = connect(&mut session, 10_000, 11);
    events(&mut session);
    push(&mut session, 10_000, socket, 3, 2);
    push(&mut session, 10_000, socket, 4, 2);
    let begun: Vec<u64> = deliveries(&mut session).iter().map(|begun| begun.seq().get()).collect();
    assert_eq!(begun, [3, 4], "nobody has to be told first");
}

#[test]
fn what_another_run_may_have_died_of_stays_suspect_though_the_record_is_lost() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 2);
    assert_eq!(names(&sends(&mut session, 0)), ["working"]);
    session.handle_closed(at(1), socket, None);
    events(&mut session);
    let socket = connect(&mut session, 10_000, 11);
    events(&mut session);
    push(&mut session, 10_000, socket, 1, 2);
    assert!(deliveries(&mut session).is_empty());
    assert_eq!(names(&sends(&mut session, 10_000)), ["working"]);
}

#[test]
fn what_the_object_does_not_know_to_be_in_flight_is_not_handled() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 2);
    push(&mut session, 0, socket, 2, 1);
    let announced = sends_one(&mut session, 0);
    session.handle_reply(at(1), announced.call, reply(Ok(Outcome::Noted { known: false })));
    assert_eq!(delivery(&mut session).seq(), seq(2));
}

#[test]
fn an_announcement_that_stays_unanswered_holds_nothing_up_for_long() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 2);
    assert_eq!(names(&sends(&mut session, 0)), ["working"]);
    session.handle_timeout(at(4_999));
    assert!(deliveries(&mut session).is_empty());
    session.handle_timeout(at(5_000));
    assert_eq!(delivery(&mut session).seq(), seq(1));
}

#[test]
fn a_delivery_without_a_handler_waits_five_seconds_for_one_and_is_given_back() {
    let (mut session, socket) = live();
    push_of(&mut session, 0, socket, 1, 1, "news");
    push(&mut session, 0, socket, 2, 1);
    assert_eq!(delivery(&mut session).seq(), seq(2), "it is in nobody's way");
    session.handle_timeout(at(4_999));
    assert!(sends(&mut session, 4_999).is_empty());
    let nack = sends_one(&mut session, 5_000);
    assert!(matches!(nack.command, Ask::Nack { seq: named, .. } if named == seq(1)));
}

#[test]
fn a_handler_that_comes_in_time_gets_what_was_held_in_order() {
    let (mut session, socket) = live_with(Config { concurrency: 9, ..Config::default() });
    push_of(&mut session, 0, socket, 1, 1, "news");
    push_of(&mut session, 0, socket, 2, 1, "news");
    session.serve(at(4_000), pattern("news"));
    let given: Vec<u64> = deliveries(&mut session).iter().map(|given| given.seq().get()).collect();
    assert_eq!(given, [1, 2]);
}

#[test]
fn a_handler_that_goes_leaves_the_next_to_be_held() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    push(&mut session, 0, socket, 2, 1);
    session.stop_serving(at(0), &pattern("task"));
    let first = delivery(&mut session);
    session.finish(at(1), first, Handled::Done);
    assert!(deliveries(&mut session).is_empty());
    let sent = sends(&mut session, 5_000);
    assert_eq!(names(&sent), ["nack", "ack"]);
}

#[test]
fn a_handler_that_takes_too_long_is_given_up_and_its_delivery_comes_again() {
    let config = Config { handler_timeout: Some(Duration::from_secs(60)), ..Config::default() };
    let (mut session, socket) = live_with(config);
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.handle_timeout(at(60_000));
    assert_eq!(events(&mut session), [Event::Abandoned { delivery: given }]);
    assert_eq!(names(&sends(&mut session, 60_000)), ["nack"]);
}

#[test]
fn a_handler_may_take_as_long_as_it_likes_and_is_named_while_it_does() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    let hour = 3_600_000;
    let mut told = Vec::new();
    while let Some(due) = session.poll_timeout().filter(|due| *due <= at(hour).monotonic) {
        let now = u64::try_from(due.as_millis()).unwrap();
        session.handle_heard(at(now), socket);
        assert!(sends(&mut session, now).is_empty(), "it is not given back");
        orders(&mut session, now);
        told.extend(events(&mut session).into_iter().map(|event| match event {
            Event::LongInHand(InHand { seq, lasted, .. }) => (seq.get(), lasted.as_secs()),
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(told, [(1, 300), (1, 600), (1, 1_200), (1, 2_400)]);
    let (count, oldest) = session.in_hand(at(hour));
    let oldest = oldest.unwrap();
    assert_eq!((count, oldest.seq, oldest.lasted.as_secs()), (1, seq(1), 3_600));
    assert_eq!((oldest.from, oldest.kind.as_str()), (agent("b"), "task"));
    session.finish(at(hour), given, Handled::Done);
    assert_eq!(acked(&sends_one(&mut session, hour + 5)), [1]);
    assert_eq!(session.in_hand(at(hour)), (0, None));
}

#[test]
fn a_handler_that_says_that_it_goes_on_has_its_time_anew() {
    let config = Config { handler_timeout: Some(Duration::from_secs(60)), ..Config::default() };
    let (mut session, socket) = live_with(config);
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.progress(at(50_000), given);
    session.handle_timeout(at(109_999));
    assert_eq!(events(&mut session), []);
    session.handle_timeout(at(110_000));
    assert_eq!(events(&mut session), [Event::Abandoned { delivery: given }]);
    session.progress(at(110_001), given);
    assert_eq!(names(&sends(&mut session, 110_001)), ["nack"], "it is too late");
}

#[test]
fn what_an_abandoned_handler_still_succeeds_with_is_settled() {
    let config = Config { handler_timeout: Some(Duration::from_secs(60)), ..Config::default() };
    let (mut session, socket) = live_with(config);
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.handle_timeout(at(60_000));
    sends(&mut session, 60_000);
    session.finish(at(61_000), given, Handled::Done);
    let sent = sends(&mut session, 61_100);
    assert_eq!(names(&sent), ["ack"]);
    assert_eq!(acked(&sent[0]), [1]);
}

#[test]
fn a_lost_socket_takes_along_what_no_handler_has_begun() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    push(&mut session, 0, socket, 2, 1);
    let first = delivery(&mut session);
    session.handle_closed(at(1), socket, None);
    session.finish(at(2), first, Handled::Done);
    assert!(deliveries(&mut session).is_empty());
    let again = connect(&mut session, 2_000, 11);
    push(&mut session, 2_001, again, 2, 1);
    assert_eq!(delivery(&mut session).seq(), seq(2));
}

#[test]
fn what_a_handler_has_begun_is_not_begun_again_after_a_reconnect() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.handle_closed(at(1), socket, None);
    let again = connect(&mut session, 2_000, 11);
    push(&mut session, 2_001, again, 1, 2);
    assert!(deliveries(&mut session).is_empty(), "its handler is still at it");
    session.finish(at(2_002), given, Handled::Failed);
    assert_eq!(names(&sends(&mut session, 2_002)), ["nack"], "the new session has it in flight");
}

#[test]
fn a_failure_after_the_session_ended_needs_no_word() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.handle_closed(at(1), socket, None);
    session.finish(at(2), given, Handled::Failed);
    connect(&mut session, 2_000, 11);
    assert!(sends(&mut session, 2_001).is_empty());
}

#[test]
fn pushes_over_a_socket_that_is_not_live_are_ignored() {
    let (mut session, socket) = live();
    session.handle_closed(at(1), socket, None);
    push(&mut session, 2, socket, 1, 1);
    assert!(deliveries(&mut session).is_empty());
}

#[test]
fn an_ephemeral_message_is_passed_on_and_needs_no_word() {
    let (mut session, socket) = live();
    let message = message("heartbeat");
    session.handle_notice(at(0), socket, Notice::Ephemeral { message: message.clone() });
    assert_eq!(events(&mut session), [Event::Ephemeral { message }]);
    assert!(session.is_idle());
}
