//! HTTP and WebSocket in front of a toy object: bounds, headers, closes, and that nobody waits for
//! somebody else. Streams are in memory and time is the test's, but for a few that need neither.

mod support;

use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mailbus_worker::native::namespace::BEHIND_MAX_FRAMES;
use mailbus_worker::native::{
    Classes, Databases, HostClock, MemoryDatabases, Namespace, NamespaceSettings, Objects, Server,
    ServerSettings,
};
use mailbus_worker::router::{Access, Class};
use support::clock::ManualClock;
use support::flush::HeldDatabases;
use support::http::{Connection, subscribe_over, within_a_minute};
use support::toy::{Toy, request};
use support::{on_event_loop, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

struct Bus {
    clock: ManualClock,
    server: Rc<Server>,
    namespace: Namespace<Toy>,
}

fn bus() -> Bus {
    bus_on(MemoryDatabases::new())
}

fn bus_on(databases: impl Databases + 'static) -> Bus {
    let clock = ManualClock::default();
    let shared: Rc<dyn HostClock> = Rc::new(clock.clone());
    let databases = Rc::new(databases);
    let namespace = Namespace::new(Rc::clone(&shared), databases, NamespaceSettings::default());
    let server = served(shared, &namespace);
    Bus { clock, server, namespace }
}

/// The toys as a server's lease objects.
fn served(clock: Rc<dyn HostClock>, namespace: &Namespace<Toy>) -> Rc<Server> {
    let objects: Rc<dyn Objects> = Rc::new(namespace.clone());
    let classes = Classes::from([(Class::Lease, objects)]);
    Server::new(clock, Access::Anonymous, ServerSettings::default(), classes)
}

impl Bus {
    fn stream(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 << 10);
        tokio::task::spawn_local(Rc::clone(&self.server).serve_connection(far));
        near
    }

    async fn connect(&self) -> Connection {
        Connection::over(self.stream()).await.unwrap()
    }

    async fn subscribe(&self) -> WebSocketStream<DuplexStream> {
        subscribe_over(self.stream(), "/v1/w/lease/subscribe").await
    }

    /// How many sockets the object has.
    fn sockets(&self) -> usize {
        self.namespace.with(&support::workspace("w"), |object| object.sockets().len()).unwrap()
    }

    /// How many texts the object has.
    async fn count(&self) -> u64 {
        let answer = self.connect().await.post("/v1/w/lease/count", "").await.unwrap();
        answer.json()["n"].as_u64().unwrap()
    }
}

/// Runs a test that must not hang.
fn test<T>(future: impl Future<Output = T>) -> T {
    on_event_loop(within_a_minute(future))
}

async fn next(socket: &mut WebSocketStream<DuplexStream>) -> Option<Message> {
    socket.next().await.and_then(Result::ok)
}

async fn close_code(socket: &mut WebSocketStream<DuplexStream>) -> Option<CloseCode> {
    loop {
        match next(socket).await? {
            Message::Close(frame) => return frame.map(|frame| frame.code),
            _ => continue,
        }
    }
}

const ADD: &str = "/v1/w/lease/add";

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
        let objects = Namespace::<Toy>::new(
            Rc::clone(&shared),
            Rc::new(databases.clone()),
            NamespaceSettings::default(),
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

const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

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

/// When the other end hangs up: before, with or after the end of the flush that its accept waits for.
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
fn who_pings_and_does_not_read_is_dropped() {
    test(async {
        let bus = bus();
        let mut socket = bus.subscribe().await;
        // The stream takes some of the answers, of six bytes each; the others wait.
        for _ in 0..(64 << 10) / 6 + BEHIND_MAX_FRAMES + 1_000 {
            if socket.feed(Message::text("ping")).await.is_err() {
                break;
            }
        }
        let _ = socket.flush().await;
        settle().await;
        assert_eq!(bus.server.connections(), 0);
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

/// A text that every socket is told.
fn tell(bytes: usize) -> Message {
    Message::text(format!("tell:{}", "x".repeat(bytes)))
}

#[test]
fn a_stalled_reader_delays_nobody_and_is_dropped_after_thirty_seconds() {
    test(async {
        let bus = bus();
        let mut stalled = bus.subscribe().await;
        let (mut quick, mut teller) = (bus.subscribe().await, bus.subscribe().await);
        for _ in 0..20 {
            teller.send(tell(1 << 20)).await.unwrap();
            assert_eq!(next(&mut teller).await.unwrap().len(), 1 << 20);
            assert_eq!(next(&mut quick).await.unwrap().len(), 1 << 20);
        }
        bus.clock.advance(Duration::from_millis(29_999)).await;
        assert_eq!(bus.server.connections(), 3);
        bus.clock.advance(Duration::from_millis(1)).await;
        assert_eq!(bus.server.connections(), 2);
        while next(&mut stalled).await.is_some() {}
        assert_eq!(bus.count().await, 1, "the object has heard of it");
    });
}

/// Reads a part of what has come, as raw bytes: less than a frame.
async fn read_some(stream: &mut DuplexStream, bytes: usize) {
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).await.unwrap();
}

#[test]
fn a_reader_of_which_every_byte_takes_long_is_kept_as_long_as_some_move() {
    test(async {
        let bus = bus();
        let mut slow = bus.subscribe().await.into_inner();
        let mut teller = bus.subscribe().await;
        teller.send(tell(1 << 20)).await.unwrap();
        next(&mut teller).await.unwrap();
        // One frame of 1 MiB, which takes more than five minutes; and not a byte from this reader,
        // who has not seen a ping yet.
        for _ in 0..12 {
            read_some(&mut slow, 64 << 10).await;
            bus.clock.advance(Duration::from_secs(29)).await;
            teller.send(Message::text("ping")).await.unwrap();
            while next(&mut teller).await != Some(Message::text("pong")) {}
        }
        assert_eq!(bus.server.connections(), 2);
        bus.clock.advance(Duration::from_secs(1)).await;
        assert_eq!(bus.server.connections(), 1, "it has taken nothing for half a minute");
    });
}

#[test]
fn a_sender_of_which_every_byte_takes_long_is_alive() {
    test(async {
        let bus = bus();
        let mut slow = bus.subscribe().await.into_inner();
        // A masked text frame of 1 MiB, which takes more than five minutes: no message has come, and no
        // pong either, until it is over.
        let (mask, frame) = ([1, 2, 3, 4], vec![b' '; 1 << 20]);
        slow.write_all(&[0x81, 0xff]).await.unwrap();
        slow.write_all(&u64::try_from(frame.len()).unwrap().to_be_bytes()).await.unwrap();
        slow.write_all(&mask).await.unwrap();
        let masked: Vec<u8> = frame.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
        for part in masked.chunks(64 << 10) {
            bus.clock.advance(Duration::from_secs(25)).await;
            slow.write_all(part).await.unwrap();
        }
        settle().await;
        assert_eq!((bus.count().await, bus.sockets()), (1, 1), "it came to an event");
        for _ in 0..3 {
            bus.clock.advance(Duration::from_secs(25)).await;
        }
        assert_eq!(bus.sockets(), 0, "silent since");
    });
}

#[test]
fn a_silent_socket_is_asked_and_then_given_up() {
    test(async {
        let bus = bus();
        let mut alive = bus.subscribe().await;
        let _dead = bus.subscribe().await;
        for _ in 0..4 {
            bus.clock.advance(Duration::from_secs(25)).await;
            // Reading is what answers the ping.
            assert_eq!(next(&mut alive).await, Some(Message::Ping(Vec::new().into())));
            alive.flush().await.unwrap();
            settle().await;
        }
        assert_eq!(bus.server.connections(), 1);
        assert_eq!(bus.count().await, 1, "the object has heard of the dead one");
    });
}

#[test]
fn who_sends_no_request_or_no_body_is_dropped() {
    test(async {
        let bus = bus();
        let silent = bus.stream();
        let mut slow = bus.stream();
        slow.write_all(b"GET /v1/version HTTP/1.1\r\nho").await.unwrap();
        let mut stuck = bus.stream();
        stuck
            .write_all(
                b"POST /v1/w/lease/add HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nab",
            )
            .await
            .unwrap();
        settle().await;
        assert_eq!(bus.server.connections(), 3);
        bus.clock.advance(Duration::from_secs(30)).await;
        assert_eq!(bus.server.connections(), 2, "the body paused for too long");
        for _ in 0..3 {
            bus.clock.advance(Duration::from_secs(30)).await;
        }
        assert_eq!(bus.server.connections(), 0);
        drop((silent, slow));
    });
}

#[test]
fn a_body_has_as_long_as_its_length_takes() {
    test(async {
        let bus = bus();
        // 80 000 bytes at 8 kB/s, and a pause of 30 s: 40 s, however little is missing then.
        let head =
            "POST /v1/w/lease/add HTTP/1.1\r\nhost: localhost\r\ncontent-length: 80000\r\n\r\n";
        let (mut late, mut in_time) = (bus.stream(), bus.stream());
        for stream in [&mut late, &mut in_time] {
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&[b'x'; 30_000]).await.unwrap();
        }
        bus.clock.advance(Duration::from_secs(20)).await;
        for stream in [&mut late, &mut in_time] {
            stream.write_all(&[b'x'; 49_999]).await.unwrap();
        }
        bus.clock.advance(Duration::from_millis(19_999)).await;
        assert_eq!(bus.server.connections(), 2);
        in_time.write_all(b"x").await.unwrap();
        bus.clock.advance(Duration::from_millis(1)).await;
        assert_eq!((bus.server.connections(), bus.count().await), (1, 1));
        drop(in_time);
        // A length that is not said is taken for the largest that is read: 2 MiB, 292 s.
        let mut unknown = bus.stream();
        let head = "POST /v1/w/lease/add HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
        unknown.write_all(head.as_bytes()).await.unwrap();
        let mut passed = 0;
        settle().await;
        while bus.server.connections() == 1 {
            passed += 20;
            let _ = unknown.write_all(b"1\r\nx\r\n").await;
            bus.clock.advance(Duration::from_secs(20)).await;
        }
        assert_eq!(passed, 300, "it never paused for half a minute");
    });
}

#[test]
fn who_sends_nothing_more_is_answered_and_then_gone() {
    test(async {
        let databases = HeldDatabases::new();
        let bus = bus_on(databases.clone());
        let post = "POST /v1/w/lease/add HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\na";
        let mut half_closed = bus.stream();
        half_closed.write_all(post.as_bytes()).await.unwrap();
        half_closed.shutdown().await.unwrap();
        assert_eq!(databases.under_way().await, 1);
        databases.let_go().await;
        let mut answer = String::new();
        half_closed.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"n":1}"#), "{answer}");
        settle().await;
        assert_eq!(bus.server.connections(), 0, "it does not wait for a next request");

        let mut idle = bus.stream();
        idle.shutdown().await.unwrap();
        settle().await;
        assert_eq!(bus.server.connections(), 0, "nor for a first one");
        let mut broken_off = bus.stream();
        broken_off.write_all(&post.as_bytes()[..post.len() - 1]).await.unwrap();
        broken_off.shutdown().await.unwrap();
        settle().await;
        assert_eq!(bus.server.connections(), 0, "nor for what it has broken off");
        assert_eq!(databases.under_way().await, 0, "which comes to no event");

        // A socket that is accepted for somebody who has ended meanwhile is closed at its object.
        drop(bus.namespace.submit(&support::workspace("w"), &request("add", "a")));
        let mut upgrade = bus.stream();
        let head = format!("GET /v1/w/lease/subscribe HTTP/1.1\r\nhost: localhost\r\n{UPGRADE}");
        upgrade.write_all(head.as_bytes()).await.unwrap();
        upgrade.shutdown().await.unwrap();
        settle().await;
        assert_eq!(bus.sockets(), 1);
        while databases.under_way().await > 0 {
            databases.let_go().await;
        }
        assert_eq!((bus.sockets(), bus.server.connections()), (0, 0));
    });
}

#[test]
fn a_connection_that_is_used_is_kept() {
    test(async {
        let bus = bus();
        let mut connection = bus.connect().await;
        for n in 1..=8 {
            assert_eq!(connection.post(ADD, "a").await.unwrap().json()["n"], n);
            bus.clock.advance(Duration::from_secs(40)).await;
        }
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
