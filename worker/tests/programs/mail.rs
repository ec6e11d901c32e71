//! Mail from end to end.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::bus::{Bus, run};
use crate::socket::Socket;
use crate::support::daemon::Program;
use crate::support::http::Connection;

/// A session that takes commands, and what it was told of its beginning.
pub async fn open(address: SocketAddr, agent: &str, besides: &str) -> (Socket, Value) {
    let query = format!("agentId={agent}&session=1&protocol=1{besides}");
    begin(address, &query).await
}

/// A session of any kind.
pub async fn begin(address: SocketAddr, query: &str) -> (Socket, Value) {
    let mut socket = Socket::open(address, "mailbox", query).await;
    let begun = socket.next().await;
    assert_eq!(begun["type"], "$connected", "{begun}");
    (socket, begun)
}

/// Posts to the workspace `w`; the answer has to be a success.
pub async fn post(connection: &mut Connection, action: &str, body: &Value) -> Value {
    let path = format!("/v1/w/mailbox/{action}");
    let answer = connection.post(&path, &body.to_string()).await.unwrap();
    assert_eq!(answer.status, 200, "{action} {body}: {answer:?}");
    answer.json()
}

/// Messages that are pending for an agent, by id.
pub async fn pending(connection: &mut Connection, agent: &str) -> Vec<String> {
    let inbox = post(connection, "inbox", &json!({"agentId": agent, "limit": 1_000})).await;
    let messages = inbox["messages"].as_array().unwrap_or_else(|| panic!("{inbox}"));
    messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

pub fn published(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        let (mut ann, begun) = open(bus.address(), "ann", "").await;
        assert_eq!((&begun["resumed"], &begun["refused"]), (&json!(false), &json!(0)));
        let (mut bob, _) = open(bus.address(), "bob", "&types=task.*").await;
        let (mut cyd, _) = open(bus.address(), "cyd", "&types=other").await;

        // Spelled as nobody would, and with members that the bus does not know.
        let body = r#"{ "type":"task.new", "payload" : {"n":1.50,"t":"\u00e9"}, "id":"a", "from":"ann", "syncVersion":12345678901234567890 }"#;
        let answer = connection.post("/v1/w/mailbox/publish", body).await.unwrap().json();
        assert_eq!((&answer["accepted"], &answer["recipients"]), (&json!(true), &json!(1)));
        let pushed = bob.next_text().await;
        let seq = answer["seq"].as_u64().unwrap();
        let stem = body.trim_end_matches([' ', '}']);
        assert!(pushed.starts_with(stem), "as it was sent: {pushed}");
        let told: Value = serde_json::from_str(&pushed).unwrap();
        assert_eq!((&told["seq"], &told["attempt"]), (&json!(seq), &json!(1)));

        let again = connection.post("/v1/w/mailbox/publish", body).await.unwrap().json();
        assert_eq!((&again["duplicate"], &again["seq"]), (&json!(true), &json!(seq)));
        let other = body.replace("1.50", "1.5");
        let conflict = connection.post("/v1/w/mailbox/publish", &other).await.unwrap();
        assert_eq!((conflict.status, conflict.code().as_str()), (409, "conflict"));

        let batch: Vec<Value> = (0..300)
            .map(|n| {
                let message = json!({"id": format!("b{n}"), "type": "task.more", "payload": n});
                json!({"action": "publish", "call": n, "message": message})
            })
            .collect();
        let replies = ann.ask(Value::from(batch)).await;
        assert_eq!(replies.len(), 300);
        assert!(replies.iter().all(|reply| reply["recipients"] == 1), "{:?}", replies[0]);
        // The window is 256 messages.
        let mut last = seq;
        for n in 0..255 {
            let message = bob.next().await;
            assert_eq!(message["id"], format!("b{n}"));
            last = message["seq"].as_u64().unwrap();
        }
        assert_eq!(pending(&mut connection, "bob").await.len(), 301);
        let acked = bob.ask(json!({"action": "acknowledge", "call": 1, "upTo": last})).await;
        assert_eq!((&acked[0]["settled"], &acked[0]["unknown"]), (&json!(256), &json!(0)));
        for n in 255..300 {
            let message = bob.next().await;
            assert_eq!(message["id"], format!("b{n}"));
            last = message["seq"].as_u64().unwrap();
        }
        bob.ask(json!({"action": "acknowledge", "call": 2, "upTo": last})).await;
        assert_eq!(pending(&mut connection, "bob").await, [""; 0]);

        let direct = json!({"to": "cyd", "message": {"id": "c", "type": "task.x", "from": "ann"}});
        post(&mut connection, "send", &direct).await;
        assert_eq!(cyd.next().await["id"], "c", "whatever it has subscribed to");
    });
}

pub fn offline(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        for id in ["a", "b"] {
            let message = json!({"id": id, "type": "t", "from": "ann"});
            post(&mut connection, "send", &json!({"to": "bob", "message": message})).await;
        }
        let (mut bob, begun) = open(bus.address(), "bob", "").await;
        assert_eq!(begun["resumed"], false);
        let first = bob.next().await;
        assert_eq!((&first["id"], &first["attempt"]), (&json!("a"), &json!(1)));
        assert_eq!(bob.next().await["id"], "b");
        let acked = bob.ask(json!({"action": "acknowledge", "seqs": [first["seq"]]})).await;
        assert_eq!(acked[0]["settled"], 1);
        bob.close().await;

        let published = json!({"id": "c", "type": "t", "from": "ann"});
        post(&mut connection, "publish", &published).await;
        assert_eq!(pending(&mut connection, "bob").await, ["b", "c"]);
        let (mut bob, begun) = open(bus.address(), "bob", "").await;
        assert_eq!(begun["resumed"], true);
        let (second, third) = (bob.next().await, bob.next().await);
        assert_eq!((&second["id"], &third["id"]), (&json!("b"), &json!("c")));
        assert_eq!((&second["attempt"], &third["attempt"]), (&json!(2), &json!(1)));

        // A process that comes back before its old socket is known to be dead.
        let (mut back, begun) = open(bus.address(), "bob", "").await;
        assert!(bob.close_code().await.is_some());
        assert_eq!(back.next().await["attempt"], 3, "{begun}");
        let missed = json!({"agentId": "bob", "after": 1_u64 << 52});
        let path = "/v1/w/mailbox/inbox";
        let ahead = connection.post(path, &missed.to_string()).await.unwrap();
        assert_eq!((ahead.status, ahead.code().as_str()), (409, "ahead"));
    });
}
