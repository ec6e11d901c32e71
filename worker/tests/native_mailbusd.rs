//! The real program on real files and real sockets: what it acknowledges outlives a kill, what is
//! malformed is refused and changes nothing, and it starts and ends as it says.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use support::daemon::{Daemon, command};
use support::http::{Connection, send, subscribe, within_a_minute};
use support::{bad_input, on_event_loop, settle};

const ACQUIRE: &str = "/v1/w/lease/acquire";

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(&folder.path().join("data"), &["--anonymous"]);
    let cases = bad_input::cases();
    let faults = on_event_loop(within_a_minute(bad_input::faults(daemon.address, &cases)));
    assert_eq!(faults, Vec::<String>::new());
    assert!(daemon.is_running());
    // The check can fail: a good request is neither refused nor without consequence.
    let good = [bad_input::good_case()];
    let faults = on_event_loop(within_a_minute(bad_input::faults(daemon.address, &good)));
    assert_eq!(faults.len(), 2, "{faults:?}");
}

/// What one client was told before the process died.
type Acknowledged = Rc<RefCell<BTreeMap<String, u64>>>;

/// Takes one path after the other until the connection breaks.
async fn take_paths(address: SocketAddr, client: usize, told: Acknowledged, alive: Rc<Cell<bool>>) {
    let Ok(mut connection) = Connection::open(address).await else { return };
    for n in 0.. {
        let path = format!("f/{client}/{n}");
        let body = json!({"file": path, "agentId": format!("agent-{client}"), "ttlMs": 86_400_000});
        let Ok(answer) = connection.post(ACQUIRE, &body.to_string()).await else { break };
        assert_eq!(answer.status, 200, "{}", answer.json());
        told.borrow_mut().insert(path, answer.json()["token"].as_u64().unwrap());
        // The bounds of a holder end the load, if the kill does not.
        if !alive.get() || n == 200 {
            break;
        }
    }
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut all = BTreeMap::new();
    for round in 0..3_usize {
        let mut daemon = Daemon::start(&data, &["--anonymous"]);
        let told = Acknowledged::default();
        on_event_loop(within_a_minute(async {
            let alive = Rc::new(Cell::new(true));
            let clients: Vec<_> = (0..8)
                .map(|client| {
                    take_paths(
                        daemon.address,
                        round * 8 + client,
                        Rc::clone(&told),
                        Rc::clone(&alive),
                    )
                })
                .map(tokio::task::spawn_local)
                .collect();
            while told.borrow().len() < 100 {
                settle().await;
            }
            daemon.kill();
            alive.set(false);
            for client in join_all(clients).await {
                client.unwrap();
            }
        }));
        let told = told.take();
        assert!(told.len() >= 100, "the load has run");
        all.extend(told);

        let mut daemon = Daemon::start(&data, &["--anonymous"]);
        let found = on_event_loop(within_a_minute(held(daemon.address)));
        assert_eq!(missing(&all, &found), Vec::<&str>::new(), "acknowledged until round {round}");
        daemon.ask_to_stop();
        assert!(daemon.ended().0);
    }
    // The check can fail: another folder has none of it.
    let daemon = Daemon::start(&folder.path().join("other"), &["--anonymous"]);
    let found = on_event_loop(within_a_minute(held(daemon.address)));
    assert_eq!(missing(&all, &found).len(), all.len());
}

/// What was acknowledged and is not there, or under another token.
fn missing<'a>(told: &'a BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Vec<&'a str> {
    let lost = told.iter().filter(|(path, token)| found.get(*path) != Some(token));
    lost.map(|(path, _)| path.as_str()).collect()
}

/// All leases, by path.
async fn held(address: SocketAddr) -> BTreeMap<String, u64> {
    let mut connection = Connection::open(address).await.unwrap();
    let mut found = BTreeMap::new();
    let mut after = Value::Null;
    loop {
        let body = json!({"limit": 1_000, "after": after}).to_string();
        let page = connection.post("/v1/w/lease/list", &body).await.unwrap().json();
        let leases = page["leases"].as_array().unwrap_or_else(|| panic!("{page}"));
        let Some(last) = leases.last() else { return found };
        after = last["path"].clone();
        for lease in leases {
            found.insert(
                lease["path"].as_str().unwrap().to_owned(),
                lease["token"].as_u64().unwrap(),
            );
        }
    }
}

#[test]
fn a_signal_ends_it_well_and_closes_sockets_with_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(&folder.path().join("data"), &["--anonymous"]);
    on_event_loop(within_a_minute(async {
        let mut socket = subscribe(daemon.address, "/v1/w/lease/subscribe?agentId=alice").await;
        daemon.ask_to_stop();
        let closed = loop {
            match socket.next().await {
                Some(Ok(message)) if message.is_close() => break message,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        };
        assert!(format!("{closed:?}").contains("Restart"), "{closed:?}");
        while socket.next().await.is_some() {}
    }));
    assert_eq!(daemon.ended(), (true, String::new()));
}

#[test]
fn without_a_secret_everybody_is_refused_unless_anonymous() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&folder.path().join("data"), &[]);
    on_event_loop(within_a_minute(async {
        for path in ["/v1/version", "/v1/w/lease/list", "/nowhere"] {
            let answer =
                send(daemon.address, "POST", path, &[("authorization", "Bearer x")], Vec::new())
                    .await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }));
}

#[test]
fn anonymous_access_listens_on_loopback_only_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mailbusd"))
        .args(["--listen", "0.0.0.0:0", "--data"])
        .arg(&data)
        .env("MAILBUS_ALLOW_ANONYMOUS", "true")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("loopback"), "{said}");

    let daemon = Daemon::start(&data, &["--anonymous"]);
    let log = std::fs::read_to_string(data.with_extension("log")).unwrap();
    assert!(log.contains("anonymous access"), "{log}");
    let second = command(&data, &["--anonymous"]).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && said.contains("in use"), "{said}");
    assert!(daemon.ready.contains("\"program\":\"mailbusd\""));
}
