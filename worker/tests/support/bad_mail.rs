//! Mail that nobody should send to a mailbox, and its answers: the same natively and in workerd.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::bad_input::{Case, case, faults_seen_by};
use super::http::Connection;

const WORKSPACE: &str = "bad-mail";
const MALFORMED: (u16, &str) = (400, "malformed");
const ID: (u16, &str) = (400, "id_invalid");
const TOO_LARGE: (u16, &str) = (413, "message_too_large");

fn action(action: &str) -> String {
    format!("/v1/{WORKSPACE}/mailbox/{action}")
}

fn post(
    name: &'static str,
    of: &str,
    body: impl Into<Vec<u8>>,
    refused: (u16, &'static str),
) -> Case {
    case(name, "POST", action(of), body, refused)
}

fn publish(name: &'static str, body: impl Into<Vec<u8>>, refused: (u16, &'static str)) -> Case {
    post(name, "publish", body, refused)
}

/// A message that is right but for these members.
fn with(name: &'static str, members: Value, refused: (u16, &'static str)) -> Case {
    let mut body = json!({"id": "1", "type": "task", "from": "alice", "payload": {}});
    for (member, value) in members.as_object().unwrap() {
        body[member] = value.clone();
    }
    publish(name, body.to_string(), refused)
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut cases = messages();
    cases.extend(commands());
    cases.extend(addresses());
    cases
}

fn messages() -> Vec<Case> {
    let long = "x".repeat(129);
    let two_megabytes = "x".repeat(2_000_000);
    vec![
        publish("an empty body", "", MALFORMED),
        publish("JSON that breaks off", r#"{"type":"task","#, MALFORMED),
        publish("not JSON", "type=task", MALFORMED),
        publish("JSON and more", r#"{"type":"t","from":"a"} x"#, MALFORMED),
        publish("an array", "[]", MALFORMED),
        publish("a text", r#""publish""#, MALFORMED),
        publish("null", "null", MALFORMED),
        publish("nested beyond reason", "[".repeat(100_000), MALFORMED),
        publish("invalid UTF-8", b"{\"type\":\"\xff\",\"from\":\"a\"}".to_vec(), MALFORMED),
        publish("half a surrogate", r#"{"type":"\ud800","from":"a"}"#, MALFORMED),
        publish("no members", "{}", MALFORMED),
        publish("a member twice", r#"{"type":"a","type":"b","from":"a"}"#, MALFORMED),
        publish("no sender", r#"{"type":"task"}"#, MALFORMED),
        with("no type", json!({"type": null}), MALFORMED),
        with("an empty type", json!({"type": ""}), MALFORMED),
        with("a type of 129", json!({"type": long}), MALFORMED),
        with("a number for a type", json!({"type": 5}), MALFORMED),
        with("a type of the bus's", json!({"type": "$gap"}), MALFORMED),
        with("a pattern for a type", json!({"type": "task.*"}), MALFORMED),
        with("a control character in a type", json!({"type": "a\nb"}), MALFORMED),
        with("a number for a sender", json!({"from": 5}), MALFORMED),
        with("an empty sender", json!({"from": ""}), ID),
        with("a sender of 129", json!({"from": long}), ID),
        with("an id of 129", json!({"id": long}), ID),
        with("a number for an id", json!({"id": 5}), MALFORMED),
        with("a word for a flag", json!({"ackRequired": "yes"}), MALFORMED),
        with("a message of 2 MB", json!({"payload": two_megabytes}), TOO_LARGE),
        with("a message of 1 MiB and more", json!({"payload": "x".repeat(1 << 20)}), TOO_LARGE),
        with(
            "a heartbeat of 5 KiB",
            json!({"type": "heartbeat", "payload": "x".repeat(5_000)}),
            TOO_LARGE,
        ),
        with(
            "an ephemeral message of 5 KiB",
            json!({"ephemeral": true, "payload": "x".repeat(5_000)}),
            TOO_LARGE,
        ),
        publish("a body of 2 MiB and a byte", vec![b' '; (2 << 20) + 1], TOO_LARGE),
        publish("a body of 20 MB", vec![b'x'; 20_000_000], TOO_LARGE),
    ]
}

fn commands() -> Vec<Case> {
    let message = r#"{"type":"t","from":"a"}"#;
    let most: Vec<u64> = (0..10_001).collect();
    let patterns: Vec<String> = (0..65).map(|n| format!("p{n}")).collect();
    vec![
        post("nobody to send to", "send", format!(r#"{{"message":{message}}}"#), MALFORMED),
        post("nothing to send", "send", r#"{"targetAgent":"witness"}"#, MALFORMED),
        post("an empty target", "send", format!(r#"{{"to":"","message":{message}}}"#), ID),
        post("an ack of nothing", "acknowledge", r#"{"agentId":"witness"}"#, MALFORMED),
        post("an ack by nobody", "acknowledge", r#"{"messageId":"1"}"#, MALFORMED),
        post(
            "an ack of two things",
            "acknowledge",
            r#"{"agentId":"witness","seqs":[1],"upTo":1}"#,
            MALFORMED,
        ),
        post(
            "an ack of 10 001",
            "acknowledge",
            json!({"agentId": "witness", "seqs": most}).to_string(),
            MALFORMED,
        ),
        post("an ack of words", "acknowledge", r#"{"agentId":"witness","seqs":["1"]}"#, MALFORMED),
        post(
            "an ack of half a message",
            "acknowledge",
            r#"{"agentId":"witness","seqs":[1.5]}"#,
            MALFORMED,
        ),
        post("a nack of nothing", "nack", r#"{"agentId":"witness"}"#, MALFORMED),
        post(
            "a nack for two days",
            "nack",
            r#"{"agentId":"witness","seq":1,"delayMs":172800000}"#,
            (400, "ttl_out_of_range"),
        ),
        post(
            "a nack for -1 ms",
            "nack",
            r#"{"agentId":"witness","seq":1,"delayMs":-1}"#,
            (400, "ttl_out_of_range"),
        ),
        post("an inbox of nobody", "inbox", "{}", MALFORMED),
        post("a limit of 0", "inbox", r#"{"agentId":"witness","limit":0}"#, MALFORMED),
        post("a limit of 1 001", "agents", r#"{"limit":1001}"#, MALFORMED),
        post(
            "an inbox beyond the last",
            "inbox",
            r#"{"agentId":"witness","after":9007199254740991}"#,
            (409, "ahead"),
        ),
        post(
            "65 patterns",
            "subscriptions",
            json!({"agentId": "witness", "add": patterns}).to_string(),
            MALFORMED,
        ),
        post(
            "a pattern in the middle",
            "subscriptions",
            r#"{"agentId":"witness","add":["a.*.b"]}"#,
            MALFORMED,
        ),
        post("a redrive of nothing", "redrive", r#"{"agentId":"witness"}"#, MALFORMED),
        post("an end of no session", "disconnect", r#"{"agentId":"witness"}"#, MALFORMED),
        post("forgetting nobody", "forget", "{}", MALFORMED),
        post("a recovery to the year 1970", "recover", r#"{"atLeast":1}"#, MALFORMED),
    ]
}

fn addresses() -> Vec<Case> {
    let subscribe = |query: &str| action(&format!("subscribe?{query}"));
    let upgrade = (426, "upgrade_required");
    let mut cases = vec![
        case("a wrong method", "PUT", action("publish"), "{}", (405, "method_not_allowed")),
        case("a command by GET", "GET", action("inbox"), "", (405, "method_not_allowed")),
        case("a session by POST", "POST", action("subscribe"), "{}", (405, "method_not_allowed")),
        case("a session without an upgrade", "GET", subscribe("agentId=alice"), "", upgrade),
        post("an unknown action", "steal", "{}", (404, "not_found")),
        post("an action too deep", "a/publish", "{}", (404, "not_found")),
        case(
            "a workspace that is reserved",
            "POST",
            "/v1/version/mailbox/publish".to_owned(),
            "{}",
            ID,
        ),
    ];
    cases.push(Case {
        content_type: Some("application/x-www-form-urlencoded"),
        ..publish("a form", "{}", (415, "unsupported_media_type"))
    });
    cases
}

/// A request that is in order, to show that the check below tells it from the others.
pub fn good_case() -> Case {
    with("nothing at all", json!({"from": "bob"}), MALFORMED)
}

/// Sends the cases one by one. Returns what is wrong with the answers: each case has to get its
/// problem, none may change the state, and none may be charged for.
pub async fn faults(address: SocketAddr, cases: &[Case]) -> Vec<String> {
    let mut witness = Connection::open(address).await.unwrap();
    let wanted = r#"{"agentId":"witness","add":["*"]}"#;
    assert_eq!(witness.post(&action("subscriptions"), wanted).await.unwrap().status, 200);
    let pending = r#"{"id":"first","type":"t","from":"somebody"}"#;
    assert_eq!(witness.post(&action("publish"), pending).await.unwrap().status, 200);
    faults_seen_by(&mut witness, state, address, cases).await
}

/// Everything that can be seen of the workspace, but the time.
async fn state(witness: &mut Connection) -> Value {
    let mut state = Vec::new();
    for (of, body) in [("inbox", r#"{"agentId":"witness"}"#), ("agents", "{}")] {
        let mut seen = witness.post(&action(of), body).await.unwrap().json();
        assert_eq!(seen["outcome"], of, "{seen}");
        seen["commit"].as_object_mut().unwrap().remove("now");
        state.push(seen);
    }
    Value::from(state)
}
