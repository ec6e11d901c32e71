//! Files on the disk, and when: a workspace has a file from its first write on and not before, and
//! a file is one process's. Real files and real flushes; time is the test's.

mod support;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::native::{
    Arrival, Classes, Completion, Databases, FileDatabases, HostClock, Namespace,
    NamespaceSettings, Objects, Opened, Server, ServerSettings,
};
use mailbus_worker::object::{Body, Request};
use mailbus_worker::router::{Access, Class};
use mailbus_worker::storage::{Storage, Value};
use support::clock::ManualClock;
use support::daemon::Daemon;
use support::http::{Connection, send, subscribe_over};
use support::toy::request;
use support::{on_event_loop, settle, workspace};

fn leases(folder: &Path) -> Namespace<ProductionLeaseObject> {
    leases_on(&ManualClock::default(), folder)
}

fn leases_on(clock: &ManualClock, folder: &Path) -> Namespace<ProductionLeaseObject> {
    let databases = FileDatabases::in_folder(folder).unwrap();
    Namespace::new(
        Rc::new(clock.clone()),
        Rc::new(databases),
        NamespaceSettings::default(),
        ProductionLeaseObject::wake,
    )
}

/// The status and the body of an answer.
async fn ask(leases: &Namespace<ProductionLeaseObject>, action: &str, body: &str) -> (u16, String) {
    match leases.submit(&workspace("w"), &request(action, body)).await.unwrap() {
        Completion::Answered(response) => (response.status, response.body),
        other => panic!("{other:?}"),
    }
}

const ACQUIRE: &str = r#"{"file":"a","agentId":"ann","ttlMs":60000}"#;
const STATUS: &str = r#"{"file":"a"}"#;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_workspace_that_nobody_wrote_to_has_no_file() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let bus = leases(folder.path());
        // One whose file would lie in a folder of its own.
        let long = workspace(&"W".repeat(128));
        for (action, body, status) in [
            ("nonsense", "{}", 404),
            ("acquire", "{", 400),
            ("acquire", r#"{"file":"../..","agentId":"ann","ttlMs":60000}"#, 400),
            ("release", r#"{"file":"a","agentId":"ann"}"#, 200),
            ("status", STATUS, 200),
            ("list", "{}", 200),
        ] {
            assert_eq!(ask(&bus, action, body).await.0, status, "{action} {body}");
            bus.submit(&long, &request(action, body)).await.unwrap();
        }
        let subscribe = Arrival::Request(Request {
            method: "GET",
            action: "subscribe",
            query: "agentId=ann",
            upgrade: true,
            body: Body::Whole(b""),
        });
        let accepted = bus.submit(&workspace("w"), &subscribe).await.unwrap();
        let Completion::Accepted { socket, .. } = accepted else { panic!("{accepted:?}") };
        bus.submit(&workspace("w"), &Arrival::Frame { socket, text: "nonsense" }).await.unwrap();
        bus.submit(&workspace("w"), &Arrival::Alarm).await.unwrap();
        bus.submit(&workspace("w"), &Arrival::Closed { socket }).await.unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        drop(bus);
        assert_eq!(names(folder.path()), [""; 0]);
        assert_eq!(FileDatabases::in_folder(folder.path()).unwrap().existing().unwrap(), []);
    });
}

#[test]
fn what_was_written_first_is_found_after_a_restart() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let bus = leases(folder.path());
        assert!(ask(&bus, "status", STATUS).await.1.contains(r#""isLeased":false"#));
        let (status, granted) = ask(&bus, "acquire", ACQUIRE).await;
        assert!(status == 200 && granted.contains(r#""acquired":true"#), "{granted}");
        assert_eq!(names(folder.path()), ["w.sqlite", "w.sqlite-wal"]);
        let alarms = bus.pending_alarms();
        assert_eq!(alarms.len(), 1);
        drop(bus);
        settle().await;

        let restarted = leases(folder.path());
        assert!(ask(&restarted, "status", STATUS).await.1.contains(r#""agentId":"ann""#));
        assert_eq!(restarted.pending_alarms(), alarms, "the alarm was written with it");
    });
}

#[test]
fn the_first_write_goes_on_in_the_transaction_it_is_in() {
    let folder = tempfile::tempdir().unwrap();
    let databases = FileDatabases::in_folder(folder.path()).unwrap();
    let mut bus = mailbus_worker::native::Instance::open(
        databases.open(&workspace("w")).unwrap().database,
        mailbus_worker::native::sockets::Sockets::default(),
        support::toy::Toy::wake,
    )
    .unwrap();
    let now = ManualClock::default().now();
    // It makes its table, adds a row and fails: all of that is undone, in the file.
    assert!(bus.deliver(now, &request("fail", "a")).is_err());
    let tables = "SELECT count(*) FROM sqlite_schema";
    assert_eq!(bus.database().query(tables, &[]).unwrap(), [[Value::Integer(0)]]);
    // So is what a full disk keeps from being written, in memory.
    let mut other = databases.open(&workspace("other")).unwrap().database;
    other.faults().full = true;
    assert!(other.execute("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT", &[]).is_err());
    drop(bus);
    assert_eq!(names(folder.path()), ["w.sqlite"]);
}

#[test]
fn a_file_is_one_process_s_also_when_it_is_made_after_another_has_looked() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        let (one, other) = (leases(folder.path()), leases_on(&clock, folder.path()));
        for bus in [&one, &other] {
            assert!(ask(bus, "status", STATUS).await.1.contains(r#""isLeased":false"#));
        }
        assert_eq!(ask(&one, "acquire", ACQUIRE).await.0, 200);
        // Its empty memory would say that nobody has the lease.
        assert_eq!(ask(&other, "status", STATUS).await.0, 503, "it is locked");
        assert_eq!(ask(&other, "acquire", ACQUIRE).await.0, 503, "it is locked");
        drop(one);
        settle().await;
        clock.advance(Duration::from_millis(100)).await;
        assert!(ask(&other, "status", STATUS).await.1.contains(r#""agentId":"ann""#));
        assert_eq!(other.pending_alarms().len(), 1);
        let theirs = ACQUIRE.replace("ann", "bob");
        assert!(ask(&other, "acquire", &theirs).await.1.contains(r#""acquired":false"#));
        assert_eq!(ask(&other, "acquire", &theirs.replace(r#""a""#, r#""b""#)).await.0, 200);
    });
}

#[test]
fn an_empty_database_does_not_write_over_what_another_made() {
    let folder = tempfile::tempdir().unwrap();
    let databases = FileDatabases::in_folder(folder.path()).unwrap();
    let open = || databases.open(&workspace("w")).unwrap();
    let (mut one, mut other) = (open(), open());
    const CREATE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT";
    one.database.execute(CREATE, &[]).unwrap();
    assert!(other.database.execute(CREATE, &[]).is_err(), "it is locked");
    drop(one);
    let refused = other.database.execute("CREATE TABLE other (x TEXT) STRICT", &[]).unwrap_err();
    assert!(refused.0.contains("somebody else"), "{refused}");
    drop(other);
    let Opened { mut database, flush } = open();
    let tables = database.query("SELECT name FROM sqlite_schema", &[]).unwrap();
    assert_eq!(tables, [[Value::Text("t".to_owned())]]);
    on_event_loop(async { flush.unwrap().flush().await }).unwrap();
}

#[test]
fn requests_of_strangers_leave_no_file_and_the_program_says_what_they_may_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = Daemon::start(&data, &["--anonymous"]);
    on_event_loop(async {
        for path in ["/v1/anything/lease/nonsense", "/v1/more/lease/acquire"] {
            let answer = send(daemon.address, "POST", path, &[], b"{".to_vec()).await;
            assert!(matches!(answer.status, 400 | 404), "{answer:?}");
        }
    });
    assert_eq!(names(&data.join("lease")), [""; 0]);
    let log = std::fs::read_to_string(data.with_extension("log")).unwrap();
    assert!(log.contains("anybody on this machine may take any name"), "{log}");
    assert!(log.contains("what an admin may (force, forget, recover)"), "{log}");
}

#[test]
fn the_server_serves_a_socket_of_a_workspace_without_a_file() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let clock: Rc<dyn HostClock> = Rc::new(ManualClock::default());
        let objects: Rc<dyn Objects> = Rc::new(leases(folder.path()));
        let classes = Classes::from([(Class::Lease, objects)]);
        let server = Server::new(clock, Access::Anonymous, ServerSettings::default(), classes);
        let stream = || {
            let (near, far) = tokio::io::duplex(1 << 16);
            tokio::task::spawn_local(Rc::clone(&server).serve_connection(far));
            near
        };
        let socket = subscribe_over(stream(), "/v1/w/lease/subscribe?agentId=ann").await;
        assert_eq!(names(folder.path()), [""; 0]);
        let mut connection = Connection::over(stream()).await.unwrap();
        assert_eq!(connection.post("/v1/w/lease/acquire", ACQUIRE).await.unwrap().status, 200);
        assert_eq!(names(folder.path()).len(), 2);
        drop(socket);
    });
}
