//! Sessions and what is in flight to them, while their object is not in memory.

use futures_util::SinkExt;
use mailbus_worker::router::Class;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::bus::run;
use crate::forgetful::Forgetful;
use crate::mail;
use crate::socket::Socket;
use crate::support::daemon::Program;
use crate::support::http::Connection;

async fn send(connection: &mut Connection, id: &str) {
    let message = json!({"id": id, "type": "t", "from": "ann"});
    mail::post(connection, "send", &json!({"to": "bob", "message": message})).await;
}

/// The next message: its id, its attempt and its `seq`.
async fn next(bob: &mut Socket) -> (String, u64, Value) {
    let message = bob.next().await;
    let id = message["id"].as_str().unwrap_or_else(|| panic!("{message}"));
    (id.to_owned(), message["attempt"].as_u64().unwrap(), message["seq"].clone())
}

/// Asks something that is pushed nothing, so that whatever had been pushed before has come.
async fn nothing_more(bob: &mut Socket) {
    let heard = bob.ask(json!({"action": "heartbeat"})).await;
    assert_eq!(heard[0]["outcome"], "heard");
}

pub fn sessions(program: Program) {
    let bus = Forgetful::start(program);
    run(async {
        let mut connection = Connection::open(bus.address()).await.unwrap();
        let (mut bob, _) = mail::open(bus.address(), "bob", "&window=3").await;
        let (mut old, _) = mail::begin(bus.address(), "agentId=old&types=nothing").await;
        send(&mut connection, "a").await;
        send(&mut connection, "b").await;
        let (a, b) = (next(&mut bob).await, next(&mut bob).await);
        assert_eq!(((&*a.0, a.1), (&*b.0, b.1)), (("a", 1), ("b", 1)));

        bus.forget(Class::Mailbox).await;
        send(&mut connection, "c").await;
        let c = next(&mut bob).await;
        assert_eq!((&*c.0, c.1), ("c", 1), "neither of the two in flight again");
        bus.forget(Class::Mailbox).await;
        send(&mut connection, "d").await;
        nothing_more(&mut bob).await;

        bus.forget(Class::Mailbox).await;
        let acked = bob.ask(json!({"action": "acknowledge", "seqs": [a.2]})).await;
        assert_eq!(acked[0]["settled"], 1);
        let d = next(&mut bob).await;
        assert_eq!((&*d.0, d.1), ("d", 1), "there was room for one");
        nothing_more(&mut bob).await;

        bus.forget(Class::Mailbox).await;
        let nacked = bob.ask(json!({"action": "nack", "seq": b.2})).await;
        assert_eq!(nacked[0]["outcome"], "returned", "it was in flight: {nacked:?}");
        assert_eq!(next(&mut bob).await.1, 2);
        bus.forget(Class::Mailbox).await;
        let acked = bob.ask(json!({"action": "acknowledge", "upTo": d.2})).await;
        assert_eq!(acked[0]["settled"], 2, "what came again is settled by its own seq only");
        assert_eq!(mail::pending(&mut connection, "bob").await, ["b"]);

        // The socket of the original is known too, and what it may send.
        bus.forget(Class::Mailbox).await;
        let message = json!({"id": "e", "type": "t", "from": "ann"});
        mail::post(&mut connection, "send", &json!({"to": "old", "message": message})).await;
        assert_eq!(old.next().await["id"], "e");

        // A close that wakes the object ends the session.
        bus.forget(Class::Mailbox).await;
        bob.close().await;
        let (mut bob, begun) = mail::open(bus.address(), "bob", "").await;
        assert_eq!(begun["resumed"], true);
        assert_eq!(next(&mut bob).await.1, 3);
    });
}

/// A socket that was closed at the other end, and whose client has not answered that yet, is nobody's session.
pub fn closing_socket(program: Program) {
    let bus = Forgetful::start(program);
    run(async {
        let mut connection = Connection::open(bus.address()).await.unwrap();
        for (agent, leaves, forgets) in
            [("ann", true, true), ("bob", false, true), ("cid", false, false)]
        {
            let (mut socket, begun) = mail::open(bus.address(), agent, "").await;
            // Frames are not read on, so that the close which follows is not answered.
            if leaves {
                socket.ask(json!({"action": "disconnect", "epoch": begun["epoch"]})).await;
            } else {
                socket.stream.send(Message::binary(vec![0])).await.unwrap();
                assert_eq!(socket.close_code().await, Some(CloseCode::Unsupported));
            }
            let ids = [1, 2].map(|number| format!("{agent} {number}"));
            for id in &ids {
                let message = json!({"id": id, "type": "t", "from": "eve"});
                let body = json!({"to": agent, "message": message});
                mail::post(&mut connection, "send", &body).await;
                if forgets {
                    bus.forget(Class::Mailbox).await;
                }
            }
            let (mut again, _) = mail::open(bus.address(), agent, "").await;
            for id in ids {
                let (came, attempt, _) = next(&mut again).await;
                assert_eq!((came, attempt), (id, 1), "{agent}: it was pushed to nobody before");
            }
        }
    });
}

/// More messages than a run of the log has: what the object knows of them comes out of runs when it wakes,
/// also after some of a run were settled.
pub fn runs(program: Program) {
    let bus = Forgetful::start(program);
    run(async {
        let mut connection = Connection::open(bus.address()).await.unwrap();
        let (bob, _) = mail::open(bus.address(), "bob", "").await;
        bob.close().await;
        let (mut ann, _) = mail::open(bus.address(), "ann", "&types=nothing").await;
        let publish = |number: usize| {
            let message = json!({"id": format!("m{number}"), "type": "t", "payload": number});
            json!({"action": "publish", "message": message})
        };
        let mut seqs = Vec::new();
        for thousand in 0..3 {
            let some = (0..900).map(|number| publish(900 * thousand + number)).collect();
            let replies = ann.ask(Value::Array(some)).await;
            assert!(replies.iter().all(|reply| reply["recipients"] == 1), "{:?}", replies[0]);
            seqs.extend(replies.iter().map(|reply| reply["seq"].clone()));
        }
        let mut left = 2_700;
        for settled in [0, 5, 1_000] {
            if settled > 0 {
                let first = 2_700 - left;
                let some = &seqs[first..first + settled];
                let acked = json!({"agentId": "bob", "seqs": some});
                let acked = mail::post(&mut connection, "acknowledge", &acked).await;
                assert_eq!(acked["settled"], settled);
                left -= settled;
            }
            bus.forget(Class::Mailbox).await;
            let agents = mail::post(&mut connection, "agents", &json!({})).await;
            let bob = &agents["agents"][1];
            assert_eq!((&bob["agentId"], &bob["pending"]), (&json!("bob"), &json!(left)));
            let oldest = mail::pending(&mut connection, "bob").await.remove(0);
            assert_eq!(oldest, format!("m{}", 2_700 - left));
        }
    });
}

/// A name of as many bytes as a name may have, in letters of two bytes, as a query spells it.
const LONG_NAME: &str = "%C3%A9";

pub fn largest_session(program: Program) {
    const WINDOW: usize = 1_024;
    let bus = Forgetful::start(program);
    run(async {
        let mut connection = Connection::open(bus.address()).await.unwrap();
        let (name, agent) = (LONG_NAME.repeat(64), "\u{e9}".repeat(64));
        let query = format!("agentId={name}&session={name}&protocol=1&window={WINDOW}");
        let (mut bob, _) = mail::begin(bus.address(), &query).await;
        let (mut ann, _) = mail::open(bus.address(), "ann", "&types=nothing").await;
        let publish = json!({"action": "publish", "message": {"type": "t"}});
        for most in [1_000, WINDOW - 1_000] {
            ann.ask(Value::from(vec![publish.clone(); most])).await;
        }
        let mut seqs = Vec::new();
        for _ in 0..WINDOW {
            let message = bob.next().await;
            assert_eq!(message["attempt"], 1, "{message}");
            seqs.push(message["seq"].clone());
        }
        for part in seqs.chunks(1_000) {
            let nacks = part.iter().map(|seq| json!({"action": "nack", "seq": seq})).collect();
            let replies = bob.ask(Value::Array(nacks)).await;
            assert!(replies.iter().all(|reply| reply["fate"] == "due"), "{:?}", replies.last());
            for _ in part {
                assert_eq!(bob.next().await["attempt"], 2);
            }
        }

        bus.forget(Class::Mailbox).await;
        let settled = &bob.ask(json!({"action": "acknowledge", "upTo": seqs[WINDOW - 1]})).await[0];
        assert_eq!(settled["settled"], 0, "all of them came again");
        bus.forget(Class::Mailbox).await;
        let (first, last) = (&seqs[0], &seqs[WINDOW - 1]);
        for seq in [first, last] {
            let returned = &bob.ask(json!({"action": "nack", "seq": seq})).await[0];
            assert_eq!(returned["fate"], "due", "it was in flight: {returned}");
            let again = &bob.ask(json!({"action": "nack", "seq": seq})).await[0];
            assert_eq!(again["fate"], "unknown", "it is kept back for a minute: {again}");
        }
        let ack = json!({"action": "acknowledge", "seqs": seqs});
        assert_eq!(bob.ask(ack).await[0]["settled"], WINDOW);
        assert_eq!(mail::pending(&mut connection, &agent).await, [""; 0]);
    });
}
