//! Putting a workspace back to an earlier point, by the steps of `spec/rules/README.md`, and by an operator
//! who knows no token and no `seq`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use mailbus_spec::Ordinal;
use serde_json::{Value, json};

use crate::bus::run;
use crate::support::daemon::Program;
use crate::support::http::{Answer, Connection, send};

pub fn a_workspace_is_put_back_by_the_page(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));

    let mut daemon = program.start(&data, &["--anonymous"]);
    run(async {
        let to = &mut Connection::open(daemon.address).await.unwrap();
        granted(&acquire(to, "team", "before").await);
        accepted(&order(to, "before").await);
    });
    daemon.kill();
    copy(&data, &backup);

    let mut daemon = program.start(&data, &["--anonymous"]);
    let lost = run(async {
        let to = &mut Connection::open(daemon.address).await.unwrap();
        accepted(&order(to, "lost").await);
        granted(&acquire(to, "team", "lost").await)
    });
    daemon.kill();
    fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);

    let mut daemon = program.start(&data, &["--anonymous", "--suspend", "team"]);
    run(async {
        refused(daemon.address).await;
        let to = &mut Connection::open(daemon.address).await.unwrap();
        granted(&acquire(to, "others", "a").await);
        for class in ["lease", "mailbox"] {
            let path = format!("/v1/team/{class}/recover");
            let recovered = to.post(&path, &json!({ "atLeast": now() }).to_string()).await.unwrap();
            assert_eq!(recovered.json()["outcome"], "recovered", "{class}: {}", recovered.json());
        }
        refused(daemon.address).await;
    });
    daemon.kill();

    let daemon = program.start(&data, &["--anonymous"]);
    run(async {
        let to = &mut Connection::open(daemon.address).await.unwrap();
        let again = granted(&acquire(to, "team", "lost").await);
        assert!(again > lost, "{again} fences out {lost}");
        let inbox = to.post("/v1/team/mailbox/inbox", r#"{"agentId":"bob"}"#).await.unwrap().json();
        let ids: Vec<&Value> =
            inbox["messages"].as_array().unwrap().iter().map(|mail| &mail["id"]).collect();
        assert_eq!(ids, ["before"], "{inbox}");
    });
}

pub fn a_name_that_is_none_is_refused(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output =
        program.command(&data, &["--anonymous", "--suspend", "team,a b"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("--suspend"), "{output:?}");
    assert!(!data.exists(), "it has not begun");
}

/// Nothing of the workspace is answered, and whoever asks is told when to ask again.
async fn refused(address: SocketAddr) {
    for (method, path) in [
        ("POST", "/v1/team/lease/acquire"),
        ("POST", "/v1/team/mailbox/send"),
        ("GET", "/v1/team/lease/subscribe?agentId=ann"),
        ("GET", "/v1/team/mailbox/subscribe?agentId=ann"),
    ] {
        let answer = send(address, method, path, &[], Vec::new()).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "restoring"), "{path}");
        assert_eq!(answer.header("retry-after"), Some("30"), "{path}");
    }
}

/// The smallest ordinal that no host whose clock is right has issued yet.
#[expect(clippy::disallowed_methods, reason = "the programs' clocks are this machine's")]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (u64::try_from(since.as_millis()).unwrap() + 1) << Ordinal::SHIFT
}

async fn acquire(to: &mut Connection, workspace: &str, path: &str) -> Answer {
    let claim =
        json!({ "agentId": "ann", "session": "1", "request": path, "path": path, "ttlMs": 5_000 });
    to.post(&format!("/v1/{workspace}/lease/acquire"), &claim.to_string()).await.unwrap()
}

async fn order(to: &mut Connection, id: &str) -> Answer {
    let message = json!({ "id": id, "type": "order", "from": "ann" });
    let order = json!({ "targetAgent": "bob", "message": message });
    to.post("/v1/team/mailbox/send", &order.to_string()).await.unwrap()
}

fn granted(answer: &Answer) -> u64 {
    let answer = answer.json();
    assert_eq!(answer["outcome"], "granted", "{answer}");
    answer["token"].as_u64().unwrap()
}

fn accepted(answer: &Answer) {
    let answer = answer.json();
    assert_eq!(answer["outcome"], "accepted", "{answer}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
