//! No effect leaves before its flush. Flushes and time are the test's.

mod support;

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::native::{
    Arrival, Completion, MemoryDatabases, Namespace, NamespaceSettings, Objects, Outgoing,
    Submitted,
};
use mailbus_worker::object::Response;
use support::clock::ManualClock;
use support::flush::HeldDatabases;
use support::objects::{answer, n, namespace, sent, submit, subscribe};
use support::toy::{Toy, request};
use support::{on_event_loop, settle, workspace};

/// A namespace whose object has been created and flushed.
async fn held() -> (Namespace<Toy>, HeldDatabases, ManualClock) {
    let (clock, databases) = (ManualClock::default(), HeldDatabases::new());
    let namespace = namespace(&clock, databases.clone());
    let mut created = submit(&namespace, "count", "");
    databases.let_go().await;
    assert!(answer(&mut created).is_some());
    (namespace, databases, clock)
}

#[test]
fn no_effect_leaves_before_its_flush() {
    on_event_loop(async {
        let (namespace, databases, _) = held().await;
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
        let (namespace, databases, _) = held().await;
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
fn a_refused_acquire_costs_neither_a_row_nor_a_flush() {
    on_event_loop(async {
        let databases = HeldDatabases::new();
        let leases = Namespace::new(
            Rc::new(ManualClock::default()),
            Rc::new(databases.clone()),
            NamespaceSettings::default(),
            ProductionLeaseObject::wake,
        );
        let asks = |agent: &str| {
            let body = format!(r#"{{"file":"a","agentId":"{agent}","ttlMs":60000}}"#);
            leases.submit(&workspace("w"), &request("acquire", &body))
        };
        // What the answer says and costs; `None` while it is held.
        let told = |submitted: &mut Submitted| match submitted.now_or_never()? {
            Ok(Completion::Answered(Response { body, charged, .. })) => {
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
        let namespace = namespace(&ManualClock::default(), MemoryDatabases::new());
        assert_eq!(answer(&mut submit(&namespace, "add", "a")), n(1));
    });
}

#[test]
fn a_crash_drops_what_is_held_and_keeps_what_was_committed() {
    on_event_loop(async {
        let (namespace, databases, _) = held().await;
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
        let (namespace, databases, clock) = held().await;
        let (socket, outbox) = subscribe(&namespace).await;
        for text in ["a", "fail", "b"] {
            drop(namespace.submit(&workspace("w"), &Arrival::Frame { socket, text }));
            clock.advance(Duration::from_millis(100)).await;
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
