//! No effect leaves before its flush, a cut flush lets nothing go, and databases are closed and opened
//! again without anybody noticing. Flushes are the test's.

mod support;

use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::native::{
    Arrival, Databases, Exchange, FileDatabases, MemoryDatabases, Namespace, NamespaceSettings,
    Objects, Outbox, Outgoing, Submitted,
};
use mailbus_worker::object::{Response, SocketId};
use support::flush::HeldDatabases;
use support::host::ManualHost;
use support::toy::{Toy, request};
use support::{on_event_loop, settle, workspace};

fn namespace(host: &ManualHost, databases: impl Databases + 'static) -> Namespace<Toy> {
    Namespace::new(Rc::new(host.clone()), Rc::new(databases), NamespaceSettings::default())
}

fn submit(namespace: &Namespace<Toy>, action: &str, body: &str) -> Submitted {
    namespace.submit(&workspace("w"), &request(action, body))
}

/// The body of an answer that may leave by now; `None` if it is held.
fn answer(submitted: &mut Submitted) -> Option<String> {
    match submitted.now_or_never()? {
        Ok(Exchange::Answered(response)) => Some(response.body),
        other => panic!("{other:?}"),
    }
}

fn n(n: u32) -> Option<String> {
    Some(format!(r#"{{"n":{n}}}"#))
}

async fn subscribe(namespace: &Namespace<Toy>) -> (SocketId, Arc<Outbox>) {
    match submit(namespace, "subscribe", "").await.unwrap() {
        Exchange::Accepted { socket, outbox } => (socket, outbox),
        other => panic!("{other:?}"),
    }
}

fn sent(outbox: &Outbox) -> Vec<Outgoing> {
    std::iter::from_fn(|| outbox.try_next()).collect()
}

/// A namespace whose object has been created and flushed.
async fn held() -> (Namespace<Toy>, HeldDatabases) {
    let databases = HeldDatabases::new();
    let namespace = namespace(&ManualHost::default(), databases.clone());
    let mut created = submit(&namespace, "count", "");
    databases.let_go().await;
    assert!(answer(&mut created).is_some());
    (namespace, databases)
}

#[test]
fn no_effect_leaves_before_its_flush() {
    on_event_loop(async {
        let (namespace, databases) = held().await;
        let (_, outbox) = subscribe(&namespace).await;
        let mut first = submit(&namespace, "add", "a");
        assert_eq!(databases.under_way().await, 1);
        assert_eq!((answer(&mut first), sent(&outbox)), (None, vec![]));
        // Two more come while the first flush is under way: one more flush covers both.
        let (mut second, mut third) =
            (submit(&namespace, "add", "b"), submit(&namespace, "add", "c"));
        databases.let_go().await;
        assert_eq!(
            (answer(&mut first), answer(&mut second), answer(&mut third)),
            (n(1), None, None)
        );
        assert_eq!(sent(&outbox), [Outgoing::Frame("added 1".into())]);
        databases.let_go().await;
        assert_eq!((answer(&mut second), answer(&mut third)), (n(2), n(3)));
        assert_eq!(sent(&outbox), ["added 2", "added 3"].map(|text| Outgoing::Frame(text.into())));
        assert_eq!(databases.under_way().await, 0);
    });
}

#[test]
fn an_event_that_wrote_nothing_waits_only_for_what_it_may_have_read() {
    on_event_loop(async {
        let (namespace, databases) = held().await;
        assert!(answer(&mut submit(&namespace, "count", "")).is_some(), "nothing to wait for");
        let mut write = submit(&namespace, "add", "a");
        assert_eq!(databases.under_way().await, 1);
        // The flush that is under way covers the write that this one has read.
        let mut read = submit(&namespace, "count", "");
        assert_eq!(answer(&mut read), None);
        // An object of its own.
        let mut other = namespace.submit(&workspace("other"), &request("count", ""));
        assert_eq!(answer(&mut other), None, "it made its table");
        databases.let_go().await;
        assert_eq!(answer(&mut write), n(1));
        assert!(answer(&mut read).unwrap().starts_with(r#"{"n":1,"#));
        assert_eq!(
            databases.under_way().await,
            1,
            "no second flush for the read, one for the other"
        );
    });
}

#[test]
fn a_cut_flush_acknowledges_nothing_and_stops_the_object() {
    on_event_loop(async {
        let (namespace, databases) = held().await;
        let (socket, outbox) = subscribe(&namespace).await;
        let mut before = submit(&namespace, "add", "a");
        databases.let_go().await;
        assert_eq!(answer(&mut before), n(1));
        sent(&outbox);

        let cut = submit(&namespace, "add", "b");
        let after = submit(&namespace, "add", "c");
        let read = submit(&namespace, "count", "");
        databases.cut().await;
        for lost in [cut, after, read] {
            assert!(lost.now_or_never().unwrap().is_err(), "its connection drops");
        }
        assert!(outbox.is_abandoned());
        assert_eq!(sent(&outbox), []);
        match submit(&namespace, "count", "").await.unwrap() {
            Exchange::Answered(response) => assert_eq!(response.status, 503),
            other => panic!("{other:?}"),
        }
        let frame = Arrival::Frame { socket, text: "d" };
        assert!(namespace.submit(&workspace("w"), &frame).await.is_err());
        // Others go on.
        let mut other = namespace.submit(&workspace("other"), &request("add", "a"));
        databases.let_go().await;
        assert_eq!(answer(&mut other), n(1));

        // The power fails: what was acknowledged is there, what was cut is not.
        drop(namespace);
        databases.lose_power();
        let restarted = self::namespace(&ManualHost::default(), databases.clone());
        assert!(answer(&mut submit(&restarted, "count", "")).unwrap().starts_with(r#"{"n":1,"#));
    });
}

#[test]
fn a_refused_acquire_costs_neither_a_row_nor_a_flush() {
    on_event_loop(async {
        let databases = HeldDatabases::new();
        let leases = Namespace::<ProductionLeaseObject>::new(
            Rc::new(ManualHost::default()),
            Rc::new(databases.clone()),
            NamespaceSettings::default(),
        );
        let asks = |agent: &str| {
            let body = format!(r#"{{"file":"a","agentId":"{agent}","ttlMs":60000}}"#);
            leases.submit(&workspace("w"), &request("acquire", &body))
        };
        // What the answer says and costs; `None` while it is held.
        let told = |submitted: &mut Submitted| match submitted.now_or_never()? {
            Ok(Exchange::Answered(Response { body, charged, .. })) => {
                Some((body.contains(r#""acquired":true"#), charged.unwrap()))
            }
            other => panic!("{other:?}"),
        };
        let mut granted = asks("ann");
        assert_eq!((told(&mut granted), databases.under_way().await), (None, 1));
        let mut early = asks("bob");
        assert_eq!((told(&mut early), databases.under_way().await), (None, 1), "it read the grant");
        databases.let_go().await;
        assert!(matches!(told(&mut granted), Some((true, 1..))), "this one is charged for");
        assert_eq!((told(&mut early), databases.under_way().await), (Some((false, 0)), 0));
        for _ in 0..100 {
            assert_eq!(told(&mut asks("bob")), Some((false, 0)), "at once");
        }
        assert_eq!(databases.under_way().await, 0);
    });
}

/// Shows that the tests above can fail: without a flush everything would have left at once.
#[test]
fn without_a_flush_effects_leave_at_once() {
    on_event_loop(async {
        let namespace = namespace(&ManualHost::default(), MemoryDatabases::new());
        assert_eq!(answer(&mut submit(&namespace, "add", "a")), n(1));
    });
}

#[test]
fn a_crash_drops_what_is_held_and_keeps_what_was_committed() {
    on_event_loop(async {
        let (namespace, databases) = held().await;
        let (_, outbox) = subscribe(&namespace).await;
        let held = submit(&namespace, "add", "a");
        namespace.crash(&workspace("w"));
        assert!(held.await.is_err());
        assert!(outbox.is_abandoned());
        let mut count = submit(&namespace, "count", "");
        assert_eq!(answer(&mut count), None, "it has read what is not flushed");
        databases.let_go().await;
        assert!(answer(&mut count).unwrap().starts_with(r#"{"n":1,"#));
    });
}

#[test]
fn a_failed_frame_is_answered_with_an_error_in_its_order() {
    on_event_loop(async {
        let (namespace, databases) = held().await;
        let (socket, outbox) = subscribe(&namespace).await;
        for text in ["a", "fail", "b"] {
            drop(namespace.submit(&workspace("w"), &Arrival::Frame { socket, text }));
        }
        settle().await;
        assert_eq!(sent(&outbox), []);
        while databases.under_way().await > 0 {
            databases.let_go().await;
        }
        let texts: Vec<String> = sent(&outbox)
            .into_iter()
            .map(|outgoing| match outgoing {
                Outgoing::Frame(text) => text.as_str().to_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        let [first, error, last] = &texts[..] else { panic!("{texts:?}") };
        assert_eq!((first.as_str(), last.as_str()), ("1:a", "2:b"));
        assert!(error.starts_with(r#"{"type":"$error""#) && error.contains("internal"), "{error}");
    });
}

#[test]
fn a_closed_database_is_opened_again_with_its_sockets() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let databases = FileDatabases::in_folder(folder.path()).unwrap();
        let settings = NamespaceSettings { open_databases: 2, ..NamespaceSettings::default() };
        let namespace =
            Namespace::<Toy>::new(Rc::new(ManualHost::default()), Rc::new(databases), settings);
        let (socket, outbox) = subscribe(&namespace).await;
        let names: Vec<_> = (0..8).map(|n| workspace(&format!("w{n}"))).collect();
        for name in names.iter().chain(&names) {
            namespace.submit(name, &request("add", "a")).await.unwrap();
        }
        let log = |name: &str| folder.path().join(format!("{name}.sqlite-wal")).exists();
        assert!(!log("w") && !log("w5") && log("w6") && log("w7"), "two are open");
        let frame = Arrival::Frame { socket, text: "x" };
        namespace.submit(&workspace("w"), &frame).await.unwrap();
        assert_eq!(sent(&outbox), [Outgoing::Frame("1:x".into())]);
        match namespace.submit(&names[0], &request("add", "a")).await.unwrap() {
            Exchange::Answered(response) => assert_eq!(response.body, r#"{"n":3}"#),
            other => panic!("{other:?}"),
        }
    });
}
