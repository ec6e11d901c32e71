//! One object in its runtime: the transaction around each event, and what evicting, crashing,
//! restoring and failing leave behind. The object is a toy; nothing here reads a clock.

mod support;

use mailbus_spec::HostTime;
use mailbus_worker::native::sockets::Sockets;
use mailbus_worker::native::{Arrival, Database, Delivered, Instance};
use mailbus_worker::object::SocketId;
use mailbus_worker::storage::StorageError;
use support::clock::NOON;
use support::toy::{Toy, request};

fn instance() -> Instance<Toy> {
    Instance::open(Database::in_memory().unwrap(), Sockets::default(), Toy::wake).unwrap()
}

fn deliver(instance: &mut Instance<Toy>, arrival: &Arrival<'_>) -> Result<Delivered, StorageError> {
    instance.deliver(HostTime(NOON), arrival)
}

fn body(instance: &mut Instance<Toy>, action: &str, body: &str) -> String {
    deliver(instance, &request(action, body)).unwrap().response.unwrap().body
}

fn subscribe(instance: &mut Instance<Toy>) -> SocketId {
    deliver(instance, &request("subscribe", "")).unwrap().accepted.unwrap()
}

fn frame(socket: SocketId, text: &str) -> Arrival<'_> {
    Arrival::Frame { socket, text }
}

#[test]
fn a_failed_event_leaves_no_trace_and_drops_the_memory() {
    let mut instance = instance();
    let socket = subscribe(&mut instance);
    deliver(&mut instance, &frame(socket, "a")).unwrap();
    deliver(&mut instance, &request("alarm", "50")).unwrap();
    assert!(deliver(&mut instance, &request("fail", "b")).is_err());
    assert!(!instance.is_awake());
    assert!(deliver(&mut instance, &frame(socket, "fail")).is_err());
    assert_eq!(instance.sockets().attachment(socket), Some("1"));
    assert_eq!(instance.due_alarm(), Some(HostTime(NOON + 50)));
    let told = body(&mut instance, "count", "");
    assert_eq!(told, format!(r#"{{"n":2,"events":1,"wokenWith":{}}}"#, NOON + 50));
}

#[test]
fn a_fault_at_any_statement_undoes_the_event() {
    let mut faults = 0;
    for statement in 1.. {
        let mut instance = instance();
        let socket = subscribe(&mut instance);
        body(&mut instance, "add", "a");
        instance.database().faults().fail_at = Some(statement);
        let failed = deliver(&mut instance, &frame(socket, "b")).is_err();
        instance.database().faults().fail_at = None;
        let expected = if failed {
            r#"{"n":1,"events":1,"wokenWith":0}"#
        } else {
            r#"{"n":2,"events":4,"wokenWith":0}"#
        };
        assert_eq!(body(&mut instance, "count", ""), expected, "at statement {statement}");
        assert_eq!(instance.sockets().attachment(socket), Some(if failed { "0" } else { "1" }));
        if !failed {
            break;
        }
        faults += 1;
    }
    // The insertion, the count and the commit.
    assert_eq!(faults, 3);
}

#[test]
fn a_full_storage_refuses_what_writes_and_answers_what_reads() {
    let mut instance = instance();
    body(&mut instance, "add", "a");
    instance.database().faults().full = true;
    assert!(deliver(&mut instance, &request("add", "b")).is_err());
    assert!(body(&mut instance, "count", "").starts_with(r#"{"n":1"#));
}

#[test]
fn effects_find_their_sockets() {
    let mut instance = instance();
    let (first, second) = (subscribe(&mut instance), subscribe(&mut instance));
    let added = deliver(&mut instance, &request("add", "a")).unwrap();
    let told = |socket| (socket, "added 1".into());
    assert_eq!(added.frames, [told(first), told(second)]);
    assert_eq!((added.rows, added.charged(), added.wrote()), (1, 1, true));
    let echoed = deliver(&mut instance, &frame(second, "x")).unwrap();
    assert_eq!(echoed.frames, [(second, "1:x".into())]);
    let closed = deliver(&mut instance, &frame(first, "close")).unwrap();
    assert_eq!(closed.closes, [(first, 4001, "asked to".to_owned())]);
    assert!(!closed.wrote());
    let added = deliver(&mut instance, &request("add", "b")).unwrap();
    assert_eq!(added.frames, [(second, "added 3".into())], "a closed socket is told nothing");
    assert!(deliver(&mut instance, &Arrival::Closed { socket: first }).unwrap().wrote());
    assert_eq!(
        deliver(&mut instance, &Arrival::Closed { socket: first }),
        Ok(Delivered::default())
    );
    assert_eq!(instance.sockets().ids().collect::<Vec<_>>(), [second]);
    assert!(subscribe(&mut instance) > second, "numbers are not given twice");
}

#[test]
fn the_event_that_accepts_a_socket_reaches_it_by_its_tag() {
    let mut instance = instance();
    let first = deliver(&mut instance, &request("greeted", "")).unwrap();
    let socket = first.accepted.unwrap();
    assert_eq!(first.frames, [(socket, "hello".into())]);
    assert_eq!(instance.sockets().attachment(socket), Some("7"));
    let second = deliver(&mut instance, &request("greeted", "")).unwrap();
    let greeted: Vec<_> = second.frames.iter().map(|(socket, _)| *socket).collect();
    assert_eq!(greeted, [socket, second.accepted.unwrap()], "the tag names both");
}

#[test]
fn an_object_that_needs_its_sockets_wakes_with_the_open_ones() {
    let mut instance = instance();
    let (closed, gone) = (subscribe(&mut instance), subscribe(&mut instance));
    subscribe(&mut instance);
    let woken_with = |instance: &mut Instance<Toy>| {
        instance.evict();
        body(instance, "sockets", "")
    };
    assert_eq!(woken_with(&mut instance), r#"{"n":3}"#);
    deliver(&mut instance, &frame(closed, "close")).unwrap();
    assert_eq!(woken_with(&mut instance), r#"{"n":2}"#, "one is being closed");
    instance.evict();
    deliver(&mut instance, &Arrival::Closed { socket: gone }).unwrap();
    assert_eq!(body(&mut instance, "sockets", ""), r#"{"n":2}"#, "the one that woke it too");
    instance.crash();
    assert_eq!(body(&mut instance, "sockets", ""), r#"{"n":0}"#);
}

#[test]
fn eviction_keeps_all_but_the_memory_and_a_crash_drops_the_sockets_too() {
    let mut instance = instance();
    let socket = subscribe(&mut instance);
    body(&mut instance, "alarm", "50");
    deliver(&mut instance, &frame(socket, "a")).unwrap();
    instance.evict();
    assert_eq!(
        deliver(&mut instance, &frame(socket, "b")).unwrap().frames,
        [(socket, "2:b".into())]
    );
    let told = body(&mut instance, "count", "");
    assert_eq!(told, format!(r#"{{"n":3,"events":2,"wokenWith":{}}}"#, NOON + 50));
    assert_eq!(instance.crash(), [socket]);
    assert_eq!(deliver(&mut instance, &frame(socket, "c")), Ok(Delivered::default()));
    assert!(body(&mut instance, "count", "").starts_with(r#"{"n":3,"events":1"#));
}

#[test]
fn a_ringing_alarm_is_no_longer_pending_and_a_failed_one_still_is() {
    let mut instance = instance();
    body(&mut instance, "add", "a");
    let set = deliver(&mut instance, &request("alarm", "50")).unwrap();
    assert_eq!((set.alarm, set.charged()), (Some(HostTime(NOON + 50)), 2));
    instance.database().faults().full = true;
    assert!(deliver(&mut instance, &Arrival::Alarm).is_err());
    assert_eq!(instance.due_alarm(), Some(HostTime(NOON + 50)));
    instance.database().faults().full = false;
    deliver(&mut instance, &Arrival::Alarm).unwrap();
    assert_eq!(instance.due_alarm(), None);
    deliver(&mut instance, &Arrival::Alarm).unwrap();
    assert!(body(&mut instance, "count", "").starts_with(r#"{"n":4,"#), "it may ring again");
}

#[test]
fn a_restore_brings_back_storage_and_alarm() {
    let mut instance = instance();
    body(&mut instance, "alarm", "50");
    let mark = instance.bookmark().unwrap();
    deliver(&mut instance, &Arrival::Alarm).unwrap();
    instance.restore(&mark).unwrap();
    assert_eq!(instance.due_alarm(), Some(HostTime(NOON + 50)));
    assert!(body(&mut instance, "count", "").starts_with(r#"{"n":1,"events":1"#));
    instance.lose_alarm().unwrap();
    assert_eq!(instance.due_alarm(), None);
}

#[test]
fn the_alarm_is_kept_with_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Database::in_file(&folder.path().join("d")).unwrap();
    let mut instance = Instance::open(open(), Sockets::default(), Toy::wake).unwrap();
    body(&mut instance, "alarm", "50");
    let _ = instance.close();
    let mut instance = Instance::open(open(), Sockets::default(), Toy::wake).unwrap();
    assert_eq!(instance.due_alarm(), Some(HostTime(NOON + 50)));
    deliver(&mut instance, &Arrival::Alarm).unwrap();
    let _ = instance.close();
    assert_eq!(Instance::open(open(), Sockets::default(), Toy::wake).unwrap().due_alarm(), None);
}
