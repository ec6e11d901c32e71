//! Trials of what comes in over HTTP and sockets, and what goes out to whom, on the native runtime
//! with the reference model behind the endpoint.

mod model;
mod sessions;

use mailbus_spec::limits::{FRAME_MAX_BYTES, FRAME_REPLY_BYTES, MESSAGE_MAX_BYTES};
use mailbus_spec::mailbox::Connection;
use mailbus_spec::{AgentId, HostTime};
use serde_json::{Value, json};

use crate::endpoint::bench::{self, body, frames, refused, subscription};
use crate::mailbox::MailboxObject;
use crate::native::sockets::Sockets;
use crate::native::{Arrival, Delivered};
use crate::object::SocketId;

use model::Model;

type Workspace = bench::Workspace<MailboxObject<Model>>;

impl Workspace {
    fn new() -> Self {
        model::forget_all();
        Self::on(Sockets::default())
    }

    fn on(sockets: Sockets) -> Self {
        Self::with(sockets, |woken| MailboxObject::over(woken, Model::wake))
    }

    /// A socket that takes commands.
    fn open(&mut self, agent: &str) -> SocketId {
        self.subscribe(&format!("agentId={agent}&session=1&protocol=1"))
    }

    fn publish(&mut self, from: &str, id: &str) -> Delivered {
        self.post("publish", &json!({"id": id, "type": "t", "from": from, "payload": 1}))
    }
}

/// Kinds of the objects of a frame: each one's `type`, or the id of a message.
fn kinds(frame: &Value) -> Vec<String> {
    let objects = frame.as_array().cloned().unwrap_or_else(|| vec![frame.clone()]);
    let kind = |object: &Value| {
        let name = if object["seq"].is_null() { "type" } else { "id" };
        object[name].as_str().unwrap_or_else(|| panic!("{object}")).to_owned()
    };
    objects.iter().map(kind).collect()
}

/// Receivers of what an event tells.
fn told(delivered: &Delivered) -> Vec<(SocketId, Vec<String>)> {
    frames(delivered).iter().map(|(socket, frame)| (*socket, kinds(frame))).collect()
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

#[test]
fn what_is_not_there_is_not_found_and_the_rest_is_posted() {
    let mut workspace = Workspace::new();
    workspace.knows_only("publish");
    assert!(model::take_asked().is_empty());
}

#[test]
fn a_session_is_an_upgrade() {
    let mut workspace = Workspace::new();
    workspace.upgrades_to_subscribe();
    let ahead = workspace.try_subscribe("agentId=ann&protocol=1&lastSeen=5");
    assert_eq!(refused(&ahead), (409, "ahead".to_owned()));
    assert!(ahead.frames.is_empty());
    let socket = workspace.try_subscribe("agentId=ann&session=1&protocol=1");
    assert_eq!(told(&socket), [(socket.accepted.unwrap(), texts(["$connected"]))]);
    assert_eq!(frames(&socket)[0].1["epoch"], json!(model::live("ann")));
    assert!(socket.response.is_none() && socket.charged() == 0, "the toy writes nothing");
}

#[test]
fn a_clock_that_cannot_be_is_503_and_no_socket() {
    let mut workspace = Workspace::new();
    let request = subscription("agentId=ann&protocol=1");
    let delivered = workspace.0.deliver(HostTime(0), &Arrival::Request(request)).unwrap();
    assert_eq!(refused(&delivered), (503, "clock".to_owned()));
    assert!(delivered.response.unwrap().retry_after.is_some());
    assert!(workspace.0.sockets().is_empty());
}

#[test]
fn what_was_waiting_comes_with_the_beginning_of_the_session() {
    for (query, together) in [("&session=1&protocol=1", true), ("", false)] {
        let mut workspace = Workspace::new();
        let agent = if together { "ann" } else { "old" };
        for id in ["a", "b"] {
            let message = json!({"id": id, "type": "t", "from": "bob"});
            workspace.post("send", &json!({"targetAgent": agent, "message": message}));
        }
        let begun = workspace.try_subscribe(&format!("agentId={agent}{query}"));
        let socket = begun.accepted.unwrap();
        let expected = if together {
            vec![(socket, texts(["$connected", "a", "b"]))]
        } else {
            [["$connected"], ["a"], ["b"]].map(|one| (socket, texts(one))).to_vec()
        };
        assert_eq!(told(&begun), expected);
    }
}

#[test]
fn a_message_is_written_once_and_reaches_everybody_in_their_form() {
    let mut workspace = Workspace::new();
    let (ann, bob) = (workspace.open("ann"), workspace.open("bob"));
    let old = workspace.subscribe("agentId=old");
    let published = workspace.publish("ann", "a");
    assert_eq!(body(&published)["accepted"], true);
    assert_eq!(told(&published), [(bob, texts(["a"])), (old, texts(["a"]))]);
    let [(_, one), (_, other)] = &published.frames[..] else { panic!("{published:?}") };
    assert_eq!(one, other);
    let heartbeat = workspace.post("publish", &json!({"type": "heartbeat", "from": "old"}));
    assert_eq!(told(&heartbeat), [(ann, texts(["heartbeat"])), (bob, texts(["heartbeat"]))]);
}

#[test]
fn the_commands_of_a_frame_are_events_of_their_own_over_its_session() {
    let mut workspace = Workspace::new();
    let (ann, bob) = (workspace.open("ann"), workspace.open("bob"));
    model::take_asked();
    let answered = workspace.frame(
        ann,
        &json!([
            {"action": "publish", "call": 1, "message": {"id": "a", "type": "t"}},
            {"action": "send", "call": 2, "to": "ann", "message": {"id": "b", "type": "t"}},
            {"action": "dance", "call": 3},
            {"action": "acknowledge", "call": 4, "agentId": "bob", "upTo": 7},
            {"action": "inbox", "call": 5},
        ]),
    );
    let all = frames(&answered);
    assert_eq!(kinds(&all[0].1), ["$replies", "b"], "its own push shares the frame");
    assert_eq!((all[0].0, &all[1..]), (ann, &frames(&answered)[1..]));
    assert_eq!(told(&answered)[1..], [(bob, texts(["a"]))]);
    let replies = all[0].1[0]["replies"].as_array().unwrap();
    let said: Vec<_> = replies
        .iter()
        .map(|reply| {
            let what = reply.get("outcome").or(reply.get("code")).unwrap();
            (reply["call"].as_u64().unwrap(), what.as_str().unwrap())
        })
        .collect();
    assert_eq!(
        said,
        [(1, "accepted"), (2, "accepted"), (3, "malformed"), (4, "forbidden"), (5, "inbox")]
    );
    let over =
        Connection { agent: AgentId::new("ann").unwrap(), epoch: model::live("ann").unwrap() };
    let asked = model::take_asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|command| command.over.as_ref() == Some(&over)), "{asked:?}");
}

#[test]
fn a_frame_that_cannot_be_taken_apart_is_an_error() {
    let mut workspace = Workspace::new();
    let (ann, old) = (workspace.open("ann"), workspace.subscribe("agentId=old"));
    for text in ["", "[", "7", "[]", "ping", "\u{0}"] {
        for socket in [ann, old] {
            let delivered = workspace.deliver(&Arrival::Frame { socket, text });
            assert_eq!(told(&delivered), [(socket, texts(["$error"]))], "{text:?}");
        }
    }
}

#[test]
fn the_originals_socket_chooses_types_and_no_more() {
    let mut workspace = Workspace::new();
    let old = workspace.subscribe("agentId=old&types=");
    let chosen = workspace.frame(old, &json!({"action": "subscribe", "type": "t"}));
    assert_eq!(told(&chosen), [(old, texts(["$replies"]))]);
    assert_eq!(told(&workspace.publish("bob", "a")), [(old, texts(["a"]))]);
    workspace.frame(old, &json!({"action": "unsubscribe", "type": "t"}));
    assert!(workspace.publish("bob", "b").frames.is_empty());
    for command in [
        json!({"action": "acknowledge", "upTo": 7}),
        json!([{"action": "subscribe", "type": "t"}]),
        json!({"action": "publish", "message": {"type": "t"}}),
    ] {
        let refused = workspace.frame(old, &command);
        assert_eq!(told(&refused), [(old, texts(["$error"]))], "{command}");
    }
}

#[test]
fn what_one_event_sends_to_a_socket_is_bounded_and_the_rest_of_its_frame_is_put_off() {
    let mut workspace = Workspace::new();
    let (ann, bob) = (workspace.open("ann"), workspace.open("bob"));
    let padding = "x".repeat(60 << 10);
    let publish = |call: usize| {
        json!({"action": "publish", "call": call,
            "message": {"id": format!("{call}"), "type": "t", "payload": padding}})
    };
    let commands: Vec<Value> = (0..60).map(publish).collect();
    let delivered = workspace.frame(ann, &Value::from(commands));
    let all = frames(&delivered);
    let replies = all[0].1["replies"].as_array().unwrap();
    assert_eq!((all[0].0, replies.len()), (ann, 60), "each command is answered");
    let done = replies.iter().take_while(|reply| reply["outcome"] == "accepted").count();
    assert!(replies[done..].iter().all(|reply| reply["code"] == "overloaded"), "{done}");
    let sent: usize = delivered.frames[1..].iter().map(|(_, text)| text.len()).sum();
    assert!((FRAME_REPLY_BYTES..FRAME_REPLY_BYTES + (64 << 10)).contains(&sent), "{sent} bytes");
    assert_eq!((all[1].0, kinds(&all[1].1).len()), (bob, done));
    let again = workspace.frame(ann, &publish(done));
    assert_eq!(told(&again)[1], (bob, texts([&format!("{done}")])), "it was not executed");
}

#[test]
fn no_frame_is_longer_than_a_frame_may_be() {
    let mut workspace = Workspace::new();
    let message =
        |id: &str, payload: &str| json!({"id": id, "type": "t", "from": "bob", "payload": payload});
    // With what the bus says besides, four of the largest messages are more than a frame.
    let payload = "x".repeat(MESSAGE_MAX_BYTES - message("a", "").to_string().len());
    for id in ["a", "b", "c", "d", "e"] {
        workspace.post("send", &json!({"to": "ann", "message": message(id, &payload)}));
    }
    let query = "agentId=ann&session=1&protocol=1&windowBytes=8000000";
    let begun = workspace.try_subscribe(query);
    assert!(begun.frames.iter().all(|(_, text)| text.len() <= FRAME_MAX_BYTES));
    let told: Vec<_> = told(&begun).into_iter().map(|(_, kinds)| kinds).collect();
    assert_eq!(told, [texts(["$connected", "a", "b", "c"]), texts(["d"])], "an event pushes 4 MiB");
}
