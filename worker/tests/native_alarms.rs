//! Alarms ring in time by either clock of their host, and again after a failure. Nobody asks the object
//! for anything meanwhile, and both clocks are the test's.

mod support;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use mailbus_spec::{HostTime, Workspace};
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::{
    Arrival, Completion, Databases, MemoryDatabases, Namespace, NamespaceSettings, Objects, Opened,
    Outbox, Outgoing,
};
use mailbus_worker::object::{Body, Object, Request, Woken};
use mailbus_worker::storage::StorageError;
use support::clock::{ManualClock, NOON};
use support::toy::Toy;
use support::{on_event_loop, settle, workspace};

const HOUR_MS: i64 = 3_600_000;

/// The objects of a class with their alarms, on a host that a test moves.
struct Running<O> {
    clock: ManualClock,
    namespace: Namespace<O>,
}

impl<O: Object + 'static> Running<O> {
    fn on(clock: &ManualClock, databases: impl Databases + 'static, wake: fn(Woken) -> O) -> Self {
        let (clock_of, settings) = (Rc::new(clock.clone()), NamespaceSettings::default());
        let namespace = Namespace::new(clock_of, Rc::new(databases), settings, wake);
        tokio::task::spawn_local(namespace.ring_alarms());
        Self { clock: clock.clone(), namespace }
    }

    fn new(wake: fn(Woken) -> O) -> Self {
        Self::on(&ManualClock::default(), MemoryDatabases::new(), wake)
    }

    fn post(&self, action: &str, body: &str) -> String {
        let body = Body::Whole(body.as_bytes());
        let request = Request { method: "POST", action, query: "", upgrade: false, body };
        let submitted = self.namespace.submit(&workspace("w"), &Arrival::Request(request));
        match submitted.now_or_never() {
            Some(Ok(Completion::Answered(response))) => response.body,
            other => panic!("{other:?}"),
        }
    }

    fn subscribe(&self, query: &str) -> Arc<Outbox> {
        let body = Body::Whole(b"");
        let request = Request { method: "GET", action: "subscribe", query, upgrade: true, body };
        let submitted = self.namespace.submit(&workspace("w"), &Arrival::Request(request));
        match submitted.now_or_never() {
            Some(Ok(Completion::Accepted { outbox, .. })) => outbox,
            other => panic!("{other:?}"),
        }
    }

    async fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms)).await;
    }
}

impl Running<Toy> {
    /// Number of texts that the object has; looked up in its database, so that nobody asks the object.
    fn count(&self) -> i64 {
        let rows = self.namespace.with(&workspace("w"), |instance| {
            use mailbus_worker::storage::Storage;
            instance.database().query("SELECT count(*) FROM text", &[])
        });
        match rows.unwrap().unwrap()[0][0] {
            mailbus_worker::storage::Value::Integer(count) => count,
            ref other => panic!("{other:?}"),
        }
    }

    fn is_full(&self, full: bool) {
        let faults = |full| {
            self.namespace.with(&workspace("w"), |instance| {
                instance.database().faults().full = full;
            })
        };
        faults(full).unwrap();
    }
}

fn sent(outbox: &Outbox) -> Vec<String> {
    let all = std::iter::from_fn(|| outbox.try_next());
    all.map(|outgoing| match outgoing {
        Outgoing::Frame(text) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn alarms_ring_in_time_and_again_after_a_failure() {
    on_event_loop(async {
        let running = Running::new(Toy::wake);
        running.post("alarm", "5000");
        let due = (HostTime(NOON + 5_000), workspace("w"));
        assert_eq!(running.namespace.pending_alarms(), [due]);
        running.pass(4_999).await;
        assert_eq!(running.count(), 1);
        running.is_full(true);
        running.pass(1).await;
        running.pass(1).await;
        assert_eq!((running.count(), running.namespace.pending_alarms().len()), (1, 1));
        running.is_full(false);
        running.pass(1_900).await;
        assert_eq!(running.count(), 1);
        running.pass(200).await;
        assert_eq!((running.count(), running.namespace.pending_alarms().len()), (2, 0));
    });
}

#[test]
fn a_wall_clock_that_is_set_back_delays_no_alarm() {
    on_event_loop(async {
        for set_after_ms in [0, 1, 2_500, 4_999] {
            let running = Running::new(Toy::wake);
            running.post("alarm", "5000");
            running.pass(set_after_ms).await;
            running.clock.set_wall_clock(-HOUR_MS);
            running.pass(4_999 - set_after_ms).await;
            assert_eq!(running.count(), 1, "set back after {set_after_ms} ms");
            running.pass(1).await;
            assert_eq!(running.count(), 2, "set back after {set_after_ms} ms");
        }
        // Before it is set.
        let running = Running::new(Toy::wake);
        running.pass(1_000).await;
        running.clock.set_wall_clock(-HOUR_MS);
        running.post("alarm", "5000");
        running.pass(5_000).await;
        assert_eq!(running.count(), 2);
    });
}

#[test]
fn a_wall_clock_that_is_set_ahead_rings_what_it_has_passed_within_ten_seconds() {
    on_event_loop(async {
        let running = Running::new(Toy::wake);
        running.post("alarm", "3000000");
        running.pass(500).await;
        running.clock.set_wall_clock(HOUR_MS);
        running.pass(10_000).await;
        assert_eq!(running.count(), 2);
    });
}

#[test]
fn an_alarm_that_failed_is_tried_again_although_the_clock_was_set_back() {
    on_event_loop(async {
        let running = Running::new(Toy::wake);
        running.post("alarm", "5000");
        running.is_full(true);
        running.pass(5_000).await;
        running.clock.set_wall_clock(-HOUR_MS);
        running.is_full(false);
        running.pass(2_000).await;
        assert_eq!(running.count(), 2);
    });
}

#[test]
fn a_message_given_back_comes_again_in_time_although_the_clock_was_set_back() {
    on_event_loop(async {
        let running = Running::new(ProductionMailboxObject::wake);
        let outbox = running.subscribe("agentId=bob&session=1&protocol=1");
        let message =
            r#"{"targetAgent":"bob","message":{"id":"m","type":"t","from":"ann","payload":{}}}"#;
        running.post("send", message);
        let pushed = sent(&outbox).pop().unwrap();
        let pushed: serde_json::Value = serde_json::from_str(&pushed).unwrap();
        let nack = serde_json::json!({"agentId": "bob", "seq": pushed["seq"], "delayMs": 60_000});
        running.post("nack", &nack.to_string());
        running.pass(20_000).await;
        running.clock.set_wall_clock(-HOUR_MS);
        running.pass(39_999).await;
        assert_eq!(sent(&outbox), [""; 0]);
        running.pass(1).await;
        assert_eq!(sent(&outbox).len(), 1);
    });
}

#[test]
fn an_object_that_waits_loses_no_time_when_the_clock_is_set_back() {
    on_event_loop(async {
        let running = Running::new(ProductionLeaseObject::wake);
        let expires = |answer: &str| {
            let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
            answer["expiresAt"].as_u64().unwrap()
        };
        let ask = |file: &str| {
            let body = format!(r#"{{"file":"{file}","agentId":"ann","ttlMs":600000}}"#);
            running.post("acquire", &body)
        };
        let first = expires(&ask("a"));
        running.pass(300_000).await;
        running.clock.set_wall_clock(-HOUR_MS);
        assert_eq!(expires(&ask("b")) - first, 300_000);
        // And what is due by then is over, by the clock that only runs.
        running.pass(300_000).await;
        let other = r#"{"file":"a","agentId":"bob","ttlMs":1000}"#;
        assert!(running.post("acquire", other).contains(r#""acquired":true"#));
    });
}

#[test]
fn a_clock_that_cannot_be_is_believed_by_no_alarm_once_it_is_right_again() {
    on_event_loop(async {
        let databases = MemoryDatabases::new();
        let running =
            Running::on(&ManualClock::default(), databases.clone(), ProductionLeaseObject::wake);
        running.post("acquire", r#"{"file":"a","agentId":"ann","ttlMs":30000}"#);
        // More than two hundred years ahead: the object refuses to look at the time.
        let ahead_ms = 200 * 365 * 24 * HOUR_MS;
        running.clock.set_wall_clock(ahead_ms);
        running.pass(10_000).await;
        running.clock.set_wall_clock(-ahead_ms);
        let pending = |running: &Running<_>| running.namespace.pending_alarms()[0].0.0;
        assert!(pending(&running) > NOON + u64::try_from(ahead_ms).unwrap(), "put off");
        // Another process does not take it for the time either.
        let other = Running::on(&running.clock, databases, ProductionLeaseObject::wake);
        settle().await;
        let free = r#"{"file":"b","agentId":"bob","ttlMs":30000}"#;
        assert!(other.post("acquire", free).contains(r#""acquired":true"#));
        running.pass(60_000).await;
        assert!(pending(&running) < NOON + 1_000_000, "it has looked again");
    });
}

/// A process sets an alarm of 5 s and ends.
async fn set_and_stop(clock: &ManualClock, databases: &MemoryDatabases) {
    let before = support::objects::namespace(clock, databases.clone());
    support::objects::submit(&before, "alarm", "5000").await.unwrap();
}

#[test]
fn alarms_survive_a_restart() {
    on_event_loop(async {
        let (clock, databases) = (ManualClock::default(), MemoryDatabases::new());
        set_and_stop(&clock, &databases).await;
        let restarted = Running::on(&clock, databases, Toy::wake);
        assert!(restarted.namespace.pending_alarms().is_empty());
        settle().await;
        assert_eq!(restarted.namespace.pending_alarms().len(), 1);
        clock.advance(Duration::from_secs(5)).await;
        assert_eq!(restarted.count(), 2);
    });
}

#[test]
fn a_wall_clock_that_was_set_back_while_no_process_ran_delays_no_alarm_beyond_what_it_had_left() {
    on_event_loop(async {
        let (clock, databases) = (ManualClock::default(), MemoryDatabases::new());
        set_and_stop(&clock, &databases).await;
        clock.set_wall_clock(-HOUR_MS);
        let restarted = Running::on(&clock, databases, Toy::wake);
        settle().await;
        restarted.pass(4_999).await;
        assert_eq!(restarted.count(), 1);
        restarted.pass(1).await;
        assert_eq!(restarted.count(), 2);
    });
}

/// Databases of which the first look fails, as it does when a process has too many files open.
#[derive(Clone)]
struct Blocked {
    databases: MemoryDatabases,
    failures: Rc<std::cell::Cell<u32>>,
}

impl Databases for Blocked {
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError> {
        match self.failures.get() {
            0 => self.databases.open(workspace),
            failures => {
                self.failures.set(failures - 1);
                Err(StorageError("too many open files".to_owned()))
            }
        }
    }

    fn delete(&self, workspace: &Workspace) -> Result<(), StorageError> {
        self.databases.delete(workspace)
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        self.databases.existing()
    }
}

#[test]
fn an_alarm_in_a_database_that_cannot_be_opened_rings_when_it_can() {
    on_event_loop(async {
        let (clock, databases) = (ManualClock::default(), MemoryDatabases::new());
        set_and_stop(&clock, &databases).await;
        let failures = Rc::new(std::cell::Cell::new(2));
        let restarted = Running::on(&clock, Blocked { databases, failures }, Toy::wake);
        settle().await;
        for _ in 0..10 {
            restarted.pass(2_000).await;
        }
        assert!(restarted.count() >= 2, "at the restart and 2 s later it could not be opened");
    });
}

#[test]
fn an_alarm_is_put_off_for_readers_that_have_a_bite_to_read_but_not_for_long() {
    on_event_loop(async {
        let running = Running::new(Toy::wake);
        let outbox = running.subscribe("");
        // Eight texts of a MiB: more than a push budget.
        let text = format!("tell:{}", "x".repeat(1 << 20));
        for _ in 0..8 {
            let socket = mailbus_worker::object::SocketId(1);
            let frame = Arrival::Frame { socket, text: &text };
            assert!(running.namespace.submit(&workspace("w"), &frame).await.is_ok());
        }
        let count = running.count();
        running.post("alarm", "500");
        let other = Arrival::Request(Request {
            method: "POST",
            action: "alarm",
            query: "",
            upgrade: false,
            body: Body::Whole(b"500"),
        });
        running.namespace.submit(&workspace("other"), &other).await.unwrap();
        running.pass(500).await;
        running.pass(1).await;
        assert_eq!(running.namespace.pending_alarms(), [], "that of nobody else waits");
        for _ in 0..49 {
            running.pass(20).await;
        }
        assert_eq!(running.count(), count + 1, "nearly a second later");
        running.pass(20).await;
        assert_eq!(running.count(), count + 2, "a second later, though nobody reads");

        running.post("alarm", "500");
        running.pass(500).await;
        assert_eq!(running.count(), count + 3);
        for _ in 0..4 {
            outbox.try_next().unwrap();
        }
        running.pass(20).await;
        assert_eq!(running.count(), count + 3, "what is being written has not been read");
        outbox.took(4 << 20, running.clock.passed());
        running.pass(20).await;
        assert_eq!(running.count(), count + 4, "a push budget is left");
    });
}
