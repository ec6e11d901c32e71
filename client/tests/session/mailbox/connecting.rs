//! The socket: opened, kept alive, opened again, over.

use std::time::Duration;

use mailbus_client::session::mailbox::{Config, Draft, Ended, Event, Published};
use mailbus_client::session::{SocketConfig, SocketOrder};
use mailbus_spec::mailbox::{Ask, Outcome, Patterns, Rejection};
use mailbus_spec::wire::{Code, Problem};

use super::stage::*;

#[test]
fn a_session_connects_when_it_is_started_and_not_before() {
    let mut session = session();
    assert!(orders(&mut session, 0).is_empty() && session.poll_timeout().is_none());
    session.start(at(5), Some(Patterns::from([pattern("task")])));
    let (_, connect) = opens(&mut session, 5);
    let Ask::Connect { agent: who, window, types, last_seen, .. } = connect else {
        panic!("{connect:?}")
    };
    assert_eq!((who, last_seen), (agent("a"), None));
    assert!(window.is_some());
    assert_eq!(types, Some(Patterns::from([pattern("task")])));
}

#[test]
fn every_connect_says_what_the_session_has_chosen() {
    let mut session = session();
    session.start(at(0), Some(Patterns::from([pattern("task")])));
    let (socket, _) = opens(&mut session, 0);
    session.handle_greeting(at(1), socket, connected(10));
    let types = Patterns::from([pattern("news"), pattern("x.*")]);
    session.ask(at(2), Ask::Subscribe { agent: agent("a"), types });
    let types = Patterns::from([pattern("task")]);
    session.ask(at(2), Ask::Unsubscribe { agent: agent("a"), types });
    session.handle_closed(at(3), socket, None);
    let (_, connect) = opens(&mut session, 9_000);
    let chosen = Patterns::from([pattern("news"), pattern("x.*")]);
    assert!(matches!(connect, Ask::Connect { types: Some(said), .. } if said == chosen));
}

#[test]
fn a_session_that_has_chosen_nothing_leaves_subscriptions_alone() {
    let (mut session, socket) = live();
    let types = Patterns::from([pattern("news")]);
    session.ask(at(2), Ask::Subscribe { agent: agent("a"), types });
    session.handle_closed(at(3), socket, None);
    let (_, connect) = opens(&mut session, 9_000);
    assert!(matches!(connect, Ask::Connect { types: None, .. }));
}

#[test]
fn a_lost_socket_is_opened_again_without_end_and_not_all_the_time() {
    let (mut session, mut socket) = live();
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..12 {
        session.handle_closed(at(now), socket, None);
        let due = session.poll_timeout().unwrap().as_millis() as u64;
        pauses.push(due - now);
        now = due + 1;
        (socket, _) = opens(&mut session, now);
    }
    assert!(pauses[0] >= 125 && pauses[0] <= 251, "{pauses:?}");
    assert!(pauses[11] >= 7_500 && pauses[11] <= 15_001, "{pauses:?}");
}

#[test]
fn a_reconnect_names_the_last_message_it_knows_of() {
    let (mut session, socket) = live();
    push(&mut session, 1, socket, 40, 1);
    session.publish(at(2), Draft::new("x")).unwrap();
    let sent = sends_one(&mut session, 2);
    session.handle_reply(at(3), sent.call, accepted(41));
    session.handle_closed(at(4), socket, Some(1_012));
    let (_, connect) = opens(&mut session, 1_000);
    assert!(
        matches!(connect, Ask::Connect { last_seen: Some(last), .. } if last == seq(41)),
        "{connect:?}"
    );
}

#[test]
fn a_replaced_session_says_so_and_never_comes_back() {
    let (mut session, socket) = live();
    session.handle_closed(at(5), socket, Some(4_001));
    assert_eq!(events(&mut session), [Event::Disconnected, Event::Ended(Ended::Replaced)]);
    assert!(session.is_over());
    session.handle_timeout(at(100_000));
    session.start(at(100_000), None);
    assert!(orders(&mut session, 100_000).is_empty());
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn what_a_replaced_session_had_under_way_is_still_seen_to_over_http() {
    let (mut session, socket) = live();
    let publication = session.publish(at(0), Draft::new("x")).unwrap();
    let first = sends_one(&mut session, 0);
    assert_eq!(over(&first), Some(socket));
    session.handle_closed(at(5), socket, Some(4_001));
    let (ms, again) = sends_some(&mut session, 5);
    assert_eq!((names(&again), over(&again[0])), (vec!["publish"], None));
    assert_eq!(id_of(&again[0]), id_of(&first));
    session.handle_reply(
        at(ms),
        again[0].call,
        reply(Ok(Outcome::Duplicate { seq: seq(3), recipients: Some(2), refused: Vec::new() })),
    );
    let outcome = Published::Duplicate { seq: seq(3), recipients: Some(2), refused: Vec::new() };
    assert!(events(&mut session).contains(&Event::Published { publication, outcome }));
}

#[test]
fn a_refusal_that_will_not_pass_ends_the_session_and_others_do_not() {
    for (code, is_final) in [
        (Code::Unauthorized, true),
        (Code::Forbidden, true),
        (Code::Malformed, true),
        (Code::Limit, false),
        (Code::Overloaded, false),
        (Code::Clock, false),
        (Code::Restoring, false),
    ] {
        let mut session = session();
        session.start(at(0), None);
        let (socket, _) = opens(&mut session, 0);
        session.handle_unopened(at(1), socket, Some(Problem::new(code, "no")));
        assert_eq!(session.is_over(), is_final, "{code}");
        if let Some(seconds) = code.retry_after() {
            let due = session.poll_timeout().unwrap();
            assert!(due >= Duration::from_secs(u64::from(seconds)), "{code}: {due:?}");
        }
    }
}

#[test]
fn a_session_that_is_ahead_tells_what_was_accepted_and_forgets_how_far_it_was() {
    let (mut session, socket) = live();
    session.publish(at(0), Draft::new("x")).unwrap();
    let sent = sends_one(&mut session, 0);
    session.handle_reply(at(1), sent.call, accepted(41));
    session.handle_closed(at(2), socket, None);
    events(&mut session);
    let (again, _) = opens(&mut session, 1_000);
    let ahead = Rejection::Ahead { last: seq(30) };
    session.handle_greeting(at(1_001), again, reply(Err(ahead)));
    let told = events(&mut session);
    let [Event::Restored { unknown, more: 0 }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((unknown.len(), unknown[0].seq), (1, seq(41)));
    assert_eq!(unknown[0].id.to_string(), id_of(&sent));
    let (_, connect) = opens(&mut session, 9_000);
    assert!(matches!(connect, Ask::Connect { last_seen: None, .. }), "{connect:?}");
}

#[test]
fn a_new_generation_is_told_once_with_what_was_accepted_before() {
    let (mut session, _) = live();
    session.publish(at(0), Draft::new("x")).unwrap();
    let sent = sends_one(&mut session, 0);
    session.handle_reply(at(1), sent.call, accepted(41));
    events(&mut session);
    for _ in 0..2 {
        session.ask(at(2), Ask::Agents { after: None, limit: 1 });
        let asked = sends_one(&mut session, 2);
        let agents = Outcome::Agents { agents: Vec::new(), more: false };
        session.handle_reply(at(3), asked.call, reply_of(2, Ok(agents)));
    }
    let told = events(&mut session);
    let restored = told.iter().filter(|event| matches!(event, Event::Restored { .. })).count();
    assert_eq!(restored, 1, "{told:?}");
    assert_eq!(session.last_seen(), None);
}

#[test]
fn a_socket_is_pinged_within_25_seconds_whatever_comes_in() {
    let socket = SocketConfig { ping_after: Duration::from_secs(600), ..SocketConfig::default() };
    let config = Config { socket, ..Config::default() };
    let (mut session, socket) = live_with(config);
    let mut pings = Vec::new();
    for second in 1..100 {
        let ms = second * 1_000;
        session.handle_heard(at(ms), socket);
        session.handle_timeout(at(ms));
        for order in orders(&mut session, ms) {
            assert_eq!(order, SocketOrder::Ping { socket });
            pings.push(second);
        }
    }
    assert_eq!(pings, [25, 50, 75]);
}

#[test]
fn a_socket_that_stays_silent_after_a_ping_is_given_up() {
    let (mut session, socket) = live();
    session.handle_timeout(at(20_000));
    assert_eq!(orders(&mut session, 20_000), [SocketOrder::Ping { socket }]);
    session.handle_heard(at(20_000), socket);
    session.handle_timeout(at(26_000));
    assert!(orders(&mut session, 26_000).is_empty(), "it was answered");
    session.handle_timeout(at(40_000));
    assert_eq!(orders(&mut session, 40_000), [SocketOrder::Ping { socket }]);
    session.handle_timeout(at(45_000));
    assert_eq!(orders(&mut session, 45_000), [SocketOrder::Close { socket }]);
    assert_eq!(events(&mut session), [Event::Disconnected]);
    opens(&mut session, 46_000);
}

#[test]
fn a_socket_that_does_not_open_is_given_up_and_its_late_greeting_means_nothing() {
    let mut session = session();
    session.start(at(0), None);
    let (first, _) = opens(&mut session, 0);
    session.handle_timeout(at(10_000));
    assert_eq!(orders(&mut session, 10_000), [SocketOrder::Close { socket: first }]);
    let (second, _) = opens(&mut session, 11_000);
    session.handle_greeting(at(11_001), first, connected(9));
    assert_eq!(session.epoch(), None);
    session.handle_greeting(at(11_002), second, connected(10));
    assert_eq!(session.epoch(), Some(seq(10)));
    session.handle_closed(at(11_003), first, Some(4_001));
    assert!(!session.is_over(), "the close of an earlier socket means nothing");
}

#[test]
fn a_session_of_the_original_sends_nothing_over_its_socket() {
    let config = Config { window: None, ..Config::default() };
    let (mut session, socket) = live_with(config);
    session.publish(at(0), Draft::new("x")).unwrap();
    push(&mut session, 0, socket, 1, 2);
    let given = delivery(&mut session);
    session.finish(at(1), given, mailbus_client::session::mailbox::Handled::Done);
    let sent = sends(&mut session, 50);
    assert_eq!(names(&sent), ["ack", "publish"], "and announces nothing");
    assert!(sent.iter().all(|transmit| over(transmit).is_none()));
}
