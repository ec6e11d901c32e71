//! The shapes of the original's mailbox protocol, byte for byte but for times and ordinals.

use serde_json::{Value, json};

use crate::bus::{Bus, run};
use crate::mail;
use crate::original::{masked, success};
use crate::support::daemon::Program;
use crate::support::http::{Answer, Connection};

async fn post(connection: &mut Connection, action: &str, body: &Value) -> Answer {
    let path = format!("/v1/w/mailbox/{action}");
    let headers = [("content-type", "text/plain;charset=UTF-8")];
    connection.send("POST", &path, &headers, body.to_string().into_bytes()).await.unwrap()
}

pub fn answers(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        let to = &mut connection;
        let (mut alice, _) = mail::begin(bus.address(), "agentId=alice").await;
        let (mut bob, _) = mail::begin(bus.address(), "agentId=bob").await;
        let message = |id: &str| {
            json!({
                "id": id, "type": "task_update", "from": "alice", "payload": {"n": 1},
                "timestamp": 1.5, "ackRequired": true,
            })
        };
        let published = post(to, "publish", &message("m1")).await;
        assert_eq!(
            success(&published),
            r##"{"outcome":"accepted","accepted":true,"seq":#,"recipients":1,"refused":[],"commit":{"sequence":3,"now":#,"generation":#}}"##
        );
        assert_eq!(
            masked(&bob.next_text().await),
            r##"{"ackRequired":true,"from":"alice","id":"m1","payload":{"n":1},"timestamp":1.5,"type":"task_update","seq":#,"attempt":1}"##
        );
        let sent = json!({"targetAgent": "alice", "message": message("m2")});
        assert_eq!(post(to, "send", &sent).await.json()["accepted"], true);
        assert_eq!(alice.next().await["id"], "m2");

        let ack = |id: &str, agent: &str| json!({"messageId": id, "agentId": agent});
        let settled = post(to, "acknowledge", &ack("m1", "bob")).await;
        assert_eq!(
            success(&settled),
            r##"{"outcome":"settled","settled":1,"unknown":0,"commit":{"sequence":5,"now":#,"generation":#}}"##
        );
        for (id, agent) in [("m1", "bob"), ("m2", "bob"), ("never", "alice")] {
            let settled = post(to, "acknowledge", &ack(id, agent)).await.json();
            assert_eq!(settled["settled"], 0, "{id} by {agent}");
        }

        // Its socket may only say what it wants to see.
        bob.send(r#"{"action":"subscribe","type":"task_update"}"#).await;
        assert_eq!(bob.next().await["replies"][0]["outcome"], "subscribed");
        for frame in ["{}", "[]", "not JSON", r#"{"action":"publish"}"#] {
            bob.send(frame).await;
            assert_eq!(bob.next().await["type"], "$error", "{frame}");
        }
        // A second process of the same name; the first stays open, and silent.
        let (mut other, begun) = mail::begin(bus.address(), "agentId=bob").await;
        assert_eq!(begun["resumed"], true);
        post(to, "publish", &message("m3")).await;
        assert_eq!(other.next().await["id"], "m3");
        other.close().await;
        let reopened = format!("{:?}", bob.close_code().await);
        assert!(reopened.contains("Restart"), "{reopened}");
        let (mut bob, _) = mail::begin(bus.address(), "agentId=bob").await;
        assert_eq!(bob.next().await["id"], "m3", "it was never acknowledged");
    });
}
