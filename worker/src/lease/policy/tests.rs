//! Trials of what comes in over HTTP and sockets, and what goes out to whom, on the native runtime.

use mailbus_spec::{HostTime, limits};
use serde_json::{Value, json};

use crate::endpoint::bench::{self, NOON, body, code, frames};
use crate::lease::ProductionLeaseObject;
use crate::native::sockets::Sockets;
use crate::native::{Arrival, Delivered};
use crate::object::{Body, Request, Response, SocketId};

type Workspace = bench::Workspace<ProductionLeaseObject>;

impl Workspace {
    fn new() -> Self {
        Self::with(Sockets::default(), ProductionLeaseObject::wake)
    }

    fn ask(&mut self, action: &str, asked: Value) -> (Response, Value) {
        let delivered = self.post(action, &asked);
        let body = body(&delivered);
        (delivered.response.unwrap(), body)
    }

    fn say(&mut self, socket: SocketId, frame: &Value) -> Vec<(SocketId, Value)> {
        frames(&self.frame(socket, frame))
    }
}

#[test]
fn what_is_not_there_is_not_found_and_the_rest_is_posted() {
    let mut workspace = Workspace::new();
    workspace.knows_only("acquire");
}

#[test]
fn what_cannot_be_read_is_refused_by_its_code() {
    let mut workspace = Workspace::new();
    let response = workspace.request("POST", "acquire", Body::Whole(b"{"));
    assert_eq!(code(&response), (400, "malformed".to_owned()));
    let (response, body) = workspace.ask("status", json!({"path": "../a", "call": 7}));
    assert_eq!((code(&response), &body["call"]), ((400, "path_invalid".to_owned()), &json!(7)));
}

#[test]
fn a_wish_that_nobody_knows_is_named_in_the_answer_whatever_it_is() {
    let mut workspace = Workspace::new();
    let shared =
        json!({ "agentId": "ann", "path": "a", "ttlMs": 1_000, "mode": "shared", "call": 3 });
    let (_, granted) = workspace.ask("acquire", shared);
    assert_eq!((&granted["outcome"], &granted["ignored"]), (&json!("granted"), &json!(["mode"])));
    let (response, held) =
        workspace.ask("acquire", json!({ "agentId": "bob", "path": "a", "ttlMs": 1, "waitms": 5 }));
    assert_eq!((code(&response).0, &held["ignored"]), (409, &json!(["waitms"])));
    let (_, free) = workspace.ask("status", json!({ "path": "b" }));
    assert_eq!(free.get("ignored"), None);
}

#[test]
fn a_clock_that_cannot_be_is_503_with_a_time_to_retry() {
    let mut workspace = Workspace::new();
    let body = Body::Whole(br#"{"path":"a"}"#);
    let request = Request { method: "POST", action: "status", query: "", upgrade: false, body };
    let delivered = workspace.0.deliver(HostTime(0), &Arrival::Request(request)).unwrap();
    let response = delivered.response.unwrap();
    assert_eq!(code(&response), (503, "clock".to_owned()));
    assert!(response.retry_after.is_some());
}

#[test]
fn a_command_is_answered_with_its_call_and_commit() {
    let mut workspace = Workspace::new();
    let lock = json!({
        "agentId": "ann", "session": "1", "request": "r", "path": "a", "ttlMs": 1_000, "call": 3,
    });
    let (response, body) = workspace.ask("acquire", lock);
    assert_eq!((response.status, response.allow), (200, None));
    assert_eq!(body["outcome"], "granted");
    assert_eq!(body["call"], 3);
    assert_eq!(body["commit"], json!({"sequence": 1, "now": NOON, "generation": NOON}));
}

#[test]
fn a_subscription_is_an_upgrade() {
    let mut workspace = Workspace::new();
    workspace.upgrades_to_subscribe();
}

#[test]
fn the_commands_of_a_frame_are_events_of_their_own_and_share_a_reply() {
    let mut workspace = Workspace::new();
    let socket = workspace.subscribe("agentId=ann&session=1&protocol=1");
    let frame = json!([
        {"action": "acquire", "request": "r", "path": "a", "ttlMs": 1_000, "call": 1},
        {"action": "acquire", "request": "s", "path": "a", "ttlMs": 1_000, "call": 2},
        {"action": "dance", "call": 3},
        {"action": "acquire", "request": "t", "path": "b", "ttlMs": 1_000, "call": 4},
    ]);
    let frames = workspace.say(socket, &frame);
    let [(to, reply)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((*to, &reply["type"]), (socket, &json!("$replies")));
    let said: Vec<_> = reply["replies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let what = entry.get("outcome").or(entry.get("code")).unwrap();
            (entry["call"].clone(), what.clone(), entry["commit"]["sequence"].clone())
        })
        .collect();
    assert_eq!(
        said,
        [
            (json!(1), json!("granted"), json!(1)),
            (json!(2), json!("held"), json!(1)),
            (json!(3), json!("malformed"), Value::Null),
            (json!(4), json!("granted"), json!(2)),
        ]
    );
}

#[test]
fn a_frame_whose_replies_are_long_is_answered_in_part_and_the_rest_is_not_executed() {
    let mut workspace = Workspace::new();
    let socket = workspace.subscribe("agentId=ann&session=1&protocol=1");
    for set in 0..5 {
        let paths: Vec<String> =
            (0..64).map(|of| format!("{set}/{of}/{}", "\"".repeat(1_000))).collect();
        let lock = json!({"action": "acquire", "request": set.to_string(), "paths": paths,
            "ttlMs": 9_000, "call": set});
        workspace.say(socket, &lock);
    }
    let list = json!({"action": "list", "limit": 1_000});
    let mut frame = vec![list; 1_000];
    frame[997] = json!({"action": "dance", "call": 997});
    frame[998] = json!({"action": "list", "call": 998});
    frame[999] = json!(
        {"action": "acquire", "request": "r", "path": "late", "ttlMs": 9_000, "call": 999}
    );
    let text = Value::from(frame.clone()).to_string();
    let delivered = workspace.deliver(&Arrival::Frame { socket, text: &text });
    let [(_, reply)] = &delivered.frames[..] else { panic!("{}", delivered.frames.len()) };
    assert!(reply.len() <= limits::FRAME_MAX_BYTES, "{} bytes", reply.len());
    let reply: Value = serde_json::from_str(reply).unwrap();
    let replies = reply["replies"].as_array().unwrap();
    assert_eq!(replies.len(), 1_000, "each command is answered");
    let answered = replies.iter().take_while(|reply| reply["outcome"] == "leases").count();
    let bytes =
        |replies: &[Value]| -> usize { replies.iter().map(|reply| reply.to_string().len()).sum() };
    let (last, before) = replies[..answered].split_last().unwrap();
    assert!(bytes(before) < limits::FRAME_REPLY_BYTES, "the last was executed with room left");
    assert!(bytes(before) + bytes(std::slice::from_ref(last)) >= limits::FRAME_REPLY_BYTES);
    for (at, reply) in replies.iter().enumerate().skip(answered) {
        let code = if at == 997 { "malformed" } else { "overloaded" };
        assert_eq!(reply["code"], code, "command {at}");
    }
    assert_eq!((&replies[998]["call"], &replies[998]["status"]), (&json!(998), &json!(503)));
    let (_, status) = workspace.ask("status", json!({"path": "late"}));
    assert_eq!(status["isLeased"], false, "it was not executed");
    let retried = workspace.say(socket, &frame[999]);
    assert_eq!(retried[0].1["replies"][0]["outcome"], "granted");
}

#[test]
fn whatever_a_frame_causes_no_frame_is_too_long() {
    let mut workspace = Workspace::new();
    let socket = workspace.subscribe("agentId=ann&session=1&protocol=1");
    let plain = workspace.subscribe("agentId=ann&session=1");
    // Replies up to their bound, and then a lapse for each of the holder's claims.
    let quoted = |name: usize| format!("{name}/{}", "\"".repeat(1_000));
    for set in 0..4 {
        let paths: Vec<String> = (0..64).map(|of| quoted(64 * set + of)).collect();
        let lock = json!({"action": "acquire", "request": format!("set {set}"), "paths": paths,
            "ttlMs": 9_000});
        workspace.say(socket, &lock);
    }
    for one in 0..252 {
        let lock = json!({"action": "acquire", "request": format!("{one}"), "path": format!("{one}"),
            "ttlMs": 1_000});
        workspace.say(socket, &lock);
    }
    let list = json!({"action": "list", "limit": 1_000});
    let text = Value::from(vec![list; 1_000]).to_string();
    let arrival = Arrival::Frame { socket, text: &text };
    let delivered = workspace.0.deliver(HostTime(NOON + 2_000), &arrival).unwrap();
    for to in [socket, plain] {
        let frames = || delivered.frames.iter().filter(|(socket, _)| *socket == to);
        let objects: usize = frames().map(|(_, text)| text.matches("$lapsed").count()).sum();
        assert_eq!(objects, 252, "each lapse is told");
    }
    for (_, text) in &delivered.frames {
        assert!(text.len() <= limits::FRAME_MAX_BYTES, "{} bytes", text.len());
    }
}

#[test]
fn a_cycle_of_any_length_is_told_in_a_bounded_answer() {
    let mut workspace = Workspace::new();
    let name = |number: usize| format!("{number}{}", "\"".repeat(limits::ID_MAX_BYTES - 4));
    let holders = 1_000;
    let claim = |who: usize, what: usize, wait: bool| {
        let mut body = json!({"agentId": name(who), "session": name(who), "path": name(what),
            "request": what.to_string(), "ttlMs": 60_000});
        if wait {
            body["waitMs"] = json!(60_000);
        }
        body
    };
    for who in 0..holders {
        assert_eq!(workspace.ask("acquire", claim(who, who, false)).0.status, 200);
    }
    for who in 1..holders {
        assert_eq!(workspace.ask("acquire", claim(who, who - 1, true)).0.status, 200);
    }
    let (response, body) = workspace.ask("acquire", claim(0, holders - 1, true));
    assert_eq!(code(&response), (409, "deadlock".to_owned()));
    assert_eq!(body["length"], holders);
    let cycle: Vec<_> = body["cycle"].as_array().unwrap().iter().collect();
    assert_eq!(cycle.len(), limits::CYCLE_NAMED);
    // The asker, then who is in its way.
    assert_eq!((&cycle[0]["agentId"], &cycle[1]["agentId"]), (&name(0).into(), &name(999).into()));
    assert!(response.body.len() <= limits::answers::DEADLOCK, "{} bytes", response.body.len());
}

#[test]
fn a_frame_that_cannot_be_taken_apart_is_an_error() {
    let mut workspace = Workspace::new();
    let socket = workspace.subscribe("agentId=ann&session=1&protocol=1");
    for text in ["", "[", "7", "[]", "ping"] {
        let frames = frames(&workspace.deliver(&Arrival::Frame { socket, text }));
        assert_eq!(frames.len(), 1, "{text}");
        assert_eq!(frames[0].1["type"], "$error", "{text}");
    }
    let original = workspace.subscribe("agentId=ann");
    let frames = workspace.say(original, &json!({"action": "list"}));
    assert_eq!(frames[0].1["type"], "$error");
}

#[test]
fn pushes_reach_the_sockets_of_their_holder_and_share_a_frame_where_they_may() {
    let mut workspace = Workspace::new();
    let ann = workspace.subscribe("agentId=ann&session=1&protocol=1");
    let bob = workspace.subscribe("agentId=bob&session=1&protocol=1");
    let again = workspace.subscribe("agentId=bob&session=1&protocol=1");
    let plain = workspace.subscribe("agentId=bob&session=1");
    workspace.subscribe("agentId=bob&session=2&protocol=1");
    let (_, held) = workspace.ask(
        "acquire",
        json!({"agentId": "ann", "session": "1", "request": "r", "paths": ["a", "b"], "ttlMs": 9_000}),
    );
    for path in ["a", "b"] {
        let (_, body) = workspace.ask(
            "acquire",
            json!({
                "agentId": "bob", "session": "1", "request": path, "path": path, "ttlMs": 9_000,
                "waitMs": 9_000,
            }),
        );
        assert_eq!(body["outcome"], "queued");
    }
    // The tags live with the sockets, not in memory.
    workspace.0.evict();
    let release = json!({"action": "release", "token": held["token"], "call": 1});
    let frames = workspace.say(ann, &release);
    let kinds: Vec<_> = frames
        .iter()
        .map(|(socket, frame)| {
            let objects = frame.as_array().cloned().unwrap_or_else(|| vec![frame.clone()]);
            let types: Vec<_> = objects.iter().map(|object| object["type"].clone()).collect();
            (*socket, types)
        })
        .collect();
    let granted = json!("$granted");
    assert_eq!(
        kinds,
        [
            (ann, vec![json!("$replies")]),
            (bob, vec![granted.clone(), granted.clone()]),
            (again, vec![granted.clone(), granted.clone()]),
            (plain, vec![granted.clone()]),
            (plain, vec![granted]),
        ]
    );
}

#[test]
fn what_a_frame_causes_for_its_own_holder_shares_the_frame_that_answers_it() {
    let mut workspace = Workspace::new();
    let asking = workspace.subscribe("agentId=ann&session=1&protocol=1");
    let beside = workspace.subscribe("agentId=ann&session=1&protocol=1");
    let lock = json!({"action": "acquire", "request": "r", "path": "a", "ttlMs": 9_000});
    let held = workspace.say(asking, &lock);
    let token = held[0].1["replies"][0]["token"].clone();
    let force = json!({"action": "force-release", "token": token, "reason": "now", "drain": false});
    let frames = workspace.say(asking, &force);
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert_eq!((frames[0].0, frames[1].0), (asking, beside));
    assert_eq!(frames[0].1[0]["type"], "$replies");
    assert_eq!(frames[0].1[1]["type"], "$forced");
    assert_eq!(frames[1].1["type"], "$forced");
}

#[test]
fn a_lease_outlives_its_holders_socket() {
    let mut workspace = Workspace::new();
    let socket = workspace.subscribe("agentId=ann&session=1&protocol=1");
    let lock = json!({"action": "acquire", "request": "r", "path": "a", "ttlMs": 1_000});
    workspace.say(socket, &lock);
    let closed = workspace.deliver(&Arrival::Closed { socket });
    assert_eq!(closed, Delivered::default());
    let (_, status) = workspace.ask("status", json!({"path": "a"}));
    assert_eq!(status["isLeased"], true);
}

#[test]
fn the_longest_names_have_a_tag_the_platform_takes() {
    let mut workspace = Workspace::new();
    let (long, other) = ("x".repeat(128), format!("{}y", "x".repeat(127)));
    let subscribe = |session: &str| format!("agentId={long}&session={session}&protocol=1");
    let mine = workspace.subscribe(&subscribe(&long));
    workspace.subscribe(&subscribe(&other));
    let lock = json!({"action": "acquire", "request": "r", "path": "a", "ttlMs": 1_000});
    workspace.say(mine, &lock);
    let later = workspace.0.deliver(HostTime(NOON + 1_000), &Arrival::Alarm).unwrap();
    let to: Vec<_> = later.frames.iter().map(|(socket, _)| *socket).collect();
    assert_eq!(to, [mine], "its lease lapsed");
}
