//! HTTP and WebSocket in front of a toy object: bounds, headers and closes. Streams are in memory and time is
//! the test's, but for a few that need neither.

mod support;

use std::rc::Rc;
use std::time::Duration;

use futures_util::SinkExt;
use mailbus_worker::native::{HostClock, Namespace, NamespaceSettings, Objects};
use support::clock::ManualClock;
use support::flush::HeldDatabases;
use support::http::Connection;
use support::served::{ADD, UPGRADE, bus, bus_on, close_code, next, served, test};
use support::settle;
use support::toy::{Toy, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[test]
fn an_answer_has_its_headers_and_no_date() {
    test(async {
        let bus = bus();
        let mut connection = bus.connect().await;
        let answer = connection.post(ADD, "a").await.unwrap();
        assert_eq!((answer.status, answer.json()["n"].as_u64()), (200, Some(1)));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("date"), None);
        let body = "x".repeat((2 << 20) + 1);
        let refused = connection.post(ADD, &body).await.unwrap();
        assert_eq!(refused.status, 413);
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        assert_eq!(
            (refused.header("retry-after"), refused.header("allow")),
            (Some("7"), Some("GET"))
        );
        assert_eq!(
            connection.post(ADD, &body[1..]).await.unwrap().status,
            200,
            "2 MiB, same connection"
        );
        let version = connection.send("GET", "/v1/version", &[], Vec::new()).await.unwrap();
        assert_eq!(version.json()["name"], "mailbus");
    });
}

#[test]
fn a_body_beyond_what_is_drained_is_refused_and_the_connection_closed() {
    test(async {
        let bus = bus();
        let mut stream = bus.stream();
        let head =
            "POST /v1/w/lease/add HTTP/1.1\r\nhost: localhost\r\ncontent-length: 40000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 413") && answer.contains("connection: close"),
            "{answer}"
        );
        assert!(answer.contains("message_too_large"), "{answer}");
        assert_eq!(bus.count().await, 0);
    });
}

#[test]
fn a_failure_is_answered_and_the_connection_goes_on() {
    test(async {
        let bus = bus();
        let mut connection = bus.connect().await;
        let failed = connection.post("/v1/w/lease/fail", "a").await.unwrap();
        assert_eq!((failed.status, failed.code().as_str()), (500, "internal"));
        let refused = connection.post(ADD, "a").await.unwrap();
        assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
        assert_eq!(refused.header("retry-after"), Some("1"), "it is left alone for a moment");
        bus.clock.advance(Duration::from_millis(100)).await;
        assert_eq!(connection.post(ADD, "a").await.unwrap().json()["n"], 1);
    });
}

#[test]
fn no_answer_leaves_before_its_flush_and_a_cut_one_drops_the_connection() {
    test(async {
        let databases = HeldDatabases::new();
        let clock = ManualClock::default();
        let shared: Rc<dyn HostClock> = Rc::new(clock.clone());
        let objects = Namespace::new(
            Rc::clone(&shared),
            Rc::new(databases.clone()),
            NamespaceSettings::default(),
            Toy::wake,
        );
        let server = served(shared, &objects);
        let connect = || {
            let (near, far) = tokio::io::duplex(1 << 16);
            tokio::task::spawn_local(Rc::clone(&server).serve_connection(far));
            Connection::over(near)
        };
        let post = |mut connection: Connection, text: &'static str| {
            tokio::task::spawn_local(async move {
                let answer = connection.post(ADD, text).await;
                (answer, connection)
            })
        };
        let held = post(connect().await.unwrap(), "a");
        assert_eq!(databases.under_way().await, 1);
        settle().await;
        assert!(!held.is_finished(), "nothing leaves before the flush");
        databases.let_go().await;
        let (answer, connection) = held.await.unwrap();
        assert_eq!(answer.unwrap().status, 200);
        let lost = post(connection, "b");
        assert_eq!(databases.under_way().await, 1);
        databases.cut().await;
        assert!(lost.await.unwrap().0.is_err(), "no answer would be true");
        let refused = connect().await.unwrap().post(ADD, "c").await.unwrap();
        assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
        assert_eq!(refused.header("retry-after"), Some("1"));
        clock.advance(Duration::from_millis(100)).await;
        let healed = post(connect().await.unwrap(), "d");
        assert_eq!(databases.under_way().await, 1);
        databases.let_go().await;
        assert_eq!(healed.await.unwrap().0.unwrap().status, 200, "without a restart");
    });
}

#[test]
fn an_upgrade_in_http_1_0_is_refused_and_leaves_no_socket() {
    test(async {
        let bus = bus();
        let mut stream = bus.stream();
        let head = format!("GET /v1/w/lease/subscribe HTTP/1.0\r\nhost: localhost\r\n{UPGRADE}");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 426"), "{answer}");
        assert!(answer.contains("upgrade_required"), "{answer}");
        assert_eq!(bus.sockets(), 0);
    });
}

/// Time at which the other end hangs up: before, with or after the end of the flush that its accept
/// waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum HangUp {
    Before,
    With,
    After,
}

#[test]
fn who_hangs_up_before_becoming_a_socket_leaves_none() {
    for hang_up in [HangUp::Before, HangUp::With, HangUp::After] {
        test(async {
            let databases = HeldDatabases::new();
            let bus = bus_on(databases.clone());
            // The accept has read a write that is not flushed yet.
            drop(bus.namespace.submit(&support::workspace("w"), &request("add", "a")));
            let mut stream = bus.stream();
            let head =
                format!("GET /v1/w/lease/subscribe HTTP/1.1\r\nhost: localhost\r\n{UPGRADE}");
            stream.write_all(head.as_bytes()).await.unwrap();
            settle().await;
            assert_eq!((bus.sockets(), databases.under_way().await), (1, 1));
            match hang_up {
                HangUp::Before => {
                    drop(stream);
                    databases.let_go().await;
                }
                HangUp::With => {
                    databases.let_go_at_once();
                    drop(stream);
                }
                HangUp::After => {
                    databases.let_go().await;
                    drop(stream);
                }
            }
            while databases.under_way().await > 0 {
                databases.let_go().await;
            }
            assert_eq!((bus.sockets(), bus.server.connections()), (0, 0), "{hang_up:?}");
            assert_eq!(bus.count().await, 2, "the object has heard of it: {hang_up:?}");
        });
    }
}

#[test]
fn frames_become_events_and_effects_find_their_sockets() {
    test(async {
        let bus = bus();
        let (mut one, mut other) = (bus.subscribe().await, bus.subscribe().await);
        for text in ["a", "b"] {
            one.send(Message::text(text)).await.unwrap();
        }
        assert_eq!(next(&mut one).await, Some(Message::text("1:a")));
        assert_eq!(next(&mut one).await, Some(Message::text("2:b")));
        bus.connect().await.post(ADD, "c").await.unwrap();
        for socket in [&mut one, &mut other] {
            assert_eq!(next(socket).await, Some(Message::text("added 3")));
        }
        one.send(Message::text("close")).await.unwrap();
        assert_eq!(close_code(&mut one).await, Some(CloseCode::Library(4001)));
        assert_eq!(next(&mut one).await, None);
        settle().await;
        assert_eq!(bus.count().await, 4, "the object has heard of the close");
        other.close(None).await.unwrap();
        while next(&mut other).await.is_some() {}
        settle().await;
        assert_eq!(bus.count().await, 5);
        assert_eq!(bus.server.connections(), 1, "only the one that counted");
    });
}

#[test]
fn a_socket_that_breaks_the_rules_is_told_which() {
    test(async {
        let bus = bus();
        for (message, code) in [
            (Message::binary(vec![1]), CloseCode::Unsupported),
            (Message::text("x".repeat((4 << 20) + 1)), CloseCode::Size),
        ] {
            let mut socket = bus.subscribe().await;
            socket.send(message).await.unwrap();
            assert_eq!(close_code(&mut socket).await, Some(code));
        }
        let mut socket = bus.subscribe().await;
        socket.send(Message::text(format!("tell:{}", "x".repeat((4 << 20) - 5)))).await.unwrap();
        assert_eq!(next(&mut socket).await.unwrap().len(), (4 << 20) - 5, "4 MiB are allowed");
    });
}

#[test]
fn a_ping_in_a_text_frame_is_answered_and_is_no_event() {
    test(async {
        let bus = bus();
        let mut socket = bus.subscribe().await;
        socket.send(Message::text("ping")).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(Message::text("pong")));
        assert_eq!(bus.count().await, 0);
        socket.send(Message::text("ping ")).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(Message::text("1:ping ")));
    });
}

#[test]
fn a_broken_handshake_is_refused() {
    test(async {
        let bus = bus();
        let upgrade = [("upgrade", "websocket"), ("connection", "Upgrade")];
        let version = |version| [&upgrade[..], &[("sec-websocket-version", version)]].concat();
        let ask = async |headers: Vec<(&str, &str)>| {
            let mut connection = bus.connect().await;
            let path = "/v1/w/lease/subscribe";
            connection.send("GET", path, &headers, Vec::new()).await.unwrap()
        };
        let answer = ask(version("8")).await;
        assert_eq!((answer.status, answer.code().as_str()), (426, "upgrade_required"));
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        let answer = ask(version("13")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "without a key");
        let answer = ask(Vec::new()).await;
        assert_eq!(answer.status, 404, "the object was asked without an upgrade");
    });
}

#[test]
fn a_crash_of_the_object_drops_its_sockets() {
    test(async {
        let bus = bus();
        let mut socket = bus.subscribe().await;
        bus.namespace.crash(&support::workspace("w"));
        assert_eq!(next(&mut socket).await, None);
        settle().await;
        assert_eq!(bus.server.connections(), 0);
        assert_eq!(bus.count().await, 0, "nobody told the object");
    });
}
