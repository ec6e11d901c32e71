//! The deployed shell on a platform that fails: statements that throw, a module that traps, in the
//! runtime itself and with the release bundle.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mailbus_worker::workerd::{Log, Options, Workerd};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bus::{a_moment, run};
use crate::support::bundle::release_bundle;
use crate::support::http::{Answer, Connection};

/// A view of the bundle's classes that fails when it is told to.
const FAULTS: &str = include_str!("durable_faults.js");

/// More statements than any one event has.
const STATEMENTS_MAX: u32 = 64;

struct Faulty {
    workerd: Workerd,
    folder: TempDir,
}

impl Faulty {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let anonymous = ("MAILBUS_ALLOW_ANONYMOUS".to_owned(), "true".to_owned());
        let workerd = Workerd::start(Options {
            bundle: release_bundle().unwrap(),
            data: folder.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment: BTreeMap::from([anonymous]),
            evictable: true,
            companion: None,
            front: Some(FAULTS.to_owned()),
            log: Log::File(folder.path().join("log")),
        })
        .unwrap();
        Self { workerd, folder }
    }

    async fn connect(&self) -> Connection {
        Connection::open(self.workerd.address()).await.unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Arms or asks the object of the workspace `w` behind a binding.
async fn fault(connection: &mut Connection, binding: &str, what: &str) -> Value {
    let path = format!("/fault/{binding}/w/{what}");
    let answer = connection.send("GET", &path, &[], Vec::new()).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// One command and how the object is asked what it believes.
struct Case {
    binding: &'static str,
    class: &'static str,
    command: (&'static str, Value),
    questions: [(&'static str, Value); 2],
}

impl Case {
    async fn give(&self, connection: &mut Connection) -> Answer {
        let path = format!("/v1/w/{}/{}", self.class, self.command.0);
        connection.post(&path, &self.command.1.to_string()).await.unwrap()
    }

    /// Rows that are stored, and what the object says of them.
    async fn state(&self, connection: &mut Connection) -> (Value, Vec<Value>) {
        let stored = fault(connection, self.binding, "look").await["rows"].take();
        let mut said = Vec::new();
        for (action, body) in &self.questions {
            let path = format!("/v1/w/{}/{action}", self.class);
            let mut answer = connection.post(&path, &body.to_string()).await.unwrap().json();
            // The moment of the answer is no part of the state.
            answer["commit"]["now"] = Value::Null;
            answer["now"] = Value::Null;
            said.push(answer);
        }
        (stored, said)
    }
}

fn lease(action: &'static str, command: Value) -> Case {
    let status = json!({"paths": ["a", "b"]});
    let questions = [("list", json!({})), ("status", status)];
    Case { binding: "LEASE", class: "lease", command: (action, command), questions }
}

fn mailbox(action: &'static str, command: Value) -> Case {
    let questions = [("inbox", json!({"agentId": "bob"})), ("agents", json!({}))];
    Case { binding: "MAILBOX", class: "mailbox", command: (action, command), questions }
}

fn lease_cases() -> Vec<Case> {
    let holder = |more: Value| {
        let mut body = json!({"agentId": "ann", "session": "s"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    vec![
        lease("acquire", holder(json!({"request": "r1", "paths": ["a", "b"], "ttlMs": 60_000}))),
        lease(
            "acquire",
            json!({"agentId": "bob", "session": "s", "request": "q1", "paths": ["b"],
                   "ttlMs": 60_000, "waitMs": 60_000}),
        ),
        lease("acquire", holder(json!({"request": "r2", "paths": ["c"], "ttlMs": 60_000}))),
        lease("cancel", json!({"agentId": "bob", "session": "s", "request": "q1"})),
    ]
}

fn mailbox_cases() -> Vec<Case> {
    let to_bob = |id: &str| {
        json!({"targetAgent": "bob",
               "message": {"id": id, "type": "t", "from": "ann", "payload": {"n": 1}}})
    };
    vec![
        mailbox("send", to_bob("m1")),
        mailbox("subscriptions", json!({"agentId": "bob", "add": ["t.*"]})),
        mailbox("publish", json!({"id": "m2", "type": "t.x", "from": "ann", "payload": 2})),
        mailbox("acknowledge", json!({"agentId": "bob", "messageId": "m1"})),
        mailbox("subscriptions", json!({"agentId": "bob", "remove": ["t.*"]})),
    ]
}

pub fn a_failed_statement_undoes_its_event() {
    let faulty = Faulty::start();
    run(async {
        let mut connection = faulty.connect().await;
        let mut failed = 0;
        for case in lease_cases().into_iter().chain(mailbox_cases()) {
            let before = case.state(&mut connection).await;
            let mut statement = 0;
            let done = loop {
                statement += 1;
                assert!(statement < STATEMENTS_MAX, "{:?} never ends", case.command);
                let arm = format!("arm?statement={statement}");
                let told = fault(&mut connection, case.binding, &arm).await["failed"].clone();
                let answer = case.give(&mut connection).await;
                let look = fault(&mut connection, case.binding, "arm?statement=0").await;
                if look["failed"] == told {
                    break answer;
                }
                failed += 1;
                let said = format!("{:?}, statement {statement}: {answer:?}", case.command);
                assert_eq!((answer.status, answer.code().as_str()), (500, "internal"), "{said}");
                assert_eq!(look["rows"], before.0, "undone in the storage: {said}");
                assert_eq!(case.state(&mut connection).await, before, "and in memory: {said}");
            };
            assert_eq!(done.status, 200, "{:?}: {done:?}\n{}", case.command, faulty.log());
            assert_ne!(case.state(&mut connection).await, before, "{:?} did it", case.command);
        }
        assert!(failed >= 20, "the faults were met: {failed}");
    });
}

pub fn an_alarm_that_fails_is_set_again() {
    let faulty = Faulty::start();
    run(async {
        let mut connection = faulty.connect().await;
        let acquire = json!({"agentId": "ann", "session": "s", "request": "r", "paths": ["a"],
                             "ttlMs": 60_000});
        let queue = json!({"agentId": "bob", "session": "s", "request": "q", "paths": ["a"],
                           "ttlMs": 60_000, "waitMs": 1_000});
        let path = "/v1/w/lease/acquire";
        assert_eq!(connection.post(path, &acquire.to_string()).await.unwrap().status, 200);
        connection.post(path, &queue.to_string()).await.unwrap();
        let due = fault(&mut connection, "LEASE", "arm?alarm=1").await["alarm"].as_u64().unwrap();
        let again = loop {
            let look = fault(&mut connection, "LEASE", "look").await;
            if look["failed"] == 1 {
                break look["alarm"].as_u64();
            }
            a_moment().await;
        };
        // The platform itself gives up on an alarm that throws often.
        assert!(again.is_some_and(|again| again > due), "{again:?} after {due}\n{}", faulty.log());
    });
}

pub fn a_trap_fails_what_is_under_way_and_ends_with_a_new_module() {
    let faulty = Faulty::start();
    run(async {
        let mut connection = faulty.connect().await;
        let case = &lease_cases()[0];
        assert_eq!(case.give(&mut connection).await.status, 200);
        let before = case.state(&mut connection).await;
        let made = fault(&mut connection, "LEASE", "instances").await["instances"].clone();
        assert_eq!(made, 0, "one module serves all");
        for _ in 0..2 {
            fault(&mut connection, "LEASE", "arm?trap=1").await;
            let answer = lease_cases()[2].give(&mut connection).await;
            assert_eq!((answer.status, answer.code().as_str()), (500, "internal"), "{answer:?}");
            assert_eq!(case.state(&mut connection).await, before, "from the storage");
        }
        // Where nothing else is under way in the module, the next event is the first to notice.
        let acquire = lease_cases()[2].command.1.to_string();
        fault(&mut connection, "LEASE", "arm?trap=1").await;
        let path = "/fault/LEASE/w/acquire";
        assert_eq!(connection.post(path, &acquire).await.unwrap().status, 500);
        let list = connection.post("/fault/LEASE/w/list", "{}").await.unwrap();
        assert_eq!(list.status, 200, "{list:?}\n{}", faulty.log());
        assert_eq!(case.state(&mut connection).await, before, "from the storage");
        let made = fault(&mut connection, "LEASE", "instances").await["instances"].clone();
        assert!(made.as_u64() >= Some(2), "{made}: a new module after each\n{}", faulty.log());
        // Another object's exchange, whose body was still coming, ends with the module it was in.
        let held = fault(&mut connection, "MAILBOX", "held").await["held"].clone();
        assert_eq!(held, "Error: the module ended in a trap", "{}", faulty.log());
        assert_eq!(lease_cases()[2].give(&mut connection).await.status, 200);
    });
}
