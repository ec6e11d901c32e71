//! Price of a storage that fails: nothing that was acknowledged, nobody but who asks that object, and
//! no restart. Flushes, faults and time are the test's.

mod support;

use std::time::Duration;

use futures_util::FutureExt;
use mailbus_worker::native::{
    Arrival, FileDatabases, MemoryDatabases, Namespace, Objects, Outgoing,
};
use support::clock::ManualClock;
use support::flush::HeldDatabases;
use support::objects::{
    answer, count, n, namespace, narrow, response, sent, status, submit, submit_to, subscribe,
    texts,
};
use support::toy::Toy;
use support::{on_event_loop, settle, workspace};

const PAUSE: Duration = Duration::from_millis(100);

fn set_full(namespace: &Namespace<Toy>, full: bool) {
    namespace.with(&workspace("w"), |instance| instance.database().faults().full = full).unwrap();
}

fn is_awake(namespace: &Namespace<Toy>) -> bool {
    namespace.with(&workspace("w"), |instance| instance.is_awake()).unwrap()
}

#[test]
fn after_a_cut_flush_nothing_is_let_go_and_the_object_heals() {
    on_event_loop(async {
        let (clock, databases) = (ManualClock::default(), HeldDatabases::new());
        let objects = namespace(&clock, databases.clone());
        let mut created = submit(&objects, "add", "a");
        databases.let_go().await;
        assert_eq!(answer(&mut created), n(1));
        let (socket, outbox) = subscribe(&objects).await;

        let lost = ["add", "add", "count"].map(|action| submit(&objects, action, "b"));
        databases.cut().await;
        for lost in lost {
            assert!(lost.now_or_never().unwrap().is_err(), "its connection drops");
        }
        assert!(outbox.is_abandoned());
        assert_eq!(sent(&outbox), []);
        assert_eq!(*databases.distrusted.borrow(), [workspace("w")]);

        // For a moment it is left alone; others are not.
        let refused = response(&mut submit(&objects, "add", "c")).unwrap();
        assert_eq!((refused.status, refused.retry_after), (503, Some(1)));
        assert!(refused.body.contains("Nothing was changed"), "{}", refused.body);
        drop(objects.submit(&workspace("w"), &Arrival::Closed { socket }));
        let mut other = submit_to(&objects, "other", "add", "a");
        databases.let_go().await;
        assert_eq!(answer(&mut other), n(1));

        // Then it is opened anew, and what it acknowledges is durable again.
        clock.advance(PAUSE).await;
        let mut after = submit(&objects, "add", "d");
        assert_eq!(answer(&mut after), None, "it is held");
        databases.let_go().await;
        // Whether what was cut is there is anybody's guess: here it is.
        assert_eq!(answer(&mut after), n(4));
        drop(objects);
        databases.lose_power();
        let restarted = namespace(&clock, databases.clone());
        assert_eq!(count(&restarted, "w").0, 4);
    });
}

#[test]
fn an_object_whose_flush_was_cut_is_opened_again_for_its_alarm() {
    on_event_loop(async {
        let (clock, databases) = (ManualClock::default(), HeldDatabases::new());
        let objects = namespace(&clock, databases.clone());
        tokio::task::spawn_local(objects.ring_alarms());
        drop(submit(&objects, "alarm", "3600000"));
        databases.cut().await;
        clock.advance(Duration::from_millis(2_000)).await;
        assert_eq!(databases.under_way().await, 1, "the alarm rang, and wrote");
        databases.let_go().await;
        assert_eq!(count(&objects, "w").0, 2, "nobody had asked");
    });
}

#[test]
fn each_cut_flush_makes_the_pause_longer_until_one_ends_well() {
    on_event_loop(async {
        let (clock, databases) = (ManualClock::default(), HeldDatabases::new());
        let objects = namespace(&clock, databases.clone());
        for pause in [100, 200, 400] {
            drop(submit(&objects, "add", "a"));
            databases.cut().await;
            clock.advance(Duration::from_millis(pause - 1)).await;
            assert_eq!(status(&mut submit(&objects, "count", "")).0, 503, "after {pause} ms");
            clock.advance(Duration::from_millis(1)).await;
        }
        drop(submit(&objects, "add", "a"));
        databases.let_go().await;
        drop(submit(&objects, "add", "a"));
        databases.cut().await;
        clock.advance(PAUSE).await;
        assert_eq!(count(&objects, "w").0, 5);
    });
}

#[test]
fn an_event_that_sets_an_alarm_and_writes_nothing_waits_for_its_flush() {
    on_event_loop(async {
        let databases = HeldDatabases::new();
        let objects = namespace(&ManualClock::default(), databases.clone());
        drop(submit(&objects, "count", ""));
        databases.let_go().await;
        let mut armed = submit(&objects, "arm", "5000");
        assert_eq!((answer(&mut armed), databases.under_way().await), (None, 1));
        databases.let_go().await;
        assert_eq!(answer(&mut armed).as_deref(), Some("{}"));
    });
}

#[test]
fn a_full_disk_costs_one_write_a_pause_and_its_end_is_noticed() {
    on_event_loop(async {
        let clock = ManualClock::default();
        let objects = namespace(&clock, MemoryDatabases::new());
        let (socket, outbox) = subscribe(&objects).await;
        submit(&objects, "add", "a").await.unwrap();
        sent(&outbox);
        set_full(&objects, true);
        assert_eq!(status(&mut submit(&objects, "add", "b")).0, 500, "it was tried");
        for pause in [100, 200, 400] {
            assert_eq!(status(&mut submit(&objects, "add", "b")), (503, Some(1)));
            assert_eq!(status(&mut submit(&objects, "count", "")), (503, Some(1)));
            clock.advance(Duration::from_millis(pause)).await;
            // The small write fails, and so nothing is read.
            assert_eq!(status(&mut submit(&objects, "add", "b")), (503, Some(1)));
            assert!(!is_awake(&objects));
        }
        drop(objects.submit(&workspace("w"), &Arrival::Frame { socket, text: "x" }));
        let [told] = &texts(&outbox)[..] else { panic!("one frame") };
        assert!(told.starts_with(r#"{"type":"$error""#) && told.contains("overloaded"), "{told}");
        assert_eq!(answer(&mut submit_to(&objects, "other", "add", "a")), n(1));

        set_full(&objects, false);
        clock.advance(Duration::from_millis(800)).await;
        assert_eq!(answer(&mut submit(&objects, "add", "c")), n(2));
        drop(objects.submit(&workspace("w"), &Arrival::Frame { socket, text: "y" }));
        assert_eq!(sent(&outbox).len(), 2, "it was told of c, and its frame is answered");
    });
}

#[test]
fn the_alarm_of_a_database_that_cannot_be_opened_is_tried_again() {
    on_event_loop(async {
        let (clock, databases) = (ManualClock::default(), HeldDatabases::new());
        let objects = narrow(&clock, databases.clone(), 1);
        tokio::task::spawn_local(objects.ring_alarms());
        drop(submit(&objects, "alarm", "5000"));
        databases.let_go().await;
        drop(submit_to(&objects, "other", "add", "a"));
        databases.let_go().await;
        databases.closed.set(true);
        clock.advance(Duration::from_millis(5_000)).await;
        databases.closed.set(false);
        clock.advance(Duration::from_millis(1_900)).await;
        assert_eq!(databases.under_way().await, 0, "not yet");
        clock.advance(Duration::from_millis(200)).await;
        assert_eq!(databases.under_way().await, 1, "it rang, and wrote");
    });
}

#[test]
fn a_socket_is_gone_although_its_database_could_not_be_opened_when_it_closed() {
    on_event_loop(async {
        let (clock, databases) = (ManualClock::default(), HeldDatabases::new());
        let objects = narrow(&clock, databases.clone(), 1);
        drop(submit(&objects, "count", ""));
        databases.let_go().await;
        let (socket, outbox) = subscribe(&objects).await;
        let (_, stays) = subscribe(&objects).await;
        drop(submit_to(&objects, "other", "add", "a"));
        databases.let_go().await;

        databases.closed.set(true);
        drop(objects.submit(&workspace("w"), &Arrival::Closed { socket }));
        databases.closed.set(false);
        clock.advance(PAUSE).await;
        assert_eq!(answer(&mut submit(&objects, "sockets", "")), n(1), "it wakes without it");
        drop(submit(&objects, "add", "a"));
        databases.let_go().await;
        assert_eq!(sent(&outbox), []);
        assert_eq!(sent(&stays), [Outgoing::Frame("added 1".into())]);
    });
}

#[test]
fn a_log_is_written_anew_by_each_process_and_after_each_cut() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let number = || {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(folder.path().join("w.sqlite-wal")).unwrap().ino()
        };
        let open = || {
            let databases = FileDatabases::in_folder(folder.path()).unwrap();
            (narrow(&ManualClock::default(), databases.clone(), 1), databases)
        };
        let (objects, databases) = open();
        submit(&objects, "add", "a").await.unwrap();
        let first = number();
        // Closed and opened by the same process it is trusted.
        submit_to(&objects, "other", "add", "a").await.unwrap();
        submit(&objects, "add", "b").await.unwrap();
        assert_eq!(number(), first);
        submit_to(&objects, "other", "add", "b").await.unwrap();
        mailbus_worker::native::Databases::distrust(&databases, &workspace("w"));
        submit(&objects, "add", "c").await.unwrap();
        let second = number();
        assert_ne!(second, first);
        // The process ends without a chance to close anything.
        submit_to(&objects, "other", "add", "c").await.unwrap();
        std::mem::forget(objects);
        settle().await;
        let (restarted, _) = open();
        assert_eq!(count(&restarted, "w").0, 3);
        assert_ne!(number(), second);
    });
}
