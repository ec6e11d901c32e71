//! Goal: what is promised of mail over minutes, hours and thousands of messages.
//!
//! Method: the production object natively, on a clock that the test moves; its alarm rings when it is due
//! and not before.

use mailbus_spec::HostTime;
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::sockets::Sockets;
use mailbus_worker::native::{Arrival, Database, Delivered, Instance};
use mailbus_worker::object::{Body, Request, SocketId};
use mailbus_worker::storage::{Storage, Value as Column};
use serde_json::{Value, json};

const START: u64 = 1_893_456_000_000;
const MINUTE: u64 = 60_000;

struct Workspace {
    instance: Instance<ProductionMailboxObject>,
    now: u64,
    /// Pushes in order: the socket, and each object of its frames.
    pushed: Vec<(SocketId, Value)>,
}

impl Workspace {
    fn new() -> Self {
        let database = Database::in_memory().unwrap();
        let instance =
            Instance::open(database, Sockets::default(), ProductionMailboxObject::wake).unwrap();
        Self { instance, now: START, pushed: Vec::new() }
    }

    fn deliver(&mut self, arrival: &Arrival<'_>) -> Delivered {
        let delivered = self.instance.deliver(HostTime(self.now), arrival).unwrap();
        for (socket, frame) in &delivered.frames {
            let objects: Value = serde_json::from_str(frame).unwrap();
            let objects = objects.as_array().cloned().unwrap_or_else(|| vec![objects.clone()]);
            let mail = objects.into_iter().filter(|object| object.get("seq").is_some());
            self.pushed.extend(mail.map(|object| (*socket, object)));
        }
        delivered
    }

    /// Rings the alarm as long as it is due.
    fn ring(&mut self) {
        while self.instance.due_alarm().is_some_and(|due| due.0 <= self.now) {
            self.deliver(&Arrival::Alarm);
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now += ms;
        self.ring();
    }

    fn post(&mut self, action: &str, body: &Value) -> Value {
        let text = body.to_string();
        let body = Body::Whole(text.as_bytes());
        let request = Request { method: "POST", action, query: "", upgrade: false, body };
        let response = self.deliver(&Arrival::Request(request)).response.unwrap();
        assert_eq!(response.status, 200, "{action} {text}: {}", response.body);
        serde_json::from_str(&response.body).unwrap()
    }

    fn open(&mut self, query: &str) -> SocketId {
        let body = Body::Whole(b"");
        let request = Request { method: "GET", action: "subscribe", query, upgrade: true, body };
        let socket = self.deliver(&Arrival::Request(request)).accepted.unwrap();
        self.ring();
        socket
    }

    fn close(&mut self, socket: SocketId) {
        self.deliver(&Arrival::Closed { socket });
    }

    /// The ids that were pushed over a socket, in order.
    fn ids(&self, socket: SocketId) -> Vec<String> {
        let own = self.pushed.iter().filter(|(to, _)| *to == socket);
        own.map(|(_, mail)| mail["id"].as_str().unwrap().to_owned()).collect()
    }

    fn number(&mut self, sql: &'static str) -> i64 {
        let rows = self.instance.database().query(sql, &[]).unwrap();
        match rows[0][0] {
            Column::Integer(number) => number,
            ref other => panic!("{other:?}"),
        }
    }
}

const LOG: &str = "SELECT count(*) FROM log";
const BYTES: &str = "SELECT (SELECT coalesce(sum(length(body)), 0) FROM log) + (SELECT coalesce(sum(length(open) + length(subs)), 0) FROM agent)";

/// One message of each of four senders after the other.
fn from_four_senders(n: usize) -> Value {
    let id = format!("m{n}");
    let from = format!("sender-{}", n % 4);
    json!({"targetAgent": "away", "message": {
        "id": id, "type": "t", "from": from, "payload": "x".repeat(200),
    }})
}

#[test]
fn a_thousand_messages_wait_for_an_agent_that_has_never_connected() {
    let mut workspace = Workspace::new();
    // Its name is known, by a request: a name that nobody has introduced holds a hundred.
    workspace.post("subscriptions", &json!({"agentId": "away", "add": ["news"]}));
    let empty = workspace.number(BYTES);
    for n in 0..1_000 {
        let accepted = workspace.post("send", &from_four_senders(n));
        assert_eq!(accepted["recipients"], 1, "{n}");
    }
    let sent: Vec<String> = (0..1_000).map(|n| format!("m{n}")).collect();

    let socket = workspace.open("agentId=away&session=1&protocol=1");
    let mut acknowledged = 0;
    while acknowledged < 900 {
        assert!(workspace.ids(socket).len() > acknowledged, "the window opens as it is settled");
        let seqs: Vec<Value> = workspace.pushed[acknowledged..]
            .iter()
            .take(900 - acknowledged)
            .map(|(_, mail)| mail["seq"].clone())
            .collect();
        acknowledged += seqs.len();
        let ack = json!({"action": "acknowledge", "seqs": seqs, "call": 1}).to_string();
        workspace.deliver(&Arrival::Frame { socket, text: &ack });
        workspace.ring();
    }
    assert_eq!(workspace.ids(socket), sent, "all of them, in order, once");

    workspace.close(socket);
    let again = workspace.open("agentId=away&session=2&protocol=1");
    assert_eq!(workspace.ids(again), sent[900..], "what was acknowledged does not come back");
    let rest: Vec<Value> =
        workspace.pushed[1_000..].iter().map(|(_, mail)| mail["seq"].clone()).collect();
    workspace.post("acknowledge", &json!({"agentId": "away", "seqs": rest}));

    for _ in 0..5 {
        workspace.wait(MINUTE);
    }
    assert_eq!(workspace.number(LOG), 0, "collected");
    let left = workspace.number(BYTES);
    assert!(left * 10 <= empty * 11, "{empty} bytes before, {left} after");
}

#[test]
fn who_never_acknowledges_gets_every_message_for_an_hour_and_its_inbox_does_not_fill() {
    let mut workspace = Workspace::new();
    let socket = workspace.open("agentId=mute");
    let mut most = 0;
    for n in 0..3_600 {
        workspace.wait(1_000);
        let message = json!({"id": format!("m{n}"), "type": "tick", "from": "clock", "payload": n});
        let accepted = workspace.post("publish", &message);
        assert_eq!(accepted["refused"], json!([]), "{n}");
        if n % 60 == 0 {
            most = most.max(pending(&mut workspace));
        }
    }
    let sent: Vec<String> = (0..3_600).map(|n| format!("m{n}")).collect();
    assert_eq!(workspace.ids(socket), sent, "every message, in order, once");
    // Ten minutes of mail, and what comes between two rounds of collection.
    assert!(most <= 600 + 2 * 60, "{most} pending at once");

    workspace.close(socket);
    let again = workspace.open("agentId=mute");
    let back = workspace.ids(again);
    assert!(!back.is_empty() && back.len() <= 600 + 60, "{} come again", back.len());
    assert_eq!(back, sent[3_600 - back.len()..], "the recent ones");
}

#[test]
fn an_alarm_that_can_push_nothing_does_not_ring_again_and_again() {
    let mut workspace = Workspace::new();
    let first = workspace.open("agentId=bob&session=1&protocol=1");
    let sent = |n: usize, payload: usize| {
        json!({"targetAgent": "bob", "message": {
            "id": format!("m{n}"), "type": "t", "from": "ann", "payload": "x".repeat(payload),
        }})
    };
    // A large one that comes again in a second, and more small ones than one event pushes.
    let large = workspace.post("send", &sent(0, 8_000))["seq"].clone();
    let back = json!({"action": "nack", "seq": large, "delayMs": 1_000, "call": 1}).to_string();
    workspace.deliver(&Arrival::Frame { socket: first, text: &back });
    for n in 1..300 {
        workspace.post("send", &sent(n, 10));
    }
    workspace.now += 500;
    let query = "agentId=bob&session=2&protocol=1&window=1024&windowBytes=20000";
    let body = Body::Whole(b"");
    let request = Request { method: "GET", action: "subscribe", query, upgrade: true, body };
    let socket = workspace.deliver(&Arrival::Request(request)).accepted.unwrap();
    assert_eq!(
        workspace.ids(socket).len(),
        256,
        "what one event pushes, and the rest is left over"
    );

    // When the alarm rings, the large one is due and stands in the way of what is younger.
    workspace.now += 1_000;
    for _ in 0..3 {
        workspace.deliver(&Arrival::Alarm);
    }
    assert_eq!(workspace.ids(socket).len(), 256);
    let due = workspace.instance.due_alarm().expect("collection is due some time");
    assert!(due.0 > workspace.now, "it would ring at once, for ever");
}

/// Number of messages that are pending for the agent.
fn pending(workspace: &mut Workspace) -> usize {
    let (mut after, mut pending) = (json!(0), 0);
    loop {
        let inbox = json!({"agentId": "mute", "after": after, "limit": 1_000});
        let page = workspace.post("inbox", &inbox);
        let messages = page["messages"].as_array().unwrap();
        pending += messages.len();
        if messages.len() < 1_000 {
            return pending;
        }
        after = page["completeThrough"].clone();
    }
}
