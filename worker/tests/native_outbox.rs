//! Goal: what waits for readers is bounded by their movement, for each of them and for all together.
//!
//! Method: the outboxes of a toy's sockets, without connections: the test takes what a socket would,
//! and says when.

mod support;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mailbus_spec::limits::FRAME_MAX_BYTES;
use mailbus_worker::native::namespace::{BEHIND_MAX_BYTES, BEHIND_MAX_FRAMES};
use mailbus_worker::native::{
    Arrival, Budget, Completion, MemoryDatabases, Namespace, NamespaceSettings, Objects, Outbox,
    Outgoing,
};
use mailbus_worker::object::{Body, Request, SocketId};
use support::clock::ManualClock;
use support::toy::Toy;
use support::{on_event_loop, workspace};

const MIB: usize = 1 << 20;

/// A toy whose outboxes share a budget.
struct Crowd {
    clock: ManualClock,
    budget: Arc<Budget>,
    toys: Namespace<Toy>,
}

impl Crowd {
    fn new(budget: usize) -> Self {
        let (clock, budget) = (ManualClock::default(), Budget::new(budget));
        let outboxes = Arc::clone(&budget);
        let settings = NamespaceSettings { outboxes, ..NamespaceSettings::default() };
        let databases = Rc::new(MemoryDatabases::new());
        let toys = Namespace::new(Rc::new(clock.clone()), databases, settings, Toy::wake);
        Self { clock, budget, toys }
    }

    /// A reader of the workspace, with a window of so many bytes or with none.
    async fn reader(&self, workspace: &str, window: Option<usize>) -> Reader {
        let query = window.map(|bytes| bytes.to_string()).unwrap_or_default();
        let subscribe = Arrival::Request(Request {
            method: "GET",
            action: "subscribe",
            query: &query,
            upgrade: true,
            body: Body::Whole(b""),
        });
        match self.toys.submit(&support::workspace(workspace), &subscribe).await.unwrap() {
            Completion::Accepted { socket, outbox } => Reader { socket, outbox },
            other => panic!("{other:?}"),
        }
    }

    /// Tells every reader of the teller's workspace a text of so many bytes.
    async fn tell(&self, workspace: &str, teller: &Reader, bytes: usize) {
        let text = format!("tell:{}", "x".repeat(bytes));
        let frame = Arrival::Frame { socket: teller.socket, text: &text };
        self.toys.submit(&self::workspace(workspace), &frame).await.unwrap();
    }
}

struct Reader {
    socket: SocketId,
    outbox: Arc<Outbox>,
}

impl Reader {
    /// Takes all that waits.
    fn take_all(&self, clock: &ManualClock) -> usize {
        let frames = std::iter::from_fn(|| self.outbox.try_next()).count();
        self.outbox.took_all(clock.passed());
        frames
    }

    fn is_gone(&self) -> bool {
        self.outbox.is_abandoned()
    }
}

#[test]
fn an_inbox_may_wait_for_a_reader_and_no_more() {
    on_event_loop(async {
        let crowd = Crowd::new(usize::MAX);
        let (stalled, teller) = (crowd.reader("w", None).await, crowd.reader("w", None).await);
        for _ in 0..BEHIND_MAX_BYTES / MIB {
            crowd.tell("w", &teller, MIB).await;
            assert_eq!(teller.take_all(&crowd.clock), 1);
        }
        assert!(!stalled.is_gone(), "its length alone is no reason");
        crowd.tell("w", &teller, 1).await;
        assert!(stalled.is_gone() && !teller.is_gone());
        let short = crowd.reader("w", None).await;
        for _ in 0..BEHIND_MAX_FRAMES {
            short.outbox.push(Outgoing::Ping, Duration::ZERO);
        }
        assert!(!short.is_gone());
        short.outbox.push(Outgoing::Ping, Duration::ZERO);
        assert!(short.is_gone(), "many short frames take memory too");
    });
}

#[test]
fn a_text_for_many_readers_is_held_once_until_the_last_has_taken_it() {
    on_event_loop(async {
        let crowd = Crowd::new(60 * MIB);
        let mut readers = Vec::new();
        for _ in 0..60 {
            readers.push(crowd.reader("w", None).await);
        }
        for _ in 0..20 {
            crowd.tell("w", &readers[0], MIB).await;
        }
        assert_eq!(crowd.budget.used(), 20 * MIB);
        let last = readers.pop().unwrap();
        for reader in &readers {
            assert_eq!(reader.take_all(&crowd.clock), 20);
        }
        assert_eq!(crowd.budget.used(), 20 * MIB);
        // What a connection is writing is a copy of its own.
        assert!(last.outbox.try_next().is_some());
        assert_eq!(crowd.budget.used(), 20 * MIB, "19 that wait and one that is written");
        last.outbox.took(MIB / 2, Duration::ZERO);
        assert_eq!((crowd.budget.used(), last.outbox.backlog()), (39 * MIB / 2, 39 * MIB / 2));
        last.outbox.abandon();
        assert_eq!(crowd.budget.used(), 0);
        assert!(readers.iter().all(|reader| !reader.is_gone()));
    });
}

#[test]
fn beyond_the_budget_who_has_taken_nothing_the_longest_goes_first() {
    on_event_loop(async {
        let crowd = Crowd::new(10 * MIB);
        // Whoever gets the most has stalled last, and each is told in a workspace of its own.
        let (a, b, c) = (
            crowd.reader("a", None).await,
            crowd.reader("b", None).await,
            crowd.reader("c", None).await,
        );
        for (name, reader, bytes) in [("a", &a, MIB), ("b", &b, 2 * MIB), ("c", &c, 6 * MIB)] {
            crowd.tell(name, reader, bytes).await;
            crowd.clock.advance(Duration::from_secs(2)).await;
        }
        assert!(crowd.budget.used() <= 10 * MIB);
        crowd.tell("c", &c, 2 * MIB).await;
        assert_eq!([&a, &b, &c].map(Reader::is_gone), [true, false, false]);
        // One that has taken a little moves.
        assert!(b.outbox.try_next().is_some());
        b.outbox.took(1, crowd.clock.passed());
        crowd.tell("b", &b, 2 * MIB).await;
        assert_eq!([&b, &c].map(Reader::is_gone), [false, true]);
    });
}

#[test]
fn among_those_that_move_the_largest_goes_and_nobody_within_its_window() {
    on_event_loop(async {
        let crowd = Crowd::new(20 * MIB);
        let (small, large) = (crowd.reader("a", None).await, crowd.reader("b", None).await);
        let within = crowd.reader("c", Some(12 * MIB)).await;
        crowd.tell("c", &within, 12 * MIB).await;
        crowd.clock.advance(Duration::from_secs(20)).await;
        crowd.tell("b", &large, 5 * MIB).await;
        crowd.tell("a", &small, 2 * MIB).await;
        crowd.tell("a", &small, 2 * MIB).await;
        assert_eq!([&small, &large, &within].map(Reader::is_gone), [false, true, false]);
        // With its window it may be sent a frame of replies; more than that it has not asked for.
        crowd.tell("c", &within, FRAME_MAX_BYTES).await;
        assert!(!within.is_gone());
        crowd.clock.advance(Duration::from_secs(1)).await;
        crowd.tell("c", &within, MIB).await;
        assert_eq!([&small, &within].map(Reader::is_gone), [false, true], "it stalled longer");
    });
}

#[test]
fn windows_together_may_exceed_the_budget() {
    on_event_loop(async {
        let crowd = Crowd::new(2 * MIB);
        let mut readers = Vec::new();
        for _ in 0..3 {
            let reader = crowd.reader("w", Some(MIB)).await;
            readers.push(reader);
        }
        for _ in 0..3 {
            crowd.tell("w", &readers[0], MIB).await;
        }
        assert_eq!(crowd.budget.used(), 3 * MIB);
        assert!(readers.iter().all(|reader| !reader.is_gone()));
        // Who has no window pays for them only if much waits for it.
        let (little, much) = (crowd.reader("u", None).await, crowd.reader("v", None).await);
        crowd.tell("u", &little, 64 << 10).await;
        crowd.clock.advance(Duration::from_secs(1)).await;
        crowd.tell("v", &much, (64 << 10) + 1).await;
        assert!(much.is_gone() && !little.is_gone());
        crowd.toys.crash(&workspace("u"));
        drop(readers);
        assert_eq!(crowd.budget.used(), 3 * MIB, "the object holds its sockets' outboxes");
        crowd.toys.crash(&workspace("w"));
        assert_eq!(crowd.budget.used(), 0);
    });
}
