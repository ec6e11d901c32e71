//! Input that nobody should send, and what it is answered with: the same natively and in workerd.

use std::net::SocketAddr;

use mailbus_worker::object::CHARGED_HEADER;
use serde_json::{Value, json};

use super::http::{Connection, send};

/// The workspace that the cases are sent to.
pub const WORKSPACE: &str = "bad-input";

/// One request that is refused.
#[derive(Debug)]
pub struct Case {
    /// Fault in it.
    pub name: &'static str,
    pub method: &'static str,
    /// From `/` on.
    pub path: String,
    pub content_type: Option<&'static str>,
    pub body: Vec<u8>,
    /// The status and the code of the problem.
    pub refused: (u16, &'static str),
}

const MALFORMED: (u16, &str) = (400, "malformed");
const TTL: (u16, &str) = (400, "ttl_out_of_range");
const PATH: (u16, &str) = (400, "path_invalid");

fn action(action: &str) -> String {
    format!("/v1/{WORKSPACE}/lease/{action}")
}

pub fn case(
    name: &'static str,
    method: &'static str,
    path: String,
    body: impl Into<Vec<u8>>,
    refused: (u16, &'static str),
) -> Case {
    Case { name, method, path, content_type: Some("application/json"), body: body.into(), refused }
}

fn acquire(name: &'static str, body: impl Into<Vec<u8>>, refused: (u16, &'static str)) -> Case {
    case(name, "POST", action("acquire"), body, refused)
}

/// An acquisition that is right but for these members.
fn with(name: &'static str, members: Value, refused: (u16, &'static str)) -> Case {
    let mut body = json!({"file": "src/free.rs", "agentId": "alice", "ttlMs": 30_000});
    for (member, value) in members.as_object().unwrap() {
        body[member] = value.clone();
    }
    acquire(name, body.to_string(), refused)
}

fn with_ttl(name: &'static str, ttl: &str) -> Case {
    let body = format!(r#"{{"file":"src/free.rs","agentId":"alice","ttlMs":{ttl}}}"#);
    acquire(name, body, TTL)
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        acquire("an empty body", "", MALFORMED),
        acquire("JSON that breaks off", r#"{"file":"src/free.rs","#, MALFORMED),
        acquire("not JSON", "file=src/free.rs", MALFORMED),
        acquire("JSON and more", r#"{"file":"a","agentId":"b","ttlMs":1} x"#, MALFORMED),
        acquire("an array", "[]", MALFORMED),
        acquire("a text", r#""acquire""#, MALFORMED),
        acquire("null", "null", MALFORMED),
        acquire("nested beyond reason", "[".repeat(100_000), MALFORMED),
        acquire(
            "invalid UTF-8",
            b"{\"file\":\"\xff\",\"agentId\":\"a\",\"ttlMs\":1}".to_vec(),
            MALFORMED,
        ),
        acquire("half a surrogate", r#"{"file":"\ud800","agentId":"a","ttlMs":1}"#, MALFORMED),
        acquire("no members", "{}", MALFORMED),
        acquire("a member twice", r#"{"file":"a","file":"b","agentId":"a","ttlMs":1}"#, MALFORMED),
        with("a number for a path", json!({"file": 5}), MALFORMED),
        with("an array for a path", json!({"file": ["a"]}), MALFORMED),
        with("a number for an agent", json!({"agentId": 5}), MALFORMED),
        with("null for an agent", json!({"agentId": null}), MALFORMED),
        with("an empty agent", json!({"agentId": ""}), (400, "id_invalid")),
        with("a long agent", json!({"agentId": "x".repeat(129)}), (400, "id_invalid")),
        with("a control character in an agent", json!({"agentId": "a\u{0}b"}), (400, "id_invalid")),
        with("a wait without a request", json!({"waitMs": 5_000}), MALFORMED),
        with("a path and a set", json!({"paths": ["a"]}), MALFORMED),
        with("an empty set", json!({"file": null, "paths": []}), MALFORMED),
        with("an object for a set", json!({"file": null, "paths": {}}), MALFORMED),
        with("a number in a set", json!({"file": null, "paths": ["a", 5]}), MALFORMED),
        with("an empty path", json!({"file": ""}), PATH),
        with("a path of nothing", json!({"file": "./a/.."}), PATH),
        with("a path that climbs out", json!({"file": "../etc/passwd"}), PATH),
        with("a path that climbs out later", json!({"file": "a/../../b"}), PATH),
        with("a path of 2 KB", json!({"file": "x".repeat(2_048)}), PATH),
        with("a path with a control character", json!({"file": "a\nb"}), PATH),
        with("a directory", json!({"file": "src/"}), PATH),
        with("a pattern", json!({"file": "src/**"}), PATH),
        with("a backslash", json!({"file": "src\\lib.rs"}), PATH),
        with("a drive", json!({"file": "C:/src/lib.rs"}), PATH),
        with("a bad path in a set", json!({"file": null, "paths": ["a", ".."]}), PATH),
        with(
            "65 paths",
            json!({"file": null, "paths": (0..65).map(|n| format!("p{n}")).collect::<Vec<_>>()}),
            (400, "too_many_paths"),
        ),
        with_ttl("a TTL of -5", "-5"),
        with_ttl("a TTL of 0", "0"),
        with_ttl("a TTL of null", "null"),
        with_ttl("a TTL in words", r#""abc""#),
        with_ttl("a TTL of 1e300", "1e300"),
        with_ttl("a TTL of 1.5", "1.5"),
        with_ttl("a TTL of a day and a millisecond", "86400001"),
        with_ttl("a TTL beyond 64 bits", "99999999999999999999"),
        acquire("no TTL", r#"{"file":"src/free.rs","agentId":"alice"}"#, TTL),
        acquire("a TTL that is no JSON", r#"{"file":"a","agentId":"b","ttlMs":NaN}"#, MALFORMED),
        acquire(
            "a body of 2 MiB and a byte",
            vec![b' '; (2 << 20) + 1],
            (413, "message_too_large"),
        ),
        acquire("a body of 20 MB", vec![b'x'; 20_000_000], (413, "message_too_large")),
        case(
            "a token that is none",
            "POST",
            action("renew"),
            r#"{"agentId":"alice","token":-1,"ttlMs":5}"#,
            MALFORMED,
        ),
        case(
            "a token in words",
            "POST",
            action("release"),
            r#"{"agentId":"alice","token":"5"}"#,
            MALFORMED,
        ),
        case("nothing to release", "POST", action("release"), r#"{"agentId":"alice"}"#, MALFORMED),
        case("a limit of 0", "POST", action("list"), r#"{"limit":0}"#, MALFORMED),
        case("a wrong method", "PUT", action("acquire"), "{}", (405, "method_not_allowed")),
        case(
            "a wrong method without a body",
            "DELETE",
            action("status"),
            "",
            (405, "method_not_allowed"),
        ),
        case("a command by GET", "GET", action("acquire"), "", (405, "method_not_allowed")),
        case("an unknown action", "POST", action("steal"), "{}", (404, "not_found")),
        case(
            "an unknown class",
            "POST",
            format!("/v1/{WORKSPACE}/lock/acquire"),
            "{}",
            (404, "not_found"),
        ),
        case("an action too deep", "POST", action("a/acquire"), "{}", (404, "not_found")),
        case("the root", "GET", "/".to_owned(), "", (404, "not_found")),
        case("another version", "POST", "/v2/w/lease/acquire".to_owned(), "{}", (404, "not_found")),
        case(
            "a path that climbs",
            "POST",
            "/v1/../../etc/passwd".to_owned(),
            "{}",
            (404, "not_found"),
        ),
        case(
            "the version by POST",
            "POST",
            "/v1/version".to_owned(),
            "{}",
            (405, "method_not_allowed"),
        ),
        case(
            "a workspace that is reserved",
            "POST",
            "/v1/version/lease/acquire".to_owned(),
            "{}",
            (400, "id_invalid"),
        ),
        case(
            "a workspace with a space",
            "POST",
            "/v1/a%20b/lease/acquire".to_owned(),
            "{}",
            (400, "id_invalid"),
        ),
        case(
            "a workspace of 129",
            "POST",
            format!("/v1/{}/lease/acquire", "x".repeat(129)),
            "{}",
            (400, "id_invalid"),
        ),
        case(
            "a socket without an upgrade",
            "GET",
            action("subscribe?agentId=alice"),
            "",
            (426, "upgrade_required"),
        ),
    ];
    cases.push(Case {
        content_type: Some("application/x-www-form-urlencoded"),
        ..acquire("a form", "{}", (415, "unsupported_media_type"))
    });
    cases
}

/// A request that is in order, to show that the check below tells it from the others.
pub fn good_case() -> Case {
    with("nothing at all", json!({"agentId": "bob"}), MALFORMED)
}

/// Sends the cases one by one. Returns what is wrong with the answers: each case has to get its
/// problem, none may change the state, and none may be charged for.
pub async fn faults(address: SocketAddr, cases: &[Case]) -> Vec<String> {
    let mut witness = Connection::open(address).await.unwrap();
    let held = r#"{"file":"src/held.rs","agentId":"witness","ttlMs":86400000}"#;
    assert_eq!(witness.post(&action("acquire"), held).await.unwrap().status, 200);
    faults_seen_by(&mut witness, state, address, cases).await
}

/// The same, by a witness who is told of the state.
pub async fn faults_seen_by(
    witness: &mut Connection,
    state: impl AsyncFn(&mut Connection) -> Value,
    address: SocketAddr,
    cases: &[Case],
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut before = state(witness).await;
    for case in cases {
        faults.extend(case.fault(address).await);
        let after = state(witness).await;
        if after != before {
            faults.push(format!("{}: the state is {after} and was {before}", case.name));
            before = after;
        }
    }
    faults
}

impl Case {
    /// Sends it. Returns what is wrong with the answer.
    pub async fn fault(&self, address: SocketAddr) -> Option<String> {
        let headers: Vec<_> =
            self.content_type.map(|kind| ("content-type", kind)).into_iter().collect();
        let answer = send(address, self.method, &self.path, &headers, self.body.clone()).await;
        let (name, (status, code)) = (self.name, self.refused);
        let told = (answer.status, answer.json()["code"].as_str().unwrap_or("none").to_owned());
        if told != (status, code.to_owned()) {
            Some(format!("{name}: {told:?} instead of {:?}", self.refused))
        } else if answer.code() != code || answer.header("allow").is_some() != (status == 405) {
            Some(format!("{name}: {answer:?}"))
        } else if answer.header(CHARGED_HEADER).is_some_and(|rows| rows != "0") {
            Some(format!("{name}: it is charged for: {answer:?}"))
        } else {
            None
        }
    }
}

/// Everything that can be seen of the workspace, but the time.
async fn state(witness: &mut Connection) -> Value {
    let mut list = witness.post(&action("list"), "{}").await.unwrap().json();
    list["commit"].as_object_mut().unwrap().remove("now");
    list
}
