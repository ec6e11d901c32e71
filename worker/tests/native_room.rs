//! Few databases are open, and nobody notices: nothing is closed under a flush, alarms ring, sockets
//! and the memory of small objects stay.

mod support;

use std::rc::Rc;
use std::time::Duration;

use mailbus_worker::native::{
    Arrival, Database, Databases, FileDatabases, MemoryDatabases, Namespace, NamespaceSettings,
    Objects, Outgoing,
};
use support::clock::ManualClock;
use support::flush::HeldDatabases;
use support::objects::{answer, count, n, narrow, sent, submit, submit_to, subscribe};
use support::toy::Toy;
use support::{on_event_loop, settle, workspace};

#[test]
fn a_database_is_not_closed_under_a_flush() {
    on_event_loop(async {
        let (clock, databases) = (ManualClock::default(), HeldDatabases::new());
        let objects = narrow(&clock, databases.clone(), 1);
        let mut first = submit(&objects, "add", "a");
        assert_eq!(databases.under_way().await, 1);
        let mut second = submit(&objects, "add", "b");
        let mut other = submit_to(&objects, "other", "add", "a");
        let mut last = submit_to(&objects, "other", "add", "b");
        clock.advance(Duration::from_millis(1)).await;
        assert_eq!(databases.under_way().await, 1, "the other waits until there is room");
        databases.let_go().await;
        assert_eq!((answer(&mut first), answer(&mut second)), (n(1), None));
        clock.advance(Duration::from_millis(1)).await;
        databases.let_go().await;
        assert_eq!(answer(&mut second), n(2));
        clock.advance(Duration::from_millis(1)).await;
        assert_eq!((answer(&mut other), databases.under_way().await), (None, 1));
        databases.let_go().await;
        databases.let_go().await;
        assert_eq!((answer(&mut other), answer(&mut last)), (n(1), n(2)));
        assert_eq!(databases.under_way().await, 0);
    });
}

#[test]
fn an_alarm_rings_although_its_database_was_closed() {
    on_event_loop(async {
        let clock = ManualClock::default();
        let objects = narrow(&clock, MemoryDatabases::new(), 1);
        tokio::task::spawn_local(objects.ring_alarms());
        submit(&objects, "alarm", "5000").await.unwrap();
        submit_to(&objects, "other", "add", "a").await.unwrap();
        assert_eq!(objects.pending_alarms().len(), 1);
        clock.advance(Duration::from_secs(5)).await;
        assert_eq!(count(&objects, "w").0, 2, "`alarm` was added");
    });
}

#[test]
fn a_closed_database_is_opened_again_with_its_sockets_and_its_memory() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let databases = FileDatabases::in_folder(folder.path()).unwrap();
        let objects = narrow(&ManualClock::default(), databases.clone(), 2);
        submit(&objects, "add", "a").await.unwrap();
        let (socket, outbox) = subscribe(&objects).await;
        let names: Vec<_> = (0..8).map(|n| format!("w{n}")).collect();
        for name in names.iter().chain(&names) {
            submit_to(&objects, name, "add", "a").await.unwrap();
        }
        let is_open = |name: &str| Database::in_file(&databases.file_of(&workspace(name))).is_err();
        let open: Vec<_> = names.iter().filter(|name| is_open(name)).collect();
        assert_eq!(open, ["w6", "w7"], "a file is locked while it is open");
        let frame = Arrival::Frame { socket, text: "x" };
        objects.submit(&workspace("w"), &frame).await.unwrap();
        assert_eq!(sent(&outbox), [Outgoing::Frame("1:x".into())]);
        assert_eq!(count(&objects, "w"), (2, 4), "it has not woken since");
        assert_eq!(count(&objects, "w0"), (2, 3));
    });
}

#[test]
fn memory_is_dropped_beyond_its_bound_and_nothing_else_is_lost() {
    on_event_loop(async {
        let settings = NamespaceSettings {
            open_databases: 1,
            kept_bytes: 2_500,
            ..NamespaceSettings::default()
        };
        let clock = Rc::new(ManualClock::default());
        let objects = Namespace::new(clock, Rc::new(MemoryDatabases::new()), settings, Toy::wake);
        for name in ["a", "b", "c", "d"] {
            submit_to(&objects, name, "add", "x").await.unwrap();
        }
        // `d` is open, and there is room for two more.
        assert_eq!(count(&objects, "c"), (1, 2), "kept");
        assert_eq!(count(&objects, "a"), (1, 1), "woken");
    });
}

#[test]
fn workspaces_that_nobody_wrote_to_close_no_database() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let databases = FileDatabases::in_folder(folder.path()).unwrap();
        let leases = Namespace::new(
            Rc::new(ManualClock::default()),
            Rc::new(databases.clone()),
            NamespaceSettings { open_databases: 2, ..NamespaceSettings::default() },
            mailbus_worker::lease::ProductionLeaseObject::wake,
        );
        let ask = |name: &str, action: &str, body: &str| {
            leases.submit(&workspace(name), &support::toy::request(action, body))
        };
        let acquire = r#"{"file":"a","agentId":"ann","ttlMs":60000}"#;
        ask("w", "acquire", acquire).await.unwrap();
        for n in 0..200 {
            ask(&format!("none-{n}"), "status", r#"{"file":"a"}"#).await.unwrap();
        }
        assert!(Database::in_file(&databases.file_of(&workspace("w"))).is_err(), "it is open");
        assert_eq!(databases.existing().unwrap(), [workspace("w")]);
    });
}

#[test]
fn the_number_of_a_socket_is_not_given_again() {
    on_event_loop(async {
        let objects = narrow(&ManualClock::default(), MemoryDatabases::new(), 1);
        let (first, _) = subscribe(&objects).await;
        objects.submit(&workspace("w"), &Arrival::Closed { socket: first }).await.unwrap();
        objects.crash(&workspace("w"));
        submit_to(&objects, "other", "add", "a").await.unwrap();
        settle().await;
        let (second, _) = subscribe(&objects).await;
        assert!(second > first, "a close of the first may still be on its way");
    });
}
