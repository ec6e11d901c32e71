//! Sockets that are found open on waking although their sessions are over: no event of the object's
//! leaves one, but a restored storage does, and a close that was never applied.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, CloseReason, Command, Connection, Notice, Outcome, Patterns, Window,
};
use mailbus_spec::{AgentId, HostTime, Ordinal, SessionId};

use super::pair::{Pair, pair};
use crate::machine::Machine;
use crate::mailbox::Session;
use crate::mailbox::sql::SqlMailboxes;
use crate::sql::tests::NOON;

fn name(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

fn connect(pair: &mut Pair, agent: &str, window: Option<Window>) -> Session {
    let (session, types) = (SessionId::new("s").unwrap(), Some(Patterns::new()));
    let agent = name(agent);
    let ask = Ask::Connect { agent: agent.clone(), session, window, types, last_seen: None };
    let step = pair.event(HostTime(NOON), &Event::Command(Command::alone(ask)));
    let Ok(Outcome::Connected { epoch, .. }) = step.reply.unwrap().answer else {
        panic!("it was connected");
    };
    let connection = Connection { agent, epoch };
    let sockets = &pair.machine.sockets;
    sockets.iter().find(|socket| socket.connection() == connection).unwrap().clone()
}

/// Closes that the first event after waking with these sockets sends, and to whom.
fn closed(pair: &mut Pair, sockets: Vec<Session>) -> Vec<(Ordinal, CloseReason)> {
    let mut woken = SqlMailboxes::wake(None, sockets);
    // A clock that cannot be is answered, and nothing else.
    let heartbeat = Event::Command(Command::alone(Ask::Heartbeat { agent: name("ann") }));
    let refused = woken.handle(&mut pair.machine.database, HostTime(0), &heartbeat).unwrap();
    assert!(refused.step.pushes.is_empty());
    let step = woken.handle(&mut pair.machine.database, HostTime(NOON), &heartbeat).unwrap().step;
    let again = woken.handle(&mut pair.machine.database, HostTime(NOON), &heartbeat).unwrap().step;
    assert!(!step.wrote && again.pushes.is_empty());
    let closed = step.pushes.into_iter().map(|push| match push.notice {
        Notice::Closed(reason) => (push.to.epoch, reason),
        other => panic!("{other:?}"),
    });
    closed.collect()
}

#[test]
fn a_socket_of_another_epoch_is_closed() {
    let mut pair = pair();
    let old = connect(&mut pair, "bob", Some(Window::DEFAULT));
    let new = connect(&mut pair, "bob", Some(Window::DEFAULT));
    let stranger = Session { agent: name("nobody"), ..old.clone() };
    let later = Session { epoch: Ordinal::MAX, ..new.clone() };
    assert_eq!(closed(&mut pair, vec![new.clone()]), []);
    let over = vec![later, new, stranger.clone(), old.clone()];
    let mut reasons = closed(&mut pair, over);
    reasons.sort();
    let mut expected = vec![
        (old.epoch, CloseReason::Forgotten),
        (old.epoch, CloseReason::Replaced),
        (Ordinal::MAX, CloseReason::Reopen),
    ];
    expected.sort();
    assert_eq!(reasons, expected);
}

#[test]
fn mute_sockets_stay_open_as_long_as_there_is_a_live_one() {
    let mut pair = pair();
    let sockets: Vec<Session> = (0..10).map(|_| connect(&mut pair, "bob", None)).collect();
    let (oldest, others) = sockets.split_first().unwrap();
    assert_eq!(closed(&mut pair, others.to_vec()), []);
    assert_eq!(closed(&mut pair, sockets.clone()), [(oldest.epoch, CloseReason::Crowded)]);
    // The live one closed without a word.
    let superseded = others[..2].to_vec();
    let reopened = superseded.iter().map(|socket| (socket.epoch, CloseReason::Reopen));
    let reopened: Vec<_> = reopened.collect();
    assert_eq!(closed(&mut pair, superseded), reopened);
}
