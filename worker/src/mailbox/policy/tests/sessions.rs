//! Sessions: their beginning and end, and what their sockets keep in between.

use mailbus_spec::mailbox::{Ask, Connection};
use mailbus_spec::{AgentId, HostTime};
use serde_json::{Value, json};

use super::{Workspace, model, texts, told};
use crate::endpoint::bench::{NOON, body, frames, subscription};
use crate::native::sockets::Sockets;
use crate::native::{Arrival, Delivered};
use crate::object::Accept;

#[test]
fn who_is_replaced_is_closed_and_has_no_more_effect() {
    let mut workspace = Workspace::new();
    let first = workspace.open("ann");
    let second = workspace.try_subscribe("agentId=ann&session=2&protocol=1");
    assert_eq!(second.closes, [(first, 4001, "replaced".to_owned())]);
    let third = workspace.try_subscribe("agentId=ann&session=2&protocol=1");
    let second = second.accepted.unwrap();
    assert_eq!(third.closes, [(second, 1000, "taken over".to_owned())]);
    model::take_asked();
    let late = workspace.frame(first, &json!({"action": "heartbeat"}));
    assert_eq!(late, Delivered::default());
    for awake in [true, false] {
        if !awake {
            workspace.0.evict();
        }
        let socket = if awake { first } else { second };
        assert_eq!(workspace.deliver(&Arrival::Closed { socket }), Delivered::default());
    }
    assert!(model::take_asked().is_empty(), "they were over");
    assert_eq!(told(&workspace.publish("bob", "a"))[0].0, third.accepted.unwrap());
}

#[test]
fn a_superseded_socket_stays_open_and_reopens_when_the_live_one_ends() {
    let mut workspace = Workspace::new();
    let superseded = workspace.subscribe("agentId=old");
    let live = workspace.try_subscribe("agentId=old");
    assert!(live.closes.is_empty());
    let live = live.accepted.unwrap();
    assert_eq!(told(&workspace.publish("bob", "a")), [(live, texts(["a"]))]);
    workspace.0.evict();
    let asked = workspace.frame(superseded, &json!({"action": "subscribe", "type": "t"}));
    assert_eq!(frames(&asked)[0].1["replies"][0]["code"], "replaced");
    workspace.0.evict();
    let ended = workspace.deliver(&Arrival::Closed { socket: live });
    assert_eq!(ended.closes, [(superseded, 1012, "reopen".to_owned())]);
    assert!(ended.frames.is_empty());
}

#[test]
fn a_closed_socket_ends_its_session() {
    let mut workspace = Workspace::new();
    let ann = workspace.open("ann");
    let epoch = model::live("ann").unwrap();
    model::take_asked();
    let ended = workspace.deliver(&Arrival::Closed { socket: ann });
    assert_eq!(ended, Delivered::default(), "there is nobody to tell");
    let asked = model::take_asked();
    let connection = Connection { agent: AgentId::new("ann").unwrap(), epoch };
    assert_eq!(asked[0].ask, Ask::Disconnect { connection });
    assert_eq!(model::live("ann"), None);
}

#[test]
fn a_session_that_is_ended_by_a_command_is_closed() {
    let mut workspace = Workspace::new();
    let (ann, bob) = (workspace.open("ann"), workspace.open("bob"));
    let ended = workspace.frame(ann, &json!({"action": "disconnect", "call": 1}));
    assert_eq!(told(&ended), [(ann, texts(["$replies"]))], "first it is answered");
    assert_eq!(ended.closes, [(ann, 1000, "disconnected".to_owned())]);
    let epoch = model::live("bob");
    let ended = workspace.post("disconnect", &json!({"agentId": "bob", "epoch": epoch}));
    assert_eq!(ended.closes, [(bob, 1000, "disconnected".to_owned())]);
    let forgotten = workspace.open("cyd");
    let ended = workspace.post("forget", &json!({"agentId": "cyd"}));
    assert_eq!(ended.closes, [(forgotten, 1012, "forgotten".to_owned())]);
}

#[test]
fn sockets_keep_their_sessions_while_the_object_is_not_in_memory() {
    let mut workspace = Workspace::new();
    let (ann, bob) = (workspace.open("ann"), workspace.open("bob"));
    let kept = |workspace: &Workspace, socket| {
        let kept = workspace.0.sockets().attachment(socket).unwrap().to_owned();
        let (head, session) = kept.split_once('\n').unwrap();
        assert!(head.len() < 100 && serde_json::from_str::<Value>(head).is_ok(), "{head}");
        serde_json::from_str::<Value>(session).unwrap()
    };
    let epoch = json!(model::live("bob"));
    assert_eq!(
        kept(&workspace, bob),
        json!({
            "a": "bob", "s": "1", "e": epoch, "w": [256, 4 << 20], "t": NOON, "p": 0, "c": 0,
        })
    );
    let seq = body(&workspace.publish("ann", "a"))["seq"].clone();
    assert_eq!(kept(&workspace, bob)["p"], seq, "after every event");
    workspace.0.evict();
    let next =
        workspace.frame(ann, &json!({"action": "publish", "message": {"id": "b", "type": "t"}}));
    assert_eq!(told(&next), [(ann, texts(["$replies"])), (bob, texts(["b"]))]);
}

#[test]
fn a_socket_that_cannot_be_read_is_closed_and_its_client_comes_back() {
    for attachment in ["", "x", "{}\n{}", "{\"a\":\"ann\",\"e\":1,\"p\":9}\n{}"] {
        let mut sockets = Sockets::default();
        let accept = Accept { attachment: attachment.to_owned(), tags: Vec::new(), window: None };
        let socket = sockets.accept(accept);
        let restart = (socket, 1012, "restart".to_owned());
        let mut workspace = Workspace::on(sockets.clone());
        assert_eq!(workspace.publish("bob", "a").closes, vec![restart.clone()], "{attachment:?}");
        let mut workspace = Workspace::on(sockets.clone());
        let frame = workspace.frame(socket, &json!({"action": "heartbeat"}));
        assert_eq!((frame.closes, frame.frames), (vec![restart], Vec::new()), "{attachment:?}");
        assert_eq!(workspace.deliver(&Arrival::Closed { socket }), Delivered::default());
    }
}

#[test]
fn what_fails_leaves_sockets_as_they_were() {
    let mut workspace = Workspace::new();
    let ann = workspace.open("ann");
    let before = workspace.0.sockets().attachment(ann).unwrap().to_owned();
    model::let_fail(true);
    let text = r#"{"action":"send","to":"ann","message":{"type":"t"}}"#;
    let failed = workspace.0.deliver(HostTime(NOON), &Arrival::Frame { socket: ann, text });
    assert!(failed.is_err() && !workspace.0.is_awake());
    let request = subscription("agentId=bob&protocol=1");
    assert!(workspace.0.deliver(HostTime(NOON), &Arrival::Request(request)).is_err());
    assert_eq!(workspace.0.sockets().len(), 1);
    model::let_fail(false);
    assert_eq!(workspace.0.sockets().attachment(ann), Some(before.as_str()));
    assert_eq!(told(&workspace.publish("bob", "a")), [(ann, texts(["a"]))]);
}
