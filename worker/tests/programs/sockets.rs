//! WebSockets: commands in batches, pushes unasked, and what is no command.

use std::net::SocketAddr;

use futures_util::SinkExt;
use mailbus_worker::router::Class;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::bus::{Bus, run};
use crate::forgetful::Forgetful;
use crate::socket::Socket;
use crate::support::daemon::Program;
use crate::support::http::Connection;

/// A socket that takes commands.
async fn open(address: SocketAddr, agent: &str) -> Socket {
    Socket::open(address, "lease", &format!("agentId={agent}&session=1&protocol=1")).await
}

fn acquire(call: u64, request: &str, wait_ms: Option<u64>) -> Value {
    json!({
        "action": "acquire", "call": call, "request": request, "path": "a", "ttlMs": 60_000,
        "waitMs": wait_ms,
    })
}

pub fn batch_and_push(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut ann = open(bus.address(), "ann").await;
        let mut bob = open(bus.address(), "bob").await;
        let mut listens = Socket::open(bus.address(), "lease", "agentId=bob&session=1").await;
        let status = json!({"action": "status", "call": 8, "path": "a"});
        let replies = ann.ask(json!([acquire(7, "r", None), status])).await;
        let [granted, held] = &replies[..] else { panic!("{replies:?}") };
        assert_eq!((&granted["call"], &granted["outcome"]), (&json!(7), &json!("granted")));
        assert_eq!((&held["call"], &held["outcome"]), (&json!(8), &json!("held")));
        assert_eq!(held["agentId"], "ann");
        let queued = &bob.ask(acquire(1, "turn", Some(60_000))).await[0];
        assert_eq!((&queued["outcome"], &queued["position"]), (&json!("queued"), &json!(0)));

        let release = json!({"action": "release", "call": 9, "token": granted["token"]});
        assert_eq!(ann.ask(release).await[0]["outcome"], "released");
        let pushed = bob.next().await;
        assert_eq!((&pushed["type"], &pushed["request"]), (&json!("$granted"), &json!("turn")));
        assert_eq!(pushed["ttlMs"], 30_000, "short until it is confirmed: {pushed}");
        assert!(pushed["token"].as_u64() > granted["token"].as_u64(), "{pushed}");
        assert_eq!(listens.next().await, pushed, "in the original's form too");
        listens.send("{}").await;
        assert_eq!(listens.next().await["type"], "$error", "which takes no commands");
        let renew =
            json!({"action": "renew", "call": 2, "token": pushed["token"], "ttlMs": 60_000});
        assert_eq!(bob.ask(renew).await[0]["outcome"], "renewed");
    });
}

pub fn no_command(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut socket = open(bus.address(), "ann").await;
        for frame in ["not JSON", "", "5", "[]", "[{]", "{\"action\":\"status\""] {
            socket.send(frame).await;
            let error = socket.next().await;
            assert_eq!(error["type"], "$error", "{frame}: {error}");
            assert_eq!(error["problem"]["code"], "malformed", "{frame}: {error}");
            assert_eq!(error["problem"]["status"], 400, "{frame}: {error}");
        }
        let status = json!({"action": "status", "call": 2, "path": "a"});
        let replies = socket.ask(json!([{"action": "steal", "call": 1}, status, 3])).await;
        let told: Vec<_> =
            replies.iter().map(|reply| (reply["call"].as_u64(), reply["code"].as_str())).collect();
        assert_eq!(
            told,
            [(Some(1), Some("malformed")), (Some(2), None), (None, Some("malformed"))]
        );
        // Of another agent's lease one asks over a socket of that agent.
        let other = json!({
            "action": "acquire", "call": 3, "agentId": "bob", "request": "r", "path": "a", "ttlMs": 1,
        });
        assert_eq!(socket.ask(other).await[0]["code"], "forbidden");

        let binary = Message::binary(b"{}".to_vec());
        socket.stream.send(binary).await.unwrap();
        assert_eq!(socket.close_code().await, Some(CloseCode::Unsupported));
        let mut socket = open(bus.address(), "ann").await;
        let long = " ".repeat((4 << 20) + 1);
        socket.stream.send(Message::text(long)).await.unwrap();
        assert_eq!(socket.close_code().await, Some(CloseCode::Size));
    });
}

pub fn ping(program: Program) {
    let bus = Forgetful::start(program);
    run(async {
        for class in Class::ALL {
            let query = "agentId=ann&session=1&protocol=1";
            let mut socket = Socket::open(bus.address(), class.as_str(), query).await;
            if class == Class::Mailbox {
                assert_eq!(socket.next().await["type"], "$connected");
            } else {
                // Something has to be written, or there is no object to put to sleep.
                socket.ask(acquire(1, "r", None)).await;
            }
            bus.forget(class).await;
            for _ in 0..3 {
                socket.send("ping").await;
                assert_eq!(socket.next_text().await, "pong", "{class:?}");
            }
        }
    });
}

pub fn outlive_memory(program: Program) {
    let bus = Forgetful::start(program);
    run(async {
        let mut connection = Connection::open(bus.address()).await.unwrap();
        let mut bob = open(bus.address(), "bob").await;
        let ann = json!({
            "agentId": "ann", "session": "1", "request": "r", "path": "a", "ttlMs": 60_000,
        });
        let granted = connection.post("/v1/w/lease/acquire", &ann.to_string()).await.unwrap();
        let token = granted.json()["token"].clone();
        assert_eq!(bob.ask(acquire(1, "turn", Some(60_000))).await[0]["outcome"], "queued");

        bus.forget(Class::Lease).await;
        let release = json!({"agentId": "ann", "session": "1", "token": token});
        let released = connection.post("/v1/w/lease/release", &release.to_string()).await.unwrap();
        assert_eq!(released.json()["outcome"], "released");
        let pushed = bob.next().await;
        assert_eq!((&pushed["type"], &pushed["request"]), (&json!("$granted"), &json!("turn")));

        // A frame wakes it too, and it knows whose socket that is.
        bus.forget(Class::Lease).await;
        let renew =
            json!({"action": "renew", "call": 2, "token": pushed["token"], "ttlMs": 60_000});
        let renewed = &bob.ask(renew).await[0];
        assert_eq!((&renewed["call"], &renewed["outcome"]), (&json!(2), &json!("renewed")));
    });
}
