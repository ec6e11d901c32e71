//! Disk at the time an answer leaves: what was played of the record so far, and the power cut.

use std::path::Path;

use serde_json::{Value, json};

use crate::bus::run;
use crate::support::daemon::Program;
use crate::support::disk::{Call, Disk};
use crate::support::http::Connection;
use crate::support::preload::Watched;

/// A file that a program has to find again: a database, or its log.
fn is_kept(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    path.is_dir() || name.ends_with(".sqlite") || name.ends_with(".sqlite-wal")
}

/// True if this write begins a log anew: what it said before has to be in the database by then.
fn database_of_new_log(disk: &Disk, call: &Call) -> Option<std::path::PathBuf> {
    let Call::Write { inode, offset: 0, .. } = call else { return None };
    let log = disk.path_of(*inode)?.to_str()?.strip_suffix("-wal")?.to_owned();
    Some(log.into())
}

/// One client, one request after the other: when its answer leaves, nothing is at stake. Enough is
/// written that logs are folded into their databases and begin anew.
pub fn answers_leave_when_all_is_durable(program: Program) {
    let watched = Watched::new();
    let mut daemon = watched.start(program, &["--anonymous"]);
    const ANSWERS: usize = 420;
    run(async {
        let mut connection = Connection::open(daemon.address).await.unwrap();
        for n in 0..ANSWERS {
            let (action, body) = match n {
                0..10 => ("lease/acquire", acquire(n)),
                10.. => ("mailbox/send", send(n)),
            };
            let answer = connection.post(&format!("/v1/w/{action}"), &body.to_string()).await;
            assert_eq!(answer.unwrap().status, 200);
        }
        daemon.kill();
    });

    let mut disk = Disk::new(&watched.disk());
    let (mut left, mut begun) = (0, 0);
    for call in watched.calls().iter().flatten() {
        if let Some(database) = database_of_new_log(&disk, call) {
            begun += 1;
            let missing = disk.at_stake(|path| path == database);
            assert_eq!(missing, [""; 0], "the log begins anew: {begun}");
        }
        if call.answer().is_some() {
            left += 1;
            assert_eq!(disk.at_stake(is_kept), [""; 0], "an answer leaves: {left}");
        }
        disk.call(call);
    }
    assert_eq!(left, ANSWERS);
    assert!(begun > 3, "one for each file, and more: {begun}");
}

fn acquire(n: usize) -> Value {
    json!({"agentId": "ann", "file": format!("f/{n}"), "ttlMs": 86_400_000})
}

fn send(n: usize) -> Value {
    let message =
        json!({"id": n.to_string(), "type": "t", "from": "ann", "payload": "x".repeat(20_000)});
    // A name that nobody knows may have a hundred.
    json!({"to": format!("bob-{}", n / 100), "message": message})
}

/// The program is killed at each of the calls that make a workspace's files, started again, and the power
/// is cut when that has answered.
pub fn what_is_half_made_is_made(program: Program) {
    for call in 1.. {
        let watched = Watched::new();
        let mut daemon = watched.start(program, &["--anonymous"]);
        watched.kill_at(call);
        let told = run(first_answer(daemon.address));
        let unharmed = watched.calls_left() > 0;
        watched.kill_at(0);
        daemon.kill();

        let mut again = watched.start(program, &["--anonymous"]);
        let answer = run(first_answer(again.address)).unwrap();
        assert!(told.is_none_or(|told| told == answer), "killed at call {call}");
        again.kill();
        let cut = watched.cut();
        let last = cut.start(program, &["--anonymous"]);
        let found = run(first_answer(last.address)).unwrap();
        assert_eq!(found, answer, "killed at call {call}, then the power was cut");
        if unharmed {
            assert!(call > 20, "many calls make a file: {call}");
            return;
        }
    }
}

/// The token of a lease, asked for under the same name each time.
async fn first_answer(address: std::net::SocketAddr) -> Option<u64> {
    let mut connection = Connection::open(address).await.ok()?;
    let body = json!({"agentId": "ann", "session": "1", "request": "r", "paths": ["f"],
        "ttlMs": 86_400_000});
    let answer = connection.post("/v1/w/lease/acquire", &body.to_string()).await.ok()?;
    Some(answer.json()["token"].as_u64().unwrap_or_else(|| panic!("{answer:?}")))
}
