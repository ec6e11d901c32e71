//! Messages that are sent until they are answered.

use mailbus_client::session::mailbox::{
    Config, Draft, Event, MailboxSession, PublicationId, Published, Unsendable,
};
use mailbus_client::session::{CallFailure, CallNumber};
use mailbus_spec::mailbox::{Ask, InvalidType, LimitKind, Outcome, Rejection};
use mailbus_spec::wire::mailbox::payload_of;
use mailbus_spec::wire::{Code, Problem};

use super::stage::*;

#[track_caller]
fn outcome(session: &mut MailboxSession, publication: PublicationId) -> Published {
    let of = |event| match event {
        Event::Published { publication: which, outcome } if which == publication => Some(outcome),
        _ => None,
    };
    events(session).into_iter().find_map(of).expect("it has an outcome")
}

#[test]
fn a_message_gets_its_id_its_sender_and_its_time() {
    let mut session = session();
    session.publish(at(5), Draft::new("task").payload(&[1, 2]).unwrap()).unwrap();
    session.send_to(at(6), agent("b"), Draft::new("task")).unwrap();
    let sent = sends(&mut session, 6);
    assert_eq!(names(&sent), ["publish", "send"]);
    assert_ne!(id_of(&sent[0]), id_of(&sent[1]));
    let Ask::Publish { message } = &sent[0].command else { panic!("{sent:?}") };
    assert_eq!((message.from.clone(), message.kind.as_str()), (agent("a"), "task"));
    assert_eq!(payload_of(&message.body), Some("[1,2]"));
    assert!(message.body.contains(r#""timestamp":1000000005"#), "{}", message.body);
    assert!(message.ack_required && !message.ephemeral);
}

#[test]
fn a_message_is_repeated_under_its_id_for_a_minute_and_then_unknown() {
    for seed in 0..20 {
        let mut session = MailboxSession::new(
            agent("a"),
            mailbus_spec::SessionId::new("1").unwrap(),
            Config::default(),
            seed,
        );
        let publication = session.publish(at(0), Draft::new("x")).unwrap();
        let first = sends_one(&mut session, 0);
        let mut last = 0;
        let mut now = 1;
        while !session.is_idle() {
            let sent = sends(&mut session, now);
            for transmit in &sent {
                assert_eq!(id_of(transmit), id_of(&first), "seed {seed}");
                assert!(transmit.leave_by <= at(60_000).monotonic, "seed {seed}");
                last = now;
            }
            now += 50;
        }
        assert!(last > 45_000 && last <= 60_000, "seed {seed}: {last}");
        assert_eq!(outcome(&mut session, publication), Published::Unknown, "seed {seed}");
    }
}

#[test]
fn refusals_that_pass_do_not_make_copies_go_on_for_longer() {
    let mut session = session();
    let publication = session.publish(at(0), Draft::new("x")).unwrap();
    let mut now = 0;
    while !session.is_idle() {
        for transmit in sends(&mut session, now) {
            assert!(now <= 60_000, "a copy at {now}");
            session.handle_reply(at(now), transmit.call, reply(Err(Rejection::Overloaded)));
        }
        now += 100;
    }
    // Every copy was refused, so none was accepted.
    let refused = Published::Rejected(Rejection::Overloaded);
    assert_eq!(outcome(&mut session, publication), refused);
}

#[test]
fn one_copy_without_an_answer_makes_it_unknown() {
    let mut session = session();
    let publication = session.publish(at(0), Draft::new("x")).unwrap();
    let mut now = 0;
    let mut copies = 0;
    while !session.is_idle() {
        for transmit in sends(&mut session, now) {
            copies += 1;
            if copies != 2 {
                session.handle_reply(at(now), transmit.call, reply(Err(Rejection::Overloaded)));
            }
        }
        now += 100;
    }
    assert_eq!(outcome(&mut session, publication), Published::Unknown);
}

/// Sends a message to somebody known, and has a second copy refused for good while the first is unanswered.
fn refused_in_part() -> (MailboxSession, PublicationId, CallNumber, u64) {
    let mut session = session();
    let publication = session.send_to_known(at(0), agent("b"), Draft::new("x")).unwrap();
    let first = sends_one(&mut session, 0);
    let (ms, second) = sends_some(&mut session, 1);
    session.handle_reply(at(ms), second[0].call, reply(Err(unknown_agent())));
    assert!(events(&mut session).is_empty(), "the first may be accepted yet");
    (session, publication, first.call, ms)
}

fn unknown_agent() -> Rejection {
    Rejection::UnknownAgent { near: Vec::new() }
}

#[test]
fn a_refusal_beside_a_copy_without_an_answer_leaves_it_unknown() {
    for problem in [false, true] {
        let (mut session, publication, _, mut now) = refused_in_part();
        while !session.is_idle() {
            for transmit in sends(&mut session, now) {
                if problem {
                    let forbidden = Problem::new(Code::Forbidden, "not yours");
                    session.handle_problem(at(now), transmit.call, forbidden);
                } else {
                    session.handle_reply(at(now), transmit.call, reply(Err(unknown_agent())));
                }
            }
            now += 100;
        }
        assert_eq!(outcome(&mut session, publication), Published::Unknown, "{problem}");
    }
}

#[test]
fn a_refusal_stands_once_every_copy_was_refused() {
    let (mut session, publication, first, ms) = refused_in_part();
    session.handle_reply(at(ms + 1), first, reply(Err(unknown_agent())));
    assert_eq!(outcome(&mut session, publication), Published::Rejected(unknown_agent()));
    assert!(session.is_idle());
}

#[test]
fn a_copy_that_is_accepted_after_all_is_the_outcome() {
    let (mut session, publication, first, ms) = refused_in_part();
    session.handle_reply(at(ms + 1), first, accepted(3));
    let told = outcome(&mut session, publication);
    assert!(matches!(told, Published::Accepted { .. }), "{told:?}");
}

#[test]
fn a_sender_is_told_who_is_unknown_and_may_be_refused_for_it() {
    let mut session = session();
    let near = vec![agent("b-1")];
    let kept = session.send_to(at(0), agent("b1"), Draft::new("x")).unwrap();
    let call = sends_one(&mut session, 0).call;
    let stranger = Outcome::Accepted {
        seq: seq(3),
        recipients: 1,
        refused: Vec::new(),
        known: Some(false),
        near: near.clone(),
    };
    session.handle_reply(at(1), call, reply(Ok(stranger)));
    let Published::Accepted { known, near: told, .. } = outcome(&mut session, kept) else {
        panic!("it is accepted")
    };
    assert_eq!((known, &told), (Some(false), &near));

    let refused = session.send_to_known(at(2), agent("b1"), Draft::new("x")).unwrap();
    let sent = sends_one(&mut session, 2);
    assert!(matches!(sent.command, Ask::Send { must_know: true, .. }));
    let rejection = Rejection::UnknownAgent { near };
    session.handle_reply(at(3), sent.call, reply(Err(rejection.clone())));
    assert_eq!(outcome(&mut session, refused), Published::Rejected(rejection));
    assert!(session.is_idle(), "it is refused for good");
}

#[test]
fn an_answer_to_any_copy_is_the_outcome() {
    let mut session = session();
    let publication = session.publish(at(0), Draft::new("x")).unwrap();
    let first = sends_one(&mut session, 0);
    let (ms, second) = sends_some(&mut session, 1);
    session.handle_reply(at(ms + 1), first.call, accepted(3));
    let told = outcome(&mut session, publication);
    assert!(matches!(told, Published::Accepted { recipients: 2, .. }), "{told:?}");
    session.handle_reply(
        at(ms + 2),
        second[0].call,
        reply(Ok(Outcome::Duplicate { seq: seq(3), recipients: Some(2), refused: Vec::new() })),
    );
    assert!(events(&mut session).is_empty() && session.is_idle());
}

#[test]
fn a_message_over_a_replaced_socket_goes_again_under_its_id() {
    let (mut session, socket) = live();
    session.publish(at(0), Draft::new("x")).unwrap();
    let first = sends_one(&mut session, 0);
    assert_eq!(over(&first), Some(socket));
    session.handle_reply(at(1), first.call, reply(Err(Rejection::Replaced)));
    let (_, again) = sends_some(&mut session, 1);
    assert_eq!((id_of(&again[0]), over(&again[0])), (id_of(&first), None));
}

#[test]
fn a_lost_socket_has_its_messages_sent_again_at_once() {
    let (mut session, socket) = live();
    session.publish(at(0), Draft::new("x")).unwrap();
    let first = sends_one(&mut session, 0);
    session.handle_closed(at(1), socket, None);
    let (ms, again) = sends_some(&mut session, 1);
    assert!(ms <= 101, "{ms}: it does not wait for the timeout of the attempt");
    assert_eq!(id_of(&again[0]), id_of(&first));
}

#[test]
fn refusals_that_do_not_pass_are_outcomes() {
    for (answer, expected) in [
        (Rejection::Conflict, Published::Rejected(Rejection::Conflict)),
        (
            Rejection::Limit(LimitKind::UnknownNames),
            Published::Rejected(Rejection::Limit(LimitKind::UnknownNames)),
        ),
    ] {
        let mut session = session();
        let publication = session.publish(at(0), Draft::new("x")).unwrap();
        let sent = sends_one(&mut session, 0);
        session.handle_reply(at(1), sent.call, reply(Err(answer)));
        assert_eq!(outcome(&mut session, publication), expected);
    }
    let mut session = session();
    let publication = session.publish(at(0), Draft::new("x")).unwrap();
    let sent = sends_one(&mut session, 0);
    let problem = Problem::new(Code::Forbidden, "not yours");
    session.handle_problem(at(1), sent.call, problem.clone());
    assert_eq!(outcome(&mut session, publication), Published::Refused(problem));
}

#[test]
fn what_nobody_keeps_is_sent_once() {
    let mut session = session();
    for draft in [Draft::new("news").ephemeral(), Draft::new("heartbeat")] {
        let publication = session.publish(at(0), draft).unwrap();
        let sent = sends_one(&mut session, 0);
        session.handle_failure(at(1), sent.call);
        assert_eq!(outcome(&mut session, publication), Published::Unknown);
    }
}

#[test]
fn what_never_left_waits_and_its_horizon_begins_with_the_first_copy_that_may_have() {
    let mut session = session();
    let publication = session.publish(at(0), Draft::new("x")).unwrap();
    let (mut now, mut id) = (0, None);
    while now < 600_000 {
        let (sent_at, sent) = sends_next(&mut session, now);
        assert_eq!(*id.get_or_insert_with(|| id_of(&sent)), id_of(&sent));
        now = sent_at + 1;
        session.handle_unsent(at(now), sent.call);
    }
    assert!(events(&mut session).is_empty());
    let (left_at, _) = sends_next(&mut session, now);
    session.handle_timeout(at(left_at + 60_000));
    assert!(events(&mut session).is_empty());
    while !session.is_idle() {
        now = due(&session);
        // Copies that do not leave are no answer to the one that did.
        for copy in sends(&mut session, now) {
            session.handle_unsent(at(now), copy.call);
        }
    }
    assert!((left_at + 60_000..left_at + 66_000).contains(&now), "{left_at} {now}");
    assert_eq!(outcome(&mut session, publication), Published::Unknown);
}

#[test]
fn what_nobody_keeps_does_not_wait() {
    let mut session = session();
    let publication = session.publish(at(0), Draft::new("news").ephemeral()).unwrap();
    let sent = sends_one(&mut session, 0);
    session.handle_unsent(at(1), sent.call);
    assert_eq!(outcome(&mut session, publication), Published::Unsent);
    assert!(session.is_idle());
}

#[test]
fn what_is_no_message_is_not_sent() {
    let mut session = session();
    let reserved = session.publish(at(0), Draft::new("$gap"));
    assert_eq!(reserved, Err(Unsendable::Type(InvalidType::Reserved)));
    assert!(matches!(Draft::new("x").raw_payload("{"), Err(Unsendable::Payload(_))));
    let large = Draft::new("x").payload(&"x".repeat(1 << 20)).unwrap();
    assert!(matches!(session.publish(at(0), large), Err(Unsendable::TooLarge { .. })));
    let large = Draft::new("x").payload(&"x".repeat(4 << 10)).unwrap().ephemeral();
    assert!(matches!(session.publish(at(0), large), Err(Unsendable::TooLarge { .. })));
    assert!(session.is_idle());
}

#[test]
fn too_much_under_way_is_refused_at_once() {
    let mut session = session();
    for _ in 0..Config::UNDER_WAY {
        session.publish(at(0), Draft::new("x")).unwrap();
    }
    assert_eq!(session.publish(at(0), Draft::new("x")), Err(Unsendable::Busy));
}

#[test]
fn a_question_is_asked_until_it_is_answered_and_a_recovery_once() {
    let mut session = session();
    let query = session.ask(at(0), Ask::Agents { after: None, limit: 5 });
    let first = sends_one(&mut session, 0);
    session.handle_failure(at(1), first.call);
    let (ms, again) = sends_some(&mut session, 1);
    let answer = reply(Ok(Outcome::Agents { agents: Vec::new(), more: false }));
    session.handle_reply(at(ms), again[0].call, answer.clone());
    assert_eq!(events(&mut session), [Event::Answered { query, answer: Ok(answer) }]);

    let query = session.ask(at(9_000), Ask::Recover { at_least: seq(1) });
    let only = sends_one(&mut session, 9_000);
    session.handle_failure(at(9_001), only.call);
    let answer = Err(CallFailure::Unanswered);
    assert_eq!(events(&mut session), [Event::Answered { query, answer }]);
    assert!(session.is_idle());
}
