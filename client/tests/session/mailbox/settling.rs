//! From the handler to the ack or nack, and losses.

use mailbus_client::session::mailbox::{Event, Handled, MailboxSession};
use mailbus_client::session::{Session, SocketOrder};
use mailbus_spec::mailbox::{Ask, Fate, Gap, Notice, Outcome, Settled};
use mailbus_spec::wire::{Code, Problem};

use super::stage::*;

#[test]
fn acks_wait_a_moment_for_each_other_and_share_a_frame() {
    let (mut session, socket) = live();
    for number in 1..=3 {
        push(&mut session, 0, socket, number, 1);
        let given = delivery(&mut session);
        session.finish(at(1), given, Handled::Done);
    }
    assert!(sends(&mut session, 1).is_empty());
    let ack = sends_one(&mut session, 6);
    assert_eq!((acked(&ack), over(&ack)), (vec![1, 2, 3], Some(socket)));
    session.handle_reply(at(7), ack.call, settled(3));
    assert!(session.is_idle());
}

#[test]
fn many_acks_do_not_wait() {
    let (mut session, socket) = live();
    for number in 1..=128 {
        push(&mut session, 0, socket, number, 1);
        let given = delivery(&mut session);
        session.finish(at(1), given, Handled::Done);
    }
    assert_eq!(acked(&sends_one(&mut session, 1)).len(), 128);
}

#[test]
fn a_settled_message_that_comes_again_is_settled_again_and_not_handled() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.finish(at(1), given, Handled::Done);
    let lost = sends_one(&mut session, 6);
    session.handle_closed(at(7), socket, None);
    let again = connect(&mut session, 2_000, 11);
    push(&mut session, 2_001, again, 1, 2);
    assert!(deliveries(&mut session).is_empty());
    let (_, sent) = sends_some(&mut session, 2_001);
    assert_eq!(acked(&sent[0]), acked(&lost));
    session.handle_reply(at(9_000), sent[0].call, settled(1));
    push(&mut session, 9_001, again, 1, 3);
    assert!(deliveries(&mut session).is_empty(), "also after its ack was answered");
    assert_eq!(acked(&sends_one(&mut session, 9_001)), [1]);
}

#[test]
fn an_ack_is_sent_until_it_is_answered_and_by_the_other_way_after_silence() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.finish(at(0), given, Handled::Done);
    let first = sends_one(&mut session, 5);
    assert_eq!(over(&first), Some(socket));
    session.handle_heard(at(5), socket);
    let (ms, second) = sends_some(&mut session, 6);
    assert!(ms >= 5_005, "{ms}");
    assert_eq!((names(&second), over(&second[0])), (vec!["ack"], None));
    session.handle_failure(at(ms + 1), second[0].call);
    let (ms, third) = sends_some(&mut session, ms + 2);
    assert_eq!(over(&third[0]), Some(socket));
    session.handle_reply(at(ms + 1), third[0].call, settled(1));
    assert!(session.is_idle());
}

#[test]
fn what_failed_is_given_back_for_longer_each_time() {
    let mut before = 0;
    for attempt in [1, 2, 3, 4] {
        let (mut session, socket) = live();
        push(&mut session, 0, socket, 1, attempt);
        if attempt > 1 {
            let announced = sends_one(&mut session, 0);
            let noted = Outcome::Noted { known: true };
            session.handle_reply(at(0), announced.call, reply(Ok(noted)));
        }
        let given = delivery(&mut session);
        session.finish(at(1), given, Handled::Failed);
        let nack = sends_one(&mut session, 1);
        let Ask::Nack { delay, .. } = &nack.command else { panic!("{nack:?}") };
        assert!(delay.ms() > before, "attempt {attempt}: {}", delay.ms());
        before = delay.ms();
        let due = Fate::Due { at: mailbus_spec::Timestamp::ZERO };
        session.handle_reply(at(2), nack.call, reply(Ok(Outcome::Returned(due))));
        assert!(session.is_idle());
    }
}

#[test]
fn what_failed_is_handled_again_when_it_comes_again() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.finish(at(1), given, Handled::Failed);
    let nack = sends_one(&mut session, 1);
    push(&mut session, 900, socket, 1, 2);
    session.handle_reply(at(901), nack.call, reply(Ok(Outcome::Returned(Fate::Unknown))));
    assert_eq!(delivery(&mut session).seq(), seq(1), "the answer came after the next push");
}

#[test]
fn a_nack_is_not_repeated_over_another_session() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.finish(at(1), given, Handled::Failed);
    assert_eq!(names(&sends(&mut session, 1)), ["nack"]);
    session.handle_closed(at(2), socket, None);
    connect(&mut session, 2_000, 11);
    assert!(sends(&mut session, 2_000).is_empty());
    assert!(session.is_idle());
}

#[test]
fn losses_are_told_once_and_acknowledged_when_the_application_knows() {
    let (mut session, socket) = live();
    let gap = Gap { count: 2, first: seq(1), last: seq(2), through: 2 };
    session.handle_notice(at(0), socket, Notice::Gap(gap));
    session.handle_notice(at(1), socket, Notice::Gap(gap));
    assert_eq!(events(&mut session), [Event::Gap(gap)]);
    assert!(sends(&mut session, 2).is_empty(), "nobody has said that it is known");
    session.acknowledge_gap(at(3), gap.through);
    let ack = sends_one(&mut session, 3);
    assert!(matches!(ack.command, Ask::Ack { what: Settled::Gap(2), .. }));
    session.handle_reply(at(4), ack.call, settled(2));
    assert!(session.is_idle());
    let more = Gap { count: 1, first: seq(3), last: seq(3), through: 3 };
    session.handle_notice(at(5), socket, Notice::Gap(more));
    assert_eq!(events(&mut session), [Event::Gap(more)]);
}

#[test]
fn losses_that_nobody_acknowledged_are_told_again_at_the_next_connect() {
    let (mut session, socket) = live();
    let gap = Gap { count: 2, first: seq(1), last: seq(2), through: 2 };
    session.handle_notice(at(0), socket, Notice::Gap(gap));
    assert!(events(&mut session).contains(&Event::Gap(gap)));
    session.handle_closed(at(10), socket, None);
    let again = connect_with(&mut session, 9_000, gap);
    assert!(events(&mut session).contains(&Event::Gap(gap)));
    session.handle_closed(at(9_010), again, None);
    session.acknowledge_gap(at(20_000), gap.through);
    connect_with(&mut session, 30_000, gap);
    assert!(!events(&mut session).contains(&Event::Gap(gap)), "the ack is under way");
}

/// Opens a socket that is greeted with these losses.
fn connect_with(
    session: &mut MailboxSession,
    ms: u64,
    gap: Gap,
) -> mailbus_client::session::SocketNumber {
    let (socket, _) = opens(session, ms);
    let (epoch, gap) = (seq(ms), Some(gap));
    let connected = Outcome::Connected { epoch, resumed: true, gap, refused: 0 };
    session.handle_greeting(at(ms), socket, reply(Ok(connected)));
    socket
}

#[test]
fn a_refused_ack_or_nack_ends_the_session_for_another() {
    for handled in [Handled::Done, Handled::Failed] {
        let (mut session, socket) = live();
        push(&mut session, 0, socket, 1, 1);
        let given = delivery(&mut session);
        session.finish(at(0), given, handled);
        let sent = sends_one(&mut session, 5);
        session.handle_problem(at(6), sent.call, Problem::new(Code::Forbidden, "not yours"));
        assert!(session.is_idle(), "it is not sent for ever");
        assert_eq!(orders(&mut session, 6), [SocketOrder::Close { socket }]);
        let again = connect(&mut session, 2_000, 11);
        push(&mut session, 2_000, again, 1, 2);
        assert!(!session.is_idle(), "it is answered in the next session");
    }
}

#[test]
fn a_late_refusal_of_a_copy_ends_no_session() {
    for handled in [Handled::Done, Handled::Failed] {
        let (mut session, socket) = live();
        push(&mut session, 0, socket, 1, 1);
        let given = delivery(&mut session);
        session.finish(at(0), given, handled);
        let first = sends_one(&mut session, 5);
        session.handle_failure(at(6), first.call);
        let (ms, again) = sends_some(&mut session, 7);
        session.handle_problem(at(ms), first.call, Problem::new(Code::Forbidden, "not yours"));
        assert!(orders(&mut session, ms).is_empty(), "{handled:?}: the second is under way");
        assert!(!session.is_idle());
        session.handle_problem(at(ms), again[0].call, Problem::new(Code::Forbidden, "not yours"));
        assert_eq!(orders(&mut session, ms), [SocketOrder::Close { socket }]);
    }
}

#[test]
fn as_many_settled_messages_are_remembered_as_is_said_and_no_more() {
    const REMEMBERED: u64 = 16_384;
    let (mut session, socket) = live();
    for number in 1..=REMEMBERED + 1 {
        push(&mut session, 0, socket, number, 1);
        let given = delivery(&mut session);
        session.finish(at(0), given, Handled::Done);
        for ack in sends(&mut session, 0) {
            session.handle_reply(at(0), ack.call, settled(128));
        }
    }
    push(&mut session, 0, socket, 2, 1);
    assert!(deliveries(&mut session).is_empty(), "it is not handled twice");
    push(&mut session, 0, socket, 1, 1);
    assert_eq!(delivery(&mut session).seq(), seq(1), "memory has an end");
}

#[test]
fn a_nack_names_the_newest_push_of_its_message() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    let given = delivery(&mut session);
    session.handle_closed(at(2), socket, None);
    let again = connect(&mut session, 2_000, 11);
    push(&mut session, 2_000, again, 1, 2);
    assert!(events(&mut session).iter().all(|event| !matches!(event, Event::Delivered { .. })));
    session.finish(at(2_001), given, Handled::Failed);
    let nack = sends_one(&mut session, 2_001);
    let Ask::Nack { fence: Some(fence), .. } = nack.command else { panic!("{nack:?}") };
    assert_eq!((Some(fence.epoch), fence.attempt), (session.epoch(), 2));
}

/// Hands out the next message and says that its handler failed. True if there was one.
fn fails(session: &mut MailboxSession, ms: u64) -> bool {
    let given = deliveries(session).pop();
    let failed = given.is_some();
    given.into_iter().for_each(|given| session.finish(at(ms), given, Handled::Failed));
    failed
}

#[test]
fn three_different_failures_in_a_row_are_an_outage() {
    let (mut session, socket) = live();
    for number in 1..=6 {
        push(&mut session, 0, socket, number, 1);
    }
    for _ in 0..2 {
        assert!(fails(&mut session, 0));
        assert_eq!(names(&sends(&mut session, 0)), ["nack"]);
    }
    assert!(fails(&mut session, 0));
    assert!(!fails(&mut session, 0) && sends(&mut session, 400).is_empty());
    // The pause is over, and the third is given back; the fourth makes the next pause.
    session.handle_timeout(at(1_000));
    assert_eq!(names(&sends(&mut session, 1_000)), ["nack"]);
    assert!(fails(&mut session, 1_000));
    session.handle_timeout(at(1_900));
    assert!(!fails(&mut session, 1_900) && sends(&mut session, 1_900).is_empty());
    session.handle_timeout(at(3_000));
    // One that succeeds ends it.
    let given = delivery(&mut session);
    session.finish(at(3_000), given, Handled::Done);
    assert!(fails(&mut session, 3_000));
    let nacks = names(&sends(&mut session, 3_000)).iter().filter(|name| **name == "nack").count();
    assert_eq!(nacks, 2, "of the fourth and of the sixth");
}
