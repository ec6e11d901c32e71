//! Abuse of a mailbox: what nobody should send, who reads nothing, and that others do not notice.

use std::time::{Duration, Instant};

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::bus::{Bus, run};
use crate::mail;
use crate::socket::Socket;
use crate::support::bad_mail;
use crate::support::daemon::Program;

pub fn bad_input_changes_nothing(program: Program) {
    let mut bus = Bus::start(program);
    let cases = bad_mail::cases();
    let faults = run(bad_mail::faults(bus.address(), &cases));
    assert_eq!(faults, Vec::<String>::new());
    assert!(bus.daemon.is_running());
    // The check can fail: a good request is neither refused nor without consequence.
    let good = [bad_mail::good_case()];
    let faults = run(bad_mail::faults(bus.address(), &good));
    assert_eq!(faults.len(), 2, "{faults:?}");
}

pub fn bad_frames(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        let (mut ann, _) = mail::open(bus.address(), "ann", "").await;
        let (mut bob, _) = mail::open(bus.address(), "bob", "").await;
        for frame in ["not JSON", "", "5", "[]", "[{]", "{\"action\":\"heartbeat\"", "\u{0}"] {
            ann.send(frame).await;
            let error = ann.next().await;
            assert_eq!(error["type"], "$error", "{frame}: {error}");
            assert_eq!(error["problem"]["code"], "malformed", "{frame}: {error}");
        }
        ann.send(&Value::from(vec![json!({"action": "heartbeat"}); 1_001]).to_string()).await;
        assert_eq!(ann.next().await["type"], "$error", "too many commands");
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        ann.send(&deep).await;
        assert_eq!(ann.next().await["replies"][0]["code"], "malformed", "nested beyond reason");

        let publish = |members: Value| {
            let mut message = json!({"id": "a", "type": "t"});
            message.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            json!({"action": "publish", "message": message})
        };
        let refused = [
            (json!({"action": "steal", "call": 1}), "malformed"),
            (json!(3), "malformed"),
            (json!({"action": "publish"}), "malformed"),
            (json!({"action": "connect", "agentId": "ann"}), "malformed"),
            (publish(json!({"type": "$gap"})), "malformed"),
            (publish(json!({"type": 5})), "malformed"),
            (publish(json!({"from": "bob"})), "forbidden"),
            (publish(json!({"payload": "x".repeat(2_000_000)})), "message_too_large"),
            (json!({"action": "nack", "seq": "x"}), "malformed"),
            (json!({"action": "inbox", "limit": 0}), "malformed"),
            (json!({"action": "inbox", "after": 1_u64 << 52}), "ahead"),
        ];
        for (command, code) in refused {
            let reply = &ann.ask(json!([command])).await[0];
            assert_eq!(reply["code"], code, "{}: {reply}", excerpt(&command));
        }
        assert_eq!(mail::pending(&mut connection, "bob").await, [""; 0]);
        assert_eq!(ann.ask(publish(json!({}))).await[0]["outcome"], "accepted");
        assert_eq!(bob.next().await["id"], "a");

        for (message, code) in [
            (Message::binary(b"{}".to_vec()), "Unsupported"),
            (Message::text(" ".repeat((4 << 20) + 1)), "Size"),
        ] {
            let (mut socket, _) = mail::open(bus.address(), "eve", "").await;
            socket.stream.send(message).await.unwrap();
            assert_eq!(format!("{:?}", socket.close_code().await), format!("Some({code})"));
        }
    });
}

fn excerpt(command: &Value) -> String {
    command.to_string().chars().take(80).collect()
}

pub fn others_mail(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        let (mut bob, _) = mail::open(bus.address(), "bob", "").await;
        let (mut eve, _) = mail::open(bus.address(), "eve", "&types=nothing").await;
        let message = json!({"id": "a", "type": "t", "from": "ann"});
        mail::post(&mut connection, "send", &json!({"to": "bob", "message": message})).await;
        let seq = bob.next().await["seq"].clone();
        for what in [json!({"seqs": [seq]}), json!({"messageId": "a"}), json!({"upTo": seq})] {
            let mut ack = json!({"action": "acknowledge", "agentId": "bob"});
            ack.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
            assert_eq!(eve.ask(ack.clone()).await[0]["code"], "forbidden", "{ack}");
            ack["agentId"] = json!("eve");
            assert_eq!(eve.ask(ack.clone()).await[0]["settled"], 0, "{ack}");
        }
        let nack = json!({"action": "nack", "seq": seq});
        assert_eq!(eve.ask(nack).await[0]["fate"], "unknown");
        assert_eq!(mail::pending(&mut connection, "bob").await, ["a"]);
        assert_eq!(mail::pending(&mut connection, "eve").await, [""; 0]);

        // A session that was replaced has no say any more.
        let (mut newer, _) = mail::begin(bus.address(), "agentId=bob&session=2&protocol=1").await;
        assert_eq!(newer.next().await["attempt"], 2);
        let _ = bob.stream.send(Message::text(r#"{"action":"acknowledge","messageId":"a"}"#)).await;
        assert_eq!(format!("{:?}", bob.close_code().await), "Some(Library(4001))");
        assert_eq!(mail::pending(&mut connection, "bob").await, ["a"]);
    });
}

/// Times that answers took: the longest is printed, since a test that fails on a stopwatch fails on
/// a slow machine.
struct Answered {
    what: String,
    longest: Duration,
    count: u32,
}

impl Answered {
    fn new(program: Program, what: &str) -> Self {
        let what = format!("{}: {what}", program.name());
        Self { what, longest: Duration::ZERO, count: 0 }
    }

    /// Asks for a round trip over somebody else's socket.
    #[expect(clippy::disallowed_methods, reason = "it tells a figure and decides nothing")]
    async fn ask(&mut self, socket: &mut Socket) {
        let began = Instant::now();
        let note = json!({"action": "send", "to": "quick", "message": {"type": "note"}});
        assert_eq!(socket.ask(note).await[0]["outcome"], "accepted");
        let pushed = socket.next().await;
        assert_eq!(pushed["type"], "note");
        let ack = json!({"action": "acknowledge", "seqs": [pushed["seq"]]});
        assert_eq!(socket.ask(ack).await[0]["settled"], 1);
        self.longest = self.longest.max(began.elapsed());
        self.count += 1;
    }

    fn tell(&self) {
        let Self { what, longest, count } = self;
        eprintln!("{what}: {count} round trips of others, the longest {} ms", longest.as_millis());
    }
}

pub fn flood(program: Program) {
    let mut bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        let (mut quick, _) = mail::open(bus.address(), "quick", "&types=nothing").await;
        let mut answered = Answered::new(program, "a flood");
        // To one name that never connected: a hundred are kept.
        let (mut eve, _) = mail::open(bus.address(), "eve", "&types=nothing").await;
        let mut accepted = 0;
        for round in 0..20 {
            let commands: Vec<Value> = (0..1_000)
                .map(|n| {
                    let to = if round < 10 { "nobody".to_owned() } else { format!("n{round}-{n}") };
                    json!({"action": "send", "to": to, "message": {"type": "flood"}})
                })
                .collect();
            let replies = eve.ask(Value::from(commands)).await;
            let codes = replies.iter().filter_map(|reply| reply["code"].as_str());
            assert!(codes.into_iter().all(|code| code == "limit"), "{:?}", replies.last());
            accepted += replies.iter().filter(|reply| reply["outcome"] == "accepted").count();
            answered.ask(&mut quick).await;
        }
        // One of the thousand names that are kept is `nobody`.
        assert_eq!(accepted, 100 + 999);
        // To one's own full inbox: it is told who did not get it.
        let mut refused = 0;
        for _ in 0..12 {
            let commands =
                vec![json!({"action": "send", "to": "full", "message": {"type": "flood"}}); 1_000];
            mail::post(
                &mut connection,
                "subscriptions",
                &json!({"agentId": "full", "add": ["none"]}),
            )
            .await;
            let replies = eve.ask(Value::from(commands)).await;
            refused += replies.iter().filter(|reply| reply["refused"] == json!(["full"])).count();
            answered.ask(&mut quick).await;
        }
        assert_eq!(refused, 2_000);
        answered.tell();
    });
    assert!(bus.daemon.is_running());
}
