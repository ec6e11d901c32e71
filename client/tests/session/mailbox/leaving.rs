//! Shutting down.

use mailbus_client::session::SocketOrder;
use mailbus_client::session::mailbox::{
    Draft, Ended, Event, Handled, MailboxSession, Published, Unsendable,
};
use mailbus_spec::mailbox::{Ask, Outcome};

use super::stage::*;

#[test]
fn a_shutdown_ends_the_session_at_the_object_and_opens_nothing_again() {
    let (mut session, socket) = live();
    session.shut_down(at(0));
    let goodbye = sends_one(&mut session, 0);
    assert!(
        matches!(&goodbye.command, Ask::Disconnect { connection } if connection.epoch == seq(10)),
        "{goodbye:?}"
    );
    assert!(!session.is_over());
    session.handle_reply(at(1), goodbye.call, reply(Ok(Outcome::Disconnected)));
    assert_eq!(orders(&mut session, 1), [SocketOrder::Close { socket }]);
    assert_eq!(events(&mut session), [Event::Disconnected, Event::Ended(Ended::ShutDown)]);
    session.handle_timeout(at(100_000));
    assert!(orders(&mut session, 100_000).is_empty() && session.poll_timeout().is_none());
    assert_eq!(session.publish(at(100_000), Draft::new("x")), Err(Unsendable::Over));
}

#[test]
fn a_shutdown_waits_for_handlers_acks_and_messages_under_way() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    push(&mut session, 0, socket, 2, 1);
    let first = delivery(&mut session);
    session.publish(at(0), Draft::new("x")).unwrap();
    let publish = sends_one(&mut session, 0);
    session.shut_down(at(1));
    assert!(sends(&mut session, 1).is_empty());
    session.finish(at(2), first, Handled::Done);
    assert!(deliveries(&mut session).is_empty(), "nothing more is begun");
    let ack = sends_one(&mut session, 2);
    assert_eq!(acked(&ack), [1]);
    session.handle_reply(at(3), ack.call, settled(1));
    assert!(sends(&mut session, 3).is_empty());
    session.handle_reply(at(4), publish.call, accepted(9));
    assert_eq!(names(&sends(&mut session, 4)), ["disconnect"]);
}

#[test]
fn a_shutdown_waits_for_nothing_longer_than_it_may() {
    let (mut session, socket) = live();
    push(&mut session, 0, socket, 1, 1);
    delivery(&mut session);
    let publication = session.publish(at(0), Draft::new("x")).unwrap();
    sends(&mut session, 0);
    session.shut_down(at(0));
    assert!(!names(&sends(&mut session, 4_999)).contains(&"disconnect"));
    assert!(names(&sends(&mut session, 5_000)).contains(&"disconnect"));
    assert!(!session.is_over());
    session.handle_timeout(at(7_000));
    let told = events(&mut session);
    let unknown = Event::Published { publication, outcome: Published::Unknown };
    assert!(told.contains(&unknown) && told.contains(&Event::Ended(Ended::ShutDown)), "{told:?}");
}

/// Events of the session until it is idle, while nothing that it sends leaves this machine.
fn told_while_nothing_leaves(session: &mut MailboxSession) -> Vec<Event> {
    let mut now = 0;
    while !session.is_idle() {
        assert!(now < 10_000, "it does not end");
        for copy in sends(session, now) {
            session.handle_unsent(at(now), copy.call);
        }
        now += 100;
    }
    events(session)
}

#[test]
fn what_never_left_when_the_session_ends_is_told_so() {
    let replaced = Some(mailbus_spec::wire::mailbox::CLOSE_REPLACED);
    for (code, shuts_down) in [(None, true), (replaced, false)] {
        let (mut session, socket) = live();
        let publication = session.publish(at(0), Draft::new("x")).unwrap();
        session.handle_closed(at(0), socket, code);
        if shuts_down {
            session.shut_down(at(0));
        }
        let told = told_while_nothing_leaves(&mut session);
        let unsent = Event::Published { publication, outcome: Published::Unsent };
        assert!(told.contains(&unsent), "{code:?}: {told:?}");
    }
}

#[test]
fn a_shutdown_while_apart_is_over_at_once() {
    let (mut session, socket) = live();
    session.handle_closed(at(0), socket, None);
    session.shut_down(at(1));
    assert!(session.is_over());
    assert!(orders(&mut session, 100_000).is_empty());
    let mut never_begun = super::stage::session();
    never_begun.shut_down(at(0));
    assert!(never_begun.is_over());
    never_begun.start(at(1), None);
    assert!(orders(&mut never_begun, 1).is_empty());
}

#[test]
fn a_socket_lost_while_saying_goodbye_is_goodbye_enough() {
    let (mut session, socket) = live();
    session.shut_down(at(0));
    assert_eq!(names(&sends(&mut session, 0)), ["disconnect"]);
    session.handle_closed(at(1), socket, Some(1_000));
    assert!(session.is_over());
    let told = events(&mut session);
    let ended = told.iter().filter(|event| matches!(event, Event::Ended(_))).count();
    assert_eq!(ended, 1, "{told:?}");
}
