//! Price of mail, as the platform charges it: rows written and alarms set. The exact figures of every
//! event are held natively, script by script; these say that both programs tell the same of what is done
//! most, and so that SQLite's own count in workerd is the one budgeted for.

use mailbus_worker::object::CHARGED_HEADER;
use serde_json::{Value, json};

use crate::bus::{Bus, run};
use crate::support::daemon::Program;
use crate::support::http::{Answer, Connection};

async fn ask(connection: &mut Connection, action: &str, body: &Value) -> Answer {
    let path = format!("/v1/rows/mailbox/{action}");
    connection.post(&path, &body.to_string()).await.unwrap()
}

fn message(id: &str, kind: &str, payload: u64) -> Value {
    json!({"id": id, "type": kind, "from": "ann", "payload": payload})
}

pub fn mail_costs_a_row_a_message_and_a_row_an_ack(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        let to = &mut connection;
        // The tables, an agent, and a message for nobody: its collection is what the alarm is set for.
        ask(to, "subscriptions", &json!({"agentId": "bob", "add": ["t"]})).await;
        ask(to, "publish", &message("m0", "unheard", 0)).await;
        let first = ask(to, "publish", &message("m1", "t", 1)).await;
        let second = ask(to, "publish", &message("m2", "t", 2)).await;
        let seqs = [first, second].map(|answer| answer.json()["seq"].clone());
        let sent = json!({"targetAgent": "carl", "message": message("m4", "t", 4)});
        let of_bob = |members: Value| {
            let mut body = json!({"agentId": "bob"});
            body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            body
        };
        let cases = [
            (1, "publish", message("m3", "t", 3)),
            (0, "publish", message("m3", "t", 3)),
            (0, "publish", message("m3", "t", 30)),
            (1, "send", sent.clone()),
            (0, "send", sent),
            (0, "inbox", of_bob(json!({}))),
            (1, "acknowledge", of_bob(json!({"seqs": seqs}))),
            (0, "acknowledge", of_bob(json!({"seqs": seqs}))),
            (1, "acknowledge", of_bob(json!({"messageId": "m3"}))),
            (0, "acknowledge", of_bob(json!({"gap": 1}))),
            (0, "nack", of_bob(json!({"seq": seqs[0]}))),
            (0, "redrive", of_bob(json!({"seqs": seqs}))),
            (0, "dead-letters", of_bob(json!({}))),
            (0, "heartbeat", of_bob(json!({}))),
            (0, "agents", json!({})),
            (0, "subscriptions", of_bob(json!({"add": ["t"]}))),
            (1, "subscriptions", of_bob(json!({"add": ["u"]}))),
        ];
        let mut wrong = Vec::new();
        for (rows, action, body) in cases {
            let answer = ask(to, action, &body).await;
            assert!(matches!(answer.status, 200 | 409), "{action} {body}: {answer:?}");
            let charged: Option<u64> =
                answer.header(CHARGED_HEADER).and_then(|rows| rows.parse().ok());
            if charged != Some(rows) {
                wrong.push(format!("{action} {body}: {charged:?} instead of {rows}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}
