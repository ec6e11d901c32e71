//! Connections whose other end is slow, silent or gone: each is waited for as long as something moves, and
//! nobody waits for another. Streams are in memory and time is the test's.

mod support;

use std::time::Duration;

use futures_util::SinkExt;
use mailbus_worker::native::Objects;
use mailbus_worker::native::namespace::BEHIND_MAX_FRAMES;
use support::flush::HeldDatabases;
use support::served::{ADD, UPGRADE, bus, bus_on, next, test};
use support::settle;
use support::toy::request;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::Message;

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
