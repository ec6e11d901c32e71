//! Price of an event for the platform, as the answer's header tells it: rows written and alarms
//! set. The native objects' exact figures, with the two apart, are in `lease_rows`; these say that both
//! programs tell the same, and so that SQLite's own count in workerd is the one budgeted for.

use mailbus_worker::object::CHARGED_HEADER;
use serde_json::{Value, json};

use crate::bus::{Bus, a_moment, run};
use crate::support::daemon::Program;
use crate::support::http::{Answer, Connection};

/// Price of a workspace's first write besides: its two tables, and the row of numbers.
const FIRST: u64 = 2 * 2 + 1;
/// Price of setting the alarm.
const ALARM: u64 = 1;

/// One workspace, and the events whose cost was another than expected.
struct Workspace {
    connection: Connection,
    name: &'static str,
    wrong: Vec<String>,
}

impl Workspace {
    /// One where nothing was ever written.
    async fn untouched(bus: &Bus, name: &'static str) -> Self {
        Self { connection: bus.connect().await, name, wrong: Vec::new() }
    }

    /// One with its tables, and with an alarm that rings in two minutes or three.
    async fn new(bus: &Bus, name: &'static str) -> Self {
        let mut workspace = Self::untouched(bus, name).await;
        let cancel = json!({"agentId": "eve", "session": "1", "request": "r"});
        workspace.costs(FIRST + 1 + ALARM, "cancel", cancel, "cancelled").await;
        workspace
    }

    async fn ask(&mut self, action: &str, body: &Value) -> Answer {
        let path = format!("/v1/{}/lease/{action}", self.name);
        self.connection.post(&path, &body.to_string()).await.unwrap()
    }

    /// An event that has to cost this and to be answered with this outcome or code.
    async fn costs(&mut self, rows: u64, action: &str, body: Value, expected: &str) -> Value {
        let answer = self.ask(action, &body).await;
        let json = answer.json();
        assert_eq!(outcome(&json), expected, "{action} {body}: {json}");
        let charged = charged(&answer);
        if charged != Some(rows) {
            self.wrong.push(format!("{action} {body}: {charged:?} instead of {rows}"));
        }
        json
    }

    async fn acquire(&mut self, rows: u64, agent: &str, paths: &[&str]) -> Value {
        self.costs(rows, "acquire", claim(agent, paths), "granted").await["token"].clone()
    }

    async fn queue(&mut self, rows: u64, agent: &str, paths: &[&str], expected: &str) {
        self.queue_for(rows, 600_000, agent, paths, expected).await;
    }

    async fn queue_for(&mut self, rows: u64, ms: u64, agent: &str, paths: &[&str], expected: &str) {
        let mut ticket = claim(agent, paths);
        ticket["request"] = json!("queue");
        ticket["waitMs"] = json!(ms);
        self.costs(rows, "acquire", ticket, expected).await;
    }

    /// Waits until the object's clock is this much beyond what it is now.
    async fn let_pass(&mut self, ms: u64) {
        let mut seen = None;
        loop {
            let now = self.ask("status", &json!({"path": "nobody's"})).await.json();
            let now = now["commit"]["now"].as_u64().unwrap();
            if *seen.get_or_insert(now) + ms <= now {
                return;
            }
            a_moment().await;
        }
    }

    fn check(self) {
        assert!(self.wrong.is_empty(), "{}: {:#?}", self.name, self.wrong);
    }
}

fn outcome(answer: &Value) -> &str {
    answer.get("outcome").or(answer.get("code")).and_then(Value::as_str).unwrap_or_default()
}

fn charged(answer: &Answer) -> Option<u64> {
    answer.header(CHARGED_HEADER)?.parse().ok()
}

fn claim(agent: &str, paths: &[&str]) -> Value {
    let request = paths.join(" ");
    json!({
        "agentId": agent, "session": "1", "request": request, "paths": paths, "ttlMs": 60_000,
    })
}

fn of(agent: &str, token: &Value) -> Value {
    json!({"agentId": agent, "session": "1", "token": token, "ttlMs": 120_000})
}

pub fn questions_and_refusals_cost_nothing(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut fresh = Workspace::untouched(&bus, "untouched").await;
        fresh.costs(0, "status", json!({"path": "a"}), "free").await;
        fresh.costs(0, "list", json!({}), "leases").await;
        fresh.costs(0, "verify", json!({"path": "a", "token": 1}), "stale").await;
        fresh.costs(0, "renew", of("ann", &json!(1)), "lost").await;
        fresh.costs(0, "release", of("ann", &json!(1)), "lost").await;
        fresh.costs(0, "release", json!({"file": "a", "agentId": "ann"}), "lost").await;
        fresh.costs(0, "cancel", json!({"agentId": "ann"}), "malformed").await;
        fresh.costs(0, "acquire", json!({"file": ".."}), "malformed").await;
        fresh.costs(0, "steal", json!({}), "not_found").await;
        fresh.check();

        let mut used = Workspace::new(&bus, "used").await;
        let token = used.acquire(1 + ALARM, "ann", &["a"]).await;
        used.acquire(1, "bob", &["b"]).await;
        used.acquire(0, "ann", &["a"]).await;
        used.costs(0, "acquire", claim("bob", &["a"]), "held").await;
        let other = json!({
            "agentId": "ann", "session": "1", "request": "a", "paths": ["c"], "ttlMs": 60_000,
        });
        used.costs(0, "acquire", other, "conflict").await;
        used.queue(1, "bob", &["a"], "queued").await;
        used.queue(0, "ann", &["b"], "deadlock").await;
        used.costs(0, "status", json!({"path": "a"}), "held").await;
        used.costs(0, "list", json!({}), "leases").await;
        used.costs(0, "verify", json!({"path": "a", "token": token}), "current").await;
        used.costs(0, "renew", of("cyd", &token), "lost").await;
        used.costs(0, "release", of("cyd", &token), "lost").await;
        let force = json!({"token": 1, "reason": "r"});
        used.costs(0, "force-release", force, "lost").await;
        used.check();
    });
}

pub fn each_event_costs_its_budget(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut first = Workspace::untouched(&bus, "first").await;
        first.acquire(FIRST + 1 + ALARM, "ann", &["a"]).await;
        first.check();

        // Four seconds are a wait of which a quarter passes soon.
        let mut waiting = Workspace::new(&bus, "waiting").await;
        waiting.acquire(1 + ALARM, "ann", &["a"]).await;
        waiting.queue_for(1 + ALARM, 4_000, "dan", &["a"], "queued").await;
        waiting.let_pass(1_000).await;
        waiting.queue_for(1, 4_000, "dan", &["a"], "queued").await;
        waiting.check();

        let mut workspace = Workspace::new(&bus, "second").await;
        let ann = workspace.acquire(1 + ALARM, "ann", &["a"]).await;
        let renewed = workspace.costs(1, "renew", of("ann", &ann), "renewed").await;
        assert_eq!(renewed["waiting"], 0);
        workspace.queue(1, "bob", &["a", "b"], "queued").await;
        workspace.queue(1, "cyd", &["b"], "queued").await;
        workspace.let_pass(1).await;
        workspace.queue(0, "bob", &["a", "b"], "queued").await;
        // Bob's turn is short, so the alarm has to ring earlier.
        workspace.costs(2 + ALARM, "release", of("ann", &ann), "released").await;
        workspace.costs(0, "release", of("ann", &ann), "released").await;
        workspace.costs(0, "acquire", claim("ann", &["a"]), "over").await;
        let cancel = |request: &str| json!({"agentId": "cyd", "session": "1", "request": request});
        workspace.costs(1, "cancel", cancel("queue"), "cancelled").await;
        workspace.costs(1, "cancel", cancel("never sent"), "cancelled").await;

        let bob = workspace.ask("status", &json!({"path": "b"})).await.json()["token"].clone();
        let force = |drain: bool| json!({"token": bob, "reason": "r", "drain": drain});
        workspace.costs(1, "force-release", force(true), "released").await;
        workspace.costs(0, "force-release", force(true), "released").await;
        workspace.costs(0, "renew", of("bob", &bob), "lost").await;
        workspace.costs(1, "force-release", force(false), "released").await;
        workspace.costs(0, "force-release", force(false), "released").await;
        workspace.costs(1, "recover", json!({"atLeast": bob}), "recovered").await;
        workspace.check();
    });
}

pub fn a_release_costs_a_row_for_each_grant(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut workspace = Workspace::new(&bus, "w").await;
        let names: Vec<String> = (0..20).map(|number| format!("p{number}")).collect();
        let paths: Vec<&str> = names.iter().map(String::as_str).collect();
        let token = workspace.acquire(1 + ALARM, "ann", &paths).await;
        for path in &paths {
            workspace.queue(1, &format!("waits for {path}"), &[path], "queued").await;
        }
        workspace.costs(1 + 20 + ALARM, "release", of("ann", &token), "released").await;
        workspace.check();
    });
}

pub fn the_originals_cycle_costs_two_rows(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut workspace = Workspace::new(&bus, "w").await;
        let lock =
            |agent: &str, ttl_ms: u64| json!({"file": "a", "agentId": agent, "ttlMs": ttl_ms});
        workspace.costs(1 + ALARM, "acquire", lock("ann", 60_000), "granted").await;
        workspace.costs(1, "acquire", lock("ann", 90_000), "granted").await;
        workspace.costs(0, "acquire", lock("bob", 60_000), "held").await;
        let unlock = json!({"file": "a", "agentId": "ann"});
        workspace.costs(1, "release", unlock.clone(), "released").await;
        workspace.costs(0, "release", unlock, "lost").await;
        workspace.check();
    });
}

/// Number of times that the read is raced against the alarm, which may be first to see the lapse.
const RACES: u64 = 2_000;

pub fn a_lapse_costs_who_sees_it_one_row(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut workspace = Workspace::new(&bus, "w").await;
        let mut seen = Vec::new();
        for race in 0..RACES {
            let brief = json!({
                "agentId": "ann", "session": "1", "request": format!("{race}"), "path": "a",
                "ttlMs": 1,
            });
            assert_eq!(workspace.ask("acquire", &brief).await.json()["outcome"], "granted");
            let answer = loop {
                let answer = workspace.ask("status", &json!({"path": "a"})).await;
                if outcome(&answer.json()) == "free" {
                    break answer;
                }
                assert_eq!(charged(&answer), Some(0), "it is still held");
            };
            match charged(&answer) {
                // The alarm was first, and paid.
                Some(0) => {}
                seen_by_the_read => seen.push(seen_by_the_read),
            }
            if seen.len() == 3 {
                break;
            }
        }
        assert_eq!(seen, [Some(1); 3], "in {RACES} races");
    });
}
