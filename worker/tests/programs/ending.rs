//! End of a program, and what is there afterwards.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::bus::{Bus, a_moment, log_beside, run};
use crate::support::daemon::{Daemon, Program};
use crate::support::http::{Connection, subscribe};

const ACQUIRE: &str = "/v1/w/lease/acquire";

pub fn a_signal_ends_it_well(program: Program) {
    let mut bus = Bus::start(program);
    let last = run(async {
        let mut connection = bus.connect().await;
        let body = r#"{"file":"a","agentId":"ann","ttlMs":86400000}"#;
        assert_eq!(connection.post(ACQUIRE, body).await.unwrap().status, 200);
        let mut socket = subscribe(bus.address(), "/v1/w/lease/subscribe?agentId=ann").await;
        bus.daemon.ask_to_stop();
        // An open socket does not keep it from ending.
        let mut last = None;
        while let Some(Ok(message)) = socket.next().await {
            last = Some(message);
        }
        last
    });
    assert_eq!(bus.daemon.ended(), (true, String::new()));
    if program == Program::Mailbusd {
        // Workerd is killed instead: it would wait for its sockets without limit.
        assert!(format!("{last:?}").contains("Restart"), "{last:?}");
    }
    let address = bus.address();
    run(async {
        until_refused(address).await;
        let daemon = program.start(&bus.data(), &["--anonymous"]);
        assert_eq!(held(daemon.address).await.into_keys().collect::<Vec<_>>(), ["a"]);
    });
}

/// The runtime dies alone, as when the system is out of memory: what supervises it must not live on as if
/// it served.
pub fn its_runtime_dies() {
    let mut bus = Bus::start(Program::MailbusWorkerd);
    let runtime = descendant(bus.daemon.id(), "workerd");
    kill_process(Pid::from_raw(runtime).unwrap(), Signal::KILL).unwrap();
    assert_eq!(bus.daemon.ended(), (false, String::new()));
    let log = log_beside(&bus.data());
    assert!(log.contains("workerd has ended by itself (exit status: 137)"), "{log}");
    run(until_refused(bus.address()));
}

/// The process of this name among those that a process has started, directly or not.
fn descendant(of: u32, name: &str) -> i32 {
    let mut found = vec![of.to_string()];
    while let Some(id) = found.pop() {
        if fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim() == name) {
            return id.parse().unwrap();
        }
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        found.extend(children.unwrap_or_default().split_whitespace().map(str::to_owned));
    }
    panic!("{of} runs no `{name}`");
}

/// Number of looks for who still listens: for a quarter of a minute and more.
const LOOKS: usize = 7_500;

/// Waits until nobody listens there any more.
async fn until_refused(address: SocketAddr) {
    for _ in 0..LOOKS {
        if TcpStream::connect(address).await.is_err() {
            return;
        }
        a_moment().await;
    }
    panic!("the program is gone, and somebody still listens on its address {address}");
}

/// Tokens that one client was told before the process died, by path.
type Acknowledged = Rc<RefCell<BTreeMap<String, u64>>>;

/// Victim of the kill.
#[derive(Clone, Copy, Debug)]
enum Killed {
    /// The program alone: what it has started has to notice.
    Program,
    /// All of its process group at once, as a terminal that is closed does.
    Group,
}

pub fn outlives_a_kill(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut all = BTreeMap::new();
    for (round, killed) in [Killed::Program, Killed::Group].into_iter().enumerate() {
        let told = run(load_until_killed(program, &data, round, killed));
        assert!(told.len() >= 100, "the load has run: {}", told.len());
        all.extend(told);
        let daemon = program.start(&data, &["--anonymous"]);
        let found = run(held(daemon.address));
        assert_eq!(missing(&all, &found), Vec::<&str>::new(), "acknowledged until {killed:?}");
    }
    // The check can fail: another folder has none of it.
    let daemon = program.start(&folder.path().join("other"), &["--anonymous"]);
    let found = run(held(daemon.address));
    assert_eq!(missing(&all, &found).len(), all.len());
}

/// Starts the program in a process group of its own and kills it under load. Returns what it had
/// acknowledged once it, and whatever it had started, is gone.
async fn load_until_killed(
    program: Program,
    data: &Path,
    round: usize,
    killed: Killed,
) -> BTreeMap<String, u64> {
    let mut command = program.command(data, &["--anonymous"]);
    let mut daemon = Daemon::spawn(command.process_group(0), data);
    let address = daemon.address;
    let told = Acknowledged::default();
    let alive = Rc::new(Cell::new(true));
    let clients: Vec<_> = (round * 8..round * 8 + 8)
        .map(|client| take_paths(address, client, Rc::clone(&told), Rc::clone(&alive)))
        .map(tokio::task::spawn_local)
        .collect();
    while told.borrow().len() < 100 {
        a_moment().await;
    }
    assert!(TcpStream::connect(address).await.is_ok(), "it listens");
    match killed {
        Killed::Program => daemon.kill(),
        Killed::Group => daemon.kill_group(),
    }
    alive.set(false);
    for client in join_all(clients).await {
        client.unwrap();
    }
    // Who still listened would be the runtime, left behind.
    until_refused(address).await;
    told.take()
}

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

/// Leases that were acknowledged and are not there, or under another token.
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
