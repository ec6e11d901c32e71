//! A data folder that an earlier release wrote is opened, and goes on.
//!
//! `fixtures/first/<program>/folded` is what a program left that ended well, `killed` what one left that
//! was killed over a log that nobody had folded into its database. Beside them `folded.json` and
//! `killed.json` say when each was left, what the program that wrote it answered to every question, and what it pushed to the
//! agent `bob`, who had mail in every state. The clock is set to that time, so nothing has to be left out.
//!
//! What hibernates in a socket's attachment is on no disk: natively it is memory, and workerd keeps it in
//! its own. So a folder has sessions that ended unseen, and no socket.
//!
//! Such folders are made by the trial `make` in the tree of the release to be kept, which is left alone but for
//! `MAKE_FIXTURE=1 cargo test -p mailbus-worker --test shells -- fixture::make`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bus::{log_beside, run};
use crate::socket::Socket;
use crate::support::daemon::{Daemon, Program};
use crate::support::http::Connection;
use crate::support::preload::Watched;
use crate::{a_moment, mail, system_ms};

const DAY_MS: u64 = 86_400_000;
const STATES: [&str; 2] = ["folded", "killed"];

fn folder(program: Program, state: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/first");
    fixtures.join(program.name()).join(state)
}

/// Questions about a folder: none of them writes.
fn questions() -> Vec<(&'static str, Value)> {
    let mut questions =
        vec![("lease/list", json!({"limit": 1_000})), ("mailbox/agents", json!({}))];
    for path in ["src/lib.rs", "docs", "orig.ts", "drained", "forced", "free", "late"] {
        questions.push(("lease/status", json!({"file": path})));
    }
    for agent in ["ann", "bob", "cyd", "old", "nobody"] {
        let of = json!({"agentId": agent});
        questions.push(("mailbox/inbox", of.clone()));
        questions.push(("mailbox/dead-letters", of.clone()));
        questions.push(("mailbox/subscriptions", of));
    }
    questions
}

/// The answers, without what depends on when they are asked for.
async fn answers(address: SocketAddr) -> Vec<Value> {
    let mut connection = Connection::open(address).await.unwrap();
    let mut answers = Vec::new();
    for (action, body) in questions() {
        let answer = connection.post(&format!("/v1/w/{action}"), &body.to_string()).await.unwrap();
        let mut said = answer.json();
        if let Some(commit) = said.get_mut("commit").and_then(Value::as_object_mut) {
            commit.remove("now");
        }
        for agent in said.get_mut("agents").and_then(Value::as_array_mut).into_iter().flatten() {
            agent.as_object_mut().unwrap().retain(|name, _| name == "agentId");
        }
        answers.push(json!([action, body, answer.status, said]));
    }
    answers
}

/// Messages that `bob` is told and pushed when it connects.
async fn pushed(address: SocketAddr) -> (Socket, Vec<Value>) {
    let (mut bob, begun) = mail::open(address, "bob", "").await;
    let mut came = vec![json!({"resumed": begun["resumed"], "gap": begun["gap"]})];
    // A message to itself comes after all that is due, and so does the reply to it or before.
    let last = json!({"action": "send", "to": "bob", "message": {"id": "last", "type": "t"}});
    bob.send(&last.to_string()).await;
    let (mut told, mut over) = (false, false);
    while !(told && over) {
        let object = bob.next().await;
        match object["id"].as_str() {
            Some("last") => over = true,
            Some(_) => came.push(object),
            None => told |= object["type"] == "$replies",
        }
    }
    (bob, came)
}

/// True if an answer says all that was recorded. A later release may say more.
fn says(answer: &Value, recorded: &Value) -> bool {
    match (answer, recorded) {
        (Value::Object(said), Value::Object(recorded)) => {
            recorded.iter().all(|(name, value)| says(said.get(name).unwrap_or(&Value::Null), value))
        }
        (Value::Array(said), Value::Array(recorded)) => {
            said.len() == recorded.len() && said.iter().zip(recorded).all(|(a, b)| says(a, b))
        }
        _ => answer == recorded,
    }
}

fn assert_says(of: &str, answer: &Value, recorded: &Value) {
    assert!(says(answer, recorded), "{of}\n  recorded {recorded}\n  answered {answer}");
}

/// A copy of a folder with its clock, and what was recorded of it.
struct Opened {
    watched: Watched,
    recorded: Value,
    program: Program,
}

impl Opened {
    fn new(program: Program, state: &str) -> Self {
        let (watched, from) = (Watched::new(), folder(program, state));
        copy(&from, &watched.data());
        let recorded = fs::read_to_string(from.join("../").join(format!("{state}.json"))).unwrap();
        Self { watched, recorded: serde_json::from_str(&recorded).unwrap(), program }
    }

    /// Starts the program when this time has passed since the folder was left.
    fn start(&self, after_ms: u64) -> Daemon {
        let then = self.recorded["at"].as_u64().unwrap() + after_ms;
        self.watched
            .shift_clock(i64::try_from(then).unwrap() - i64::try_from(system_ms()).unwrap());
        self.watched.start(self.program, &["--anonymous"])
    }
}

pub fn answers_as_recorded(program: Program) {
    for state in STATES {
        let opened = Opened::new(program, state);
        let daemon = opened.start(0);
        let found = run(answers(daemon.address));
        let recorded = opened.recorded["answers"].as_array().unwrap();
        assert_eq!(found.len(), recorded.len());
        for (found, recorded) in found.iter().zip(recorded) {
            assert_says(state, found, recorded);
        }
        drop(daemon);

        // It goes on the same whether it was asked before or not.
        let daemon = opened.start(0);
        let (_bob, came) = run(pushed(daemon.address));
        assert_says(state, &Value::from(came), &opened.recorded["pushed"]);
    }
}

async fn ask(connection: &mut Connection, action: &str, body: Value) -> Value {
    let answer = connection.post(&format!("/v1/w/{action}"), &body.to_string()).await.unwrap();
    assert!(matches!(answer.status, 200 | 409), "{action} {body}: {answer:?}");
    answer.json()
}

/// The reply to a command over a socket. What is pushed before it is not looked at.
async fn command(socket: &mut Socket, command: Value) -> Value {
    socket.send(&command.to_string()).await;
    loop {
        let object = socket.next().await;
        if object["type"] == "$replies" {
            return object["replies"][0].clone();
        }
    }
}

/// An attempt to hold paths, by an agent of the story.
fn attempt(agent: &str, request: &str, paths: &[&str], wait_ms: Option<u64>) -> Value {
    json!({"agentId": agent, "session": "1", "request": request, "paths": paths,
        "ttlMs": DAY_MS, "waitMs": wait_ms})
}

fn message(id: &str, kind: &str) -> Value {
    json!({"id": id, "type": kind, "from": "ann", "payload": {"of": id}, "unknown": 1.50})
}

/// Everything that a folder is to hold. The sockets are returned, so that they are open at the end.
async fn tell(address: SocketAddr) -> Vec<Socket> {
    let mut connection = Connection::open(address).await.unwrap();
    let to = &mut connection;
    ask(to, "lease/acquire", attempt("ann", "r1", &["src/lib.rs", "src/main.rs"], None)).await;
    ask(to, "lease/acquire", attempt("bob", "r1", &["src/lib.rs"], Some(600_000))).await;
    ask(to, "lease/acquire", attempt("cyd", "r1", &["src/lib.rs", "lib"], Some(600_000))).await;
    let given = ask(to, "lease/acquire", attempt("cyd", "r2", &["docs"], None)).await;
    let back = json!({"agentId": "cyd", "session": "1", "token": given["token"]});
    ask(to, "lease/release", back).await;
    let unseen = json!({"agentId": "cyd", "session": "1", "request": "r3"});
    ask(to, "lease/cancel", unseen).await;
    let original = json!({"file": "orig.ts", "agentId": "old", "ttlMs": DAY_MS});
    ask(to, "lease/acquire", original).await;
    for (path, drain) in [("drained", true), ("forced", false)] {
        let lease = ask(to, "lease/acquire", attempt("dan", path, &[path], None)).await;
        let force = json!({"token": lease["token"], "reason": "for the story", "drain": drain});
        ask(to, "lease/force-release", force).await;
    }

    let (mut bob, _) = mail::open(address, "bob", "&types=task.*&types=news").await;
    let (mut old, _) = mail::begin(address, "agentId=old&types=news").await;
    let away = json!({"agentId": "cyd", "add": ["task.new", "other"]});
    ask(to, "mailbox/subscriptions", away).await;
    let mut seqs = Vec::new();
    for n in 0..8 {
        ask(to, "mailbox/publish", message(&format!("m{n}"), "task.new")).await;
        seqs.push(bob.next().await["seq"].clone());
    }
    ask(to, "mailbox/publish", message("n0", "news")).await;
    assert_eq!(old.next().await["id"], "n0");
    // The first two are settled, the third fails for good, the fourth too and gets a second chance.
    ask(to, "mailbox/acknowledge", json!({"agentId": "bob", "seqs": [seqs[0]]})).await;
    bob.next().await;
    command(&mut bob, json!({"action": "acknowledge", "upTo": seqs[1]})).await;
    for seq in [&seqs[2], &seqs[3]] {
        for attempt in 1..=5 {
            command(&mut bob, json!({"action": "nack", "seq": seq})).await;
            if attempt < 5 {
                while bob.next().await["seq"] != *seq {}
            }
        }
    }
    ask(to, "mailbox/redrive", json!({"agentId": "bob", "seqs": [seqs[3]]})).await;
    // The fifth comes back in a day, the sixth was given back once, the seventh is being worked on.
    command(&mut bob, json!({"action": "nack", "seq": seqs[4], "delayMs": DAY_MS})).await;
    command(&mut bob, json!({"action": "nack", "seq": seqs[5]})).await;
    command(&mut bob, json!({"action": "working", "seq": seqs[6]})).await;
    ask(to, "mailbox/subscriptions", json!({"agentId": "bob", "remove": ["news"]})).await;
    for n in 0..3 {
        let to_nobody = json!({"id": format!("u{n}"), "type": "t", "from": "ann"});
        ask(to, "mailbox/send", json!({"to": "nobody", "message": to_nobody})).await;
    }
    vec![bob, old]
}

/// Commands that come after the first part is in the databases: they stay in their logs.
async fn tell_more(address: SocketAddr) -> Vec<Socket> {
    let mut connection = Connection::open(address).await.unwrap();
    let to = &mut connection;
    ask(to, "lease/acquire", attempt("eve", "r1", &["late"], None)).await;
    ask(to, "lease/acquire", attempt("fay", "r1", &["late"], Some(600_000))).await;
    ask(to, "mailbox/send", json!({"to": "bob", "message": message("late", "t")})).await;
    let (bob, _) = mail::open(address, "bob", "").await;
    vec![bob]
}

pub fn goes_on(program: Program) {
    for state in STATES {
        let opened = Opened::new(program, state);
        let daemon = opened.start(0);
        run(go_on(daemon.address, state));
        drop(daemon);
        let daemon = opened.start(DAY_MS + 60_000);
        run(a_day_later(daemon.address));
        drop(daemon);
        let daemon = opened.start(365 * DAY_MS);
        run(a_year_later(daemon.address));
        let log = opened.watched.log();
        assert!(!log.contains("ERROR"), "{log}");
    }
}

async fn go_on(address: SocketAddr, state: &str) {
    let mut connection = Connection::open(address).await.unwrap();
    let to = &mut connection;
    let again =
        ask(to, "lease/acquire", attempt("ann", "r1", &["src/lib.rs", "src/main.rs"], None)).await;
    assert_eq!(again["outcome"], "granted", "{again}");
    let waits =
        ask(to, "lease/acquire", attempt("cyd", "r1", &["src/lib.rs", "lib"], Some(600_000))).await;
    assert_eq!((&waits["outcome"], &waits["position"]), (&json!("queued"), &json!(1)), "{waits}");
    for (request, path) in [("r2", "docs"), ("r3", "anything")] {
        let over = ask(to, "lease/acquire", attempt("cyd", request, &[path], None)).await;
        assert_eq!(over["code"], "over", "it is remembered: {over}");
    }
    let release = json!({"agentId": "ann", "session": "1", "token": again["token"]});
    ask(to, "lease/release", release).await;
    let mine = ask(to, "lease/acquire", attempt("bob", "r1", &["src/lib.rs"], Some(600_000))).await;
    assert_eq!(mine["outcome"], "granted", "who waited first is served: {mine}");
    assert!(mine["token"].as_u64() > again["token"].as_u64(), "{mine}");

    let twice = ask(to, "mailbox/publish", message("m7", "task.new")).await;
    assert_eq!(twice["duplicate"], true, "{twice}");
    let (mut bob, came) = pushed(address).await;
    assert_eq!(came[0]["resumed"], true);
    let seqs: Vec<&Value> = came[1..].iter().map(|message| &message["seq"]).collect();
    let acked = command(&mut bob, json!({"action": "acknowledge", "seqs": seqs})).await;
    assert_eq!(acked["settled"], seqs.len(), "{state}: {acked}");
    let through = &came[0]["gap"]["through"];
    let told = command(&mut bob, json!({"action": "acknowledge", "gap": through})).await;
    assert_eq!(told["settled"], came[0]["gap"]["count"], "{told}");
    let dead = ask(to, "mailbox/dead-letters", json!({"agentId": "bob"})).await;
    let letter = &dead["letters"][0]["message"]["seq"];
    let letter = if letter.is_null() { &dead["letters"][0]["seq"] } else { letter };
    ask(to, "mailbox/redrive", json!({"agentId": "bob", "seqs": [letter]})).await;
    let redriven = bob.next().await;
    assert_eq!((&redriven["seq"], &redriven["redriven"]), (letter, &json!(true)), "{dead}");
    let acked = command(&mut bob, json!({"action": "acknowledge", "seqs": [letter]})).await;
    assert_eq!(acked["settled"], 1, "{acked}");
}

async fn a_day_later(address: SocketAddr) {
    let (mut bob, came) = pushed(address).await;
    let ids: Vec<_> = came[1..].iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, ["m4"], "what was given back for a day");
    let acked = command(&mut bob, json!({"action": "acknowledge", "seqs": [came[1]["seq"]]})).await;
    assert_eq!(acked["settled"], 1, "{acked}");
    let mut connection = Connection::open(address).await.unwrap();
    let free = attempt("zoe", "r1", &["src/main.rs", "orig.ts", "drained", "forced"], None);
    let granted = ask(&mut connection, "lease/acquire", free).await;
    assert_eq!(granted["outcome"], "granted", "their terms are over: {granted}");
}

/// Everything is over. What rings then collects it: in the end nothing is left but what counts on.
async fn a_year_later(address: SocketAddr) {
    let mut connection = Connection::open(address).await.unwrap();
    let to = &mut connection;
    loop {
        let found = ask(to, "mailbox/inbox", json!({"agentId": "nobody"})).await;
        let left = ask(to, "lease/list", json!({})).await;
        if found["messages"] == json!([]) && left["leases"] == json!([]) {
            break;
        }
        a_moment().await;
    }
    let sent = ask(to, "mailbox/send", json!({"to": "bob", "message": message("new", "t")})).await;
    assert_eq!(sent["outcome"], "accepted", "{sent}");
    let granted = ask(to, "lease/acquire", attempt("zoe", "r2", &["src/main.rs"], None)).await;
    assert_eq!(granted["outcome"], "granted", "{granted}");
}

/// Makes the folders of this release.
pub fn make() {
    for program in Program::ALL {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut daemon = program.start(&data, &["--anonymous"]);
        let sockets = run(tell(daemon.address));
        daemon.ask_to_stop();
        assert!(daemon.ended().0, "{}", log_beside(&data));
        drop(sockets);
        fold(&data);
        keep(program, "folded", &data);
        let mut daemon = program.start(&data, &["--anonymous"]);
        let sockets = run(tell_more(daemon.address));
        daemon.kill();
        drop(sockets);
        keep(program, "killed", &data);
    }
}

/// Copies a folder to the fixtures and records what is answered on another copy.
fn keep(program: Program, state: &str, data: &Path) {
    let kept = folder(program, state);
    let _ = fs::remove_dir_all(&kept);
    copy(data, &kept);
    let at = system_ms();
    let record = |looks: &mut dyn FnMut(SocketAddr)| {
        let copied = tempfile::tempdir().unwrap();
        copy(&kept, &copied.path().join("data"));
        let daemon = program.start(&copied.path().join("data"), &["--anonymous"]);
        looks(daemon.address);
    };
    let (mut found, mut came) = (Vec::new(), Vec::new());
    record(&mut |address| found = run(answers(address)));
    record(&mut |address| came = run(pushed(address)).1);
    let recorded = json!({"at": at, "answers": found, "pushed": came});
    fs::write(kept.with_extension("json"), format!("{recorded:#}\n")).unwrap();
}

/// Moves the logs into their databases.
fn fold(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fold(&path);
        } else if path.extension().is_some_and(|extension| extension == "sqlite") {
            let database = rusqlite::Connection::open(&path).unwrap();
            database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
    }
}

/// Copies databases and logs; what else lies there is made anew at every start.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if name.ends_with(".sqlite") || name.ends_with("-wal") {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
