//! A large object wakes in pieces: others are served in between, and its own events wait in their order.

mod support;

use std::time::Duration;

use futures_util::FutureExt;
use mailbus_worker::native::namespace::{WAITING_MAX, WAITING_MAX_BYTES};
use mailbus_worker::native::{Arrival, Completion, MemoryDatabases, Namespace, Objects, Submitted};
use mailbus_worker::object::{Response, SocketId};
use support::clock::ManualClock;
use support::objects::{
    answer, n, namespace, response, sent, status, submit, submit_to, subscribe, texts,
};
use support::toy::Toy;
use support::{on_event_loop, settle, workspace};

/// Texts that take a piece each to read.
const PIECES: u32 = 5;

/// An object that takes some pieces to wake, and is not awake.
async fn asleep(clock: &ManualClock) -> Namespace<Toy> {
    let objects = namespace(clock, MemoryDatabases::new());
    for _ in 0..PIECES {
        submit(&objects, "add", "piece").await.unwrap();
    }
    evict(&objects);
    objects
}

fn evict(objects: &Namespace<Toy>) {
    objects.with(&workspace("w"), |instance| instance.evict()).unwrap();
}

fn frame(objects: &Namespace<Toy>, socket: SocketId, text: &str) -> Submitted {
    objects.submit(&workspace("w"), &Arrival::Frame { socket, text })
}

#[test]
fn others_are_served_between_the_pieces_and_its_own_events_wait_in_order() {
    on_event_loop(async {
        let objects = asleep(&ManualClock::default()).await;
        let (socket, outbox) = subscribe(&objects).await;
        evict(&objects);
        let mut first = submit(&objects, "add", "a");
        let second = frame(&objects, socket, "b");
        let mut third = submit(&objects, "add", "c");
        for turn in 0..PIECES {
            assert_eq!(answer(&mut first), None, "{turn}");
            assert_eq!(answer(&mut submit_to(&objects, "other", "add", "x")), n(turn + 1));
            tokio::task::yield_now().await;
        }
        settle().await;
        assert_eq!((answer(&mut first), answer(&mut third)), (n(PIECES + 1), n(PIECES + 3)));
        assert!(second.now_or_never().is_some());
        assert_eq!(texts(&outbox), ["added 6", "1:b", "added 8"]);
        assert_eq!(answer(&mut submit(&objects, "add", "d")), n(PIECES + 4), "at once");
    });
}

#[test]
fn as_many_events_wait_as_may_and_a_close_always() {
    on_event_loop(async {
        let objects = asleep(&ManualClock::default()).await;
        let (socket, outbox) = subscribe(&objects).await;
        let (_, stays) = subscribe(&objects).await;
        evict(&objects);
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| submit(&objects, "count", "")).collect();
        assert_eq!(status(&mut submit(&objects, "add", "x")), (503, Some(1)));
        drop(frame(&objects, socket, "x"));
        let [told] = &texts(&outbox)[..] else { panic!("one frame") };
        assert!(told.contains("overloaded") && told.contains("Nothing was changed"), "{told}");
        let closed = objects.submit(&workspace("w"), &Arrival::Closed { socket });
        for asked in waiting {
            assert!(matches!(asked.await, Ok(Completion::Answered(Response { status: 200, .. }))));
        }
        assert!(closed.await.is_ok());
        settle().await;
        assert_eq!(answer(&mut submit(&objects, "add", "y")), n(PIECES + 2), "`closed` is one");
        assert_eq!((sent(&outbox).len(), sent(&stays).len()), (0, 1));
    });
}

#[test]
fn what_waits_is_bounded_in_bytes_too() {
    on_event_loop(async {
        let objects = asleep(&ManualClock::default()).await;
        let body = "x".repeat(1 << 20);
        let most = WAITING_MAX_BYTES / body.len();
        let mut asked: Vec<_> = (0..=most).map(|_| submit(&objects, "add", &body)).collect();
        let refused = asked.iter_mut().filter_map(response).count();
        assert!((1..=2).contains(&refused), "{refused} of {most}");
    });
}

#[test]
fn what_waits_is_over_when_the_process_ends() {
    on_event_loop(async {
        let objects = asleep(&ManualClock::default()).await;
        let waiting = submit(&objects, "add", "a");
        objects.crash(&workspace("w"));
        assert!(waiting.now_or_never().unwrap().is_err(), "its outcome is unknown");
        let mut after = submit(&objects, "add", "b");
        settle().await;
        assert_eq!(answer(&mut after), n(PIECES + 1), "it was not begun");
    });
}

#[test]
fn what_waits_is_refused_when_the_object_cannot_be_read() {
    on_event_loop(async {
        let clock = ManualClock::default();
        let objects = asleep(&clock).await;
        let (socket, outbox) = subscribe(&objects).await;
        evict(&objects);
        let mut first = submit(&objects, "add", "a");
        let closed = objects.submit(&workspace("w"), &Arrival::Closed { socket });
        let mut last = submit(&objects, "add", "b");
        objects
            .with(&workspace("w"), |instance| instance.database().faults().fail_at = Some(3))
            .unwrap();
        settle().await;
        assert_eq!((status(&mut first).0, status(&mut last).0), (503, 503));
        assert!(closed.now_or_never().is_some());
        clock.advance(Duration::from_millis(100)).await;
        let mut sockets = submit(&objects, "sockets", "");
        settle().await;
        assert_eq!(answer(&mut sockets), n(0), "the one that closed is gone");
        assert_eq!(answer(&mut submit(&objects, "add", "c")), n(PIECES + 1));
        assert_eq!(sent(&outbox), []);
    });
}

#[test]
fn an_alarm_waits_while_its_object_wakes() {
    on_event_loop(async {
        let clock = ManualClock::default();
        let objects = asleep(&clock).await;
        tokio::task::spawn_local(objects.ring_alarms());
        let mut armed = submit(&objects, "arm", "5000");
        settle().await;
        assert!(answer(&mut armed).is_some());
        evict(&objects);
        clock.advance(Duration::from_millis(5_000)).await;
        assert_eq!(answer(&mut submit(&objects, "add", "a")), n(PIECES + 2), "`alarm` is one");
        assert!(objects.pending_alarms().is_empty());
    });
}
