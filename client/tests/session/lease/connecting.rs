//! The socket: opened, kept alive, opened again, and which way attempts go meanwhile.

use std::time::Duration;

use mailbus_client::session::lease::{Config, LeaseSession};
use mailbus_client::session::{Route, SocketOrder};

use super::stage::*;

#[test]
fn a_socket_is_opened_when_the_session_begins_and_if_it_is_to_have_one() {
    let mut idle = session();
    assert!(orders(&mut idle, 0).is_empty() && idle.poll_timeout().is_none());
    open_socket(&mut idle, 5);
    let config = Config { socket: None, ..Config::default() };
    let mut without = LeaseSession::new(holder("a"), config, 7);
    without.start(at(0));
    assert!(orders(&mut without, 0).is_empty());
}

#[test]
fn an_attempt_that_went_unanswered_takes_the_other_way_the_next_time() {
    let mut session = session();
    let socket = open_socket(&mut session, 0);
    session.acquire(at(0), wanted());
    let first = sends_one(&mut session, 0);
    let (_, second) = sends_next(&mut session, 1);
    assert_eq!((first.route, second.route), (Route::Socket(socket), Route::Http));
    assert_eq!(first.timeout, Duration::from_secs(5));
    assert_ne!(first.call, second.call);
}

#[test]
fn what_is_awaited_over_a_lost_socket_is_asked_again_and_what_is_diverted_is_not() {
    for diverted in [false, true] {
        let mut session = session();
        let socket = open_socket(&mut session, 0);
        session.acquire(at(0), wanted());
        let first = sends_one(&mut session, 0);
        if diverted {
            session.handle_diverted(first.call);
        }
        session.handle_closed(at(1), socket, None);
        let (ms, again) = sends_next(&mut session, 1);
        assert_eq!(again.route, Route::Http);
        assert_eq!(ms >= 5_000, diverted, "{ms}");
    }
}

#[test]
fn a_socket_is_pinged_when_it_has_been_silent_and_given_up_when_it_stays_so() {
    let mut session = session();
    let socket = open_socket(&mut session, 0);
    session.handle_heard(at(15_000), socket);
    assert!(orders(&mut session, 34_999).is_empty(), "what is heard puts the ping off");
    assert_eq!(orders(&mut session, 35_000), [SocketOrder::Ping { socket }]);
    session.handle_heard(at(36_000), socket);
    assert!(orders(&mut session, 55_999).is_empty(), "it was answered");
    assert_eq!(orders(&mut session, 56_000), [SocketOrder::Ping { socket }]);
    assert_eq!(orders(&mut session, 61_000), [SocketOrder::Close { socket }]);
    session.handle_closed(at(61_001), socket, None);
    let again = due(&session);
    assert!((61_125..=61_251).contains(&again), "{again}");
    assert_ne!(open_socket(&mut session, again), socket);
}

#[test]
fn pauses_grow_while_sockets_bring_nothing_and_begin_anew_with_one_that_does() {
    let mut session = session();
    session.start(at(0));
    let mut now = 0;
    let mut pause_after = |session: &mut LeaseSession, heard: bool| {
        let socket = open_socket(session, now);
        if heard {
            session.handle_heard(at(now), socket);
        }
        session.handle_closed(at(now), socket, None);
        let began = std::mem::replace(&mut now, due(session));
        now - began
    };
    let pauses: Vec<u64> = (0..12).map(|_| pause_after(&mut session, false)).collect();
    assert!(pauses[0] <= 251 && pauses[11] >= 7_500, "{pauses:?}");
    assert!(pause_after(&mut session, true) <= 251);
}

#[test]
fn a_socket_that_does_not_open_is_given_up() {
    let mut session = session();
    session.start(at(0));
    let (first, _) = opens(&mut session, 0);
    assert_eq!(orders(&mut session, 10_000), [SocketOrder::Close { socket: first }]);
    session.handle_opened(at(10_001), first);
    session.acquire(at(10_001), wanted());
    assert_eq!(sends_one(&mut session, 10_001).route, Route::Http, "too late");
}
