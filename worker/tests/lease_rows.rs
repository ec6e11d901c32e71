//! Price of each event on the lease object: rows written and alarms set, counted at the storage
//! seam. The budget: 1 row and at most 1 alarm an event; 1 row more when something lapsed or the clock
//! was re-anchored, and 1 for each ticket granted; a refusal or a question 0. Rows that are deleted
//! later, in ranges, come to 1 each.
#![cfg(not(target_arch = "wasm32"))]

use mailbus_spec::HostTime;
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::native::sockets::Sockets;
use mailbus_worker::native::{Arrival, Database, Delivered, Instance};
use mailbus_worker::object::{Body, Request};
use serde_json::{Value, json};

const NOON: u64 = 1_800_000_000_000;
const YEAR: u64 = 31_557_600_000;

/// The production object of one workspace, and the host's clock.
struct Workspace {
    instance: Instance<ProductionLeaseObject>,
    host_ms: u64,
}

/// Rows and alarms.
type Cost = (u64, u64);

impl Workspace {
    /// Untouched: not even its tables are there.
    fn untouched() -> Self {
        let database = Database::in_memory().unwrap();
        let instance =
            Instance::open(database, Sockets::default(), ProductionLeaseObject::wake).unwrap();
        Self { instance, host_ms: NOON }
    }

    /// One that has written before, with an alarm set for `eve`'s memory.
    fn new() -> Self {
        let mut workspace = Self::untouched();
        workspace.ask("cancel", json!({"agentId": "eve", "session": "1", "request": "r"}));
        workspace
    }

    fn deliver(&mut self, arrival: &Arrival<'_>) -> (Cost, Delivered) {
        let delivered = self.instance.deliver(HostTime(self.host_ms), arrival).unwrap();
        ((delivered.rows, u64::from(delivered.alarm.is_some())), delivered)
    }

    fn ask(&mut self, action: &str, body: Value) -> (Cost, Value) {
        let body = body.to_string();
        let request = Request {
            method: "POST",
            action,
            query: "",
            upgrade: false,
            body: Body::Whole(body.as_bytes()),
        };
        let (cost, delivered) = self.deliver(&Arrival::Request(request));
        (cost, serde_json::from_str(&delivered.response.unwrap().body).unwrap())
    }

    /// Price of an event that is answered with this outcome or code.
    fn cost(&mut self, action: &str, body: Value, expected: &str) -> Cost {
        let (cost, answer) = self.ask(action, body);
        let got = answer.get("outcome").or(answer.get("code")).and_then(Value::as_str);
        assert_eq!(got, Some(expected), "{answer}");
        cost
    }

    fn acquire(&mut self, agent: &str, path: &str, expected: &str) -> (Cost, Value) {
        let body = json!({
            "agentId": agent, "session": "1", "request": path, "path": path, "ttlMs": 60_000,
        });
        let (cost, answer) = self.ask("acquire", body);
        let got = answer.get("outcome").or(answer.get("code")).and_then(Value::as_str);
        assert_eq!(got, Some(expected), "{answer}");
        (cost, answer["token"].clone())
    }

    fn queue(&mut self, agent: &str, paths: &[&str], expected: &str) -> Cost {
        self.queue_for(600_000, agent, paths, expected)
    }

    fn queue_for(&mut self, ms: u64, agent: &str, paths: &[&str], expected: &str) -> Cost {
        let body = json!({
            "agentId": agent, "session": "1", "request": "queue", "paths": paths,
            "ttlMs": 60_000, "waitMs": ms,
        });
        self.cost("acquire", body, expected)
    }

    fn ring(&mut self) -> Cost {
        self.deliver(&Arrival::Alarm).0
    }
}

fn of(agent: &str, token: &Value) -> Value {
    json!({"agentId": agent, "session": "1", "token": token, "ttlMs": 120_000})
}

#[test]
fn questions_and_refusals_write_nothing_not_even_tables() {
    let mut workspace = Workspace::untouched();
    assert_eq!(workspace.cost("status", json!({"path": "a"}), "free"), (0, 0));
    assert_eq!(workspace.cost("list", json!({}), "leases"), (0, 0));
    assert_eq!(workspace.cost("verify", json!({"path": "a", "token": 1}), "stale"), (0, 0));
    assert_eq!(workspace.cost("renew", of("ann", &json!(1)), "lost"), (0, 0));
    assert_eq!(workspace.cost("release", of("ann", &json!(1)), "lost"), (0, 0));
    assert_eq!(workspace.cost("cancel", json!({"agentId": "ann"}), "malformed"), (0, 0));
    assert_eq!(workspace.ring(), (0, 0));
    let tables = "SELECT 1 FROM sqlite_master WHERE name NOT LIKE '\\_%' ESCAPE '\\'";
    let found = mailbus_worker::storage::Storage::query(workspace.instance.database(), tables, &[]);
    assert_eq!(found.unwrap(), Vec::<Vec<_>>::new());
}

#[test]
fn a_lease_costs_one_row_a_command() {
    let mut workspace = Workspace::new();
    let ((rows, alarms), token) = workspace.acquire("ann", "a", "granted");
    assert_eq!((rows, alarms), (1, 1), "it ends before eve's memory does");
    let refused = workspace.acquire("bob", "a", "held");
    assert_eq!(refused.0, (0, 0));
    assert_eq!(workspace.acquire("ann", "a", "granted").0, (0, 0), "asked again");
    assert_eq!(workspace.cost("renew", of("ann", &token), "renewed"), (1, 0));
    assert_eq!(workspace.cost("renew", of("ann", &token), "renewed"), (0, 0), "in the same ms");
    assert_eq!(workspace.cost("status", json!({"path": "a"}), "held"), (0, 0));
    let force = json!({"token": token, "reason": "r", "drain": true});
    assert_eq!(workspace.cost("force-release", force.clone(), "released"), (1, 0));
    assert_eq!(workspace.cost("force-release", force, "released"), (0, 0));
    assert_eq!(workspace.cost("release", of("ann", &token), "released"), (1, 0));
    assert_eq!(workspace.cost("release", of("ann", &token), "released"), (0, 0), "again");
    assert_eq!(workspace.acquire("ann", "a", "over").0, (0, 0));
}

#[test]
fn the_originals_cycle_costs_two_rows() {
    let mut workspace = Workspace::new();
    let lock = json!({"file": "a", "agentId": "ann", "ttlMs": 60_000});
    assert_eq!(workspace.cost("acquire", lock.clone(), "granted"), (1, 1));
    workspace.host_ms += 5;
    assert_eq!(workspace.cost("acquire", lock.clone(), "granted"), (1, 0), "its renewal");
    let unlock = json!({"file": "a", "agentId": "ann"});
    assert_eq!(workspace.cost("release", unlock.clone(), "released"), (1, 0));
    assert_eq!(workspace.cost("release", unlock, "lost"), (0, 0));
}

#[test]
fn a_ticket_costs_one_row_and_its_grant_one_more() {
    let mut workspace = Workspace::new();
    let (_, token) = workspace.acquire("ann", "a", "granted");
    assert_eq!(workspace.queue("bob", &["a", "b"], "queued"), (1, 0));
    assert_eq!(workspace.queue("bob", &["a", "b"], "queued"), (0, 0), "in the same ms");
    assert_eq!(workspace.queue("cyd", &["b"], "queued"), (1, 0));
    workspace.host_ms += 1;
    assert_eq!(workspace.queue("bob", &["a", "b"], "queued"), (0, 0), "its deadline moves little");
    let release = of("ann", &token);
    assert_eq!(workspace.cost("release", release, "released"), (2, 1), "bob's turn is short");
    let cancel = json!({"agentId": "cyd", "session": "1", "request": "queue"});
    assert_eq!(workspace.cost("cancel", cancel.clone(), "cancelled"), (1, 0));
    assert_eq!(workspace.cost("cancel", cancel.clone(), "cancelled"), (0, 0), "in the same ms");
    workspace.host_ms += 1;
    assert_eq!(workspace.cost("cancel", cancel, "cancelled"), (1, 0), "its memory is renewed");
}

#[test]
fn a_question_costs_a_row_after_a_quarter_of_the_wait_and_keeps_the_place() {
    let mut workspace = Workspace::new();
    workspace.acquire("ann", "a", "granted");
    workspace.queue_for(4_000, "bob", &["a"], "queued");
    for _ in 0..2 {
        workspace.host_ms += 999;
        assert_eq!(workspace.queue_for(4_000, "bob", &["a"], "queued"), (0, 0), "it moves little");
        workspace.host_ms += 1;
        assert_eq!(workspace.queue_for(4_000, "bob", &["a"], "queued"), (1, 0));
    }
    workspace.host_ms += 3_999;
    assert_eq!(workspace.queue_for(4_000, "bob", &["a"], "queued"), (1, 0), "it keeps its place");
}

#[test]
fn sixty_four_tickets_freed_at_once_cost_a_row_each() {
    let mut workspace = Workspace::new();
    let paths: Vec<String> = (0..64).map(|number| format!("p{number}")).collect();
    let (_, answer) = workspace.ask(
        "acquire",
        json!({"agentId": "ann", "session": "1", "request": "r", "paths": paths, "ttlMs": 60_000}),
    );
    for (number, path) in paths.iter().enumerate() {
        assert_eq!(workspace.queue(&format!("w{number}"), &[path], "queued"), (1, 0));
    }
    let release = of("ann", &answer["token"]);
    assert_eq!(workspace.cost("release", release, "released"), (65, 1));
}

#[test]
fn lapses_cost_one_row_together_and_none_beside_another() {
    let mut workspace = Workspace::new();
    for path in ["a", "b", "c"] {
        workspace.acquire("ann", path, "granted");
    }
    workspace.host_ms += 60_000;
    assert_eq!(workspace.cost("status", json!({"path": "a"}), "free"), (1, 0));
    assert_eq!(workspace.cost("status", json!({"path": "a"}), "free"), (0, 0));
    workspace.acquire("ann", "d", "granted");
    workspace.host_ms += 60_000;
    // The row of the grant carries the clock; the alarm for `d` is taken for lost by now.
    assert_eq!(workspace.acquire("bob", "d", "granted").0.0, 1);
}

#[test]
fn a_clock_that_is_re_anchored_costs_one_row_more() {
    let mut workspace = Workspace::new();
    workspace.host_ms += YEAR;
    workspace.acquire("ann", "a", "granted");
    workspace.host_ms -= YEAR;
    let status = workspace.cost("status", json!({"path": "a"}), "held");
    assert_eq!(status, (1, 1), "the clock, and the alarm that would have rung a year late");
    workspace.host_ms -= YEAR;
    let ((rows, alarms), _) = workspace.acquire("ann", "b", "granted");
    assert_eq!((rows, alarms), (2, 1));
    assert_eq!(workspace.acquire("ann", "c", "granted").0, (1, 0));
}

#[test]
fn a_recovery_costs_one_row() {
    let mut workspace = Workspace::new();
    let at_least = json!({"atLeast": (NOON + 1_000) << 10});
    assert_eq!(workspace.cost("recover", at_least, "recovered"), (1, 0));
}

#[test]
fn what_is_over_is_deleted_by_the_alarm_and_one_row_stays() {
    let mut workspace = Workspace::new();
    for number in 0..10 {
        workspace.acquire("ann", &format!("p{number}"), "granted");
    }
    assert_eq!(workspace.ring(), (0, 1), "early: it is set again");
    workspace.host_ms += 60_000;
    assert_eq!(workspace.ring(), (1, 1), "they lapse");
    workspace.host_ms += 180_000;
    assert_eq!(workspace.ring(), (12, 0), "ten leases and eve's request go, the numbers stay");
    let database = workspace.instance.database();
    let claims = mailbus_worker::storage::Storage::query(database, "SELECT 1 FROM claim", &[]);
    assert_eq!(claims.unwrap().len(), 0);
    let meta = mailbus_worker::storage::Storage::query(database, "SELECT 1 FROM meta", &[]);
    assert_eq!(meta.unwrap().len(), 1);
}

#[test]
fn waking_costs_nothing() {
    let mut workspace = Workspace::new();
    let (_, token) = workspace.acquire("ann", "a", "granted");
    workspace.instance.evict();
    assert_eq!(workspace.cost("status", json!({"path": "a"}), "held"), (0, 0));
    workspace.instance.evict();
    assert_eq!(workspace.cost("renew", of("ann", &token), "renewed"), (1, 0));
}

#[test]
fn a_lost_alarm_is_set_again_a_minute_later() {
    let mut workspace = Workspace::new();
    workspace.acquire("ann", "a", "granted");
    workspace.instance.lose_alarm().unwrap();
    workspace.host_ms += 120_000;
    assert_eq!(workspace.cost("status", json!({"path": "a"}), "free"), (1, 0), "it may be late");
    workspace.host_ms += 1;
    assert_eq!(workspace.cost("status", json!({"path": "a"}), "free"), (0, 1));
    assert_eq!(workspace.cost("status", json!({"path": "a"}), "free"), (0, 0));
}

#[test]
fn an_alarm_that_rings_on_a_clock_that_cannot_be_is_set_again() {
    let mut workspace = Workspace::new();
    workspace.host_ms = 1_000;
    assert_eq!(workspace.ring(), (0, 1));
    workspace.host_ms = NOON;
    assert_eq!(workspace.cost("status", json!({"path": "a"}), "free"), (0, 1), "long past");
    workspace.host_ms += 180_000;
    assert_eq!(workspace.ring(), (2, 0), "eve's request is forgotten");
}
