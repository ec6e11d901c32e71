//! The shapes of the original's protocol, byte for byte but for times and ordinals.

use serde_json::{Value, json};

use crate::bus::{Bus, run};
use crate::support::daemon::Program;
use crate::support::http::{Answer, Connection};

/// Post of the original's client: `fetch` calls a text plain where nobody says what it is.
async fn post(connection: &mut Connection, action: &str, body: &Value) -> Answer {
    let path = format!("/v1/demo/lease/{action}");
    let headers = [("content-type", "text/plain;charset=UTF-8")];
    connection.send("POST", &path, &headers, body.to_string().into_bytes()).await.unwrap()
}

/// The text of a success, with `#` for each time and each ordinal.
pub fn success(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    masked(std::str::from_utf8(&answer.body).unwrap())
}

/// Ten digits and more are a time in milliseconds, or anchored in one.
pub fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut digits = String::new();
    for letter in text.chars().chain([' ']) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        masked.push_str(if digits.len() < 10 { &digits } else { "#" });
        digits.clear();
        masked.push(letter);
    }
    masked.pop();
    masked
}

pub fn its_client_reads_every_answer(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        let to = &mut connection;
        let of = |agent: &str| json!({"file": "./src//main.rs", "agentId": agent, "ttlMs": 60_000});
        let its = |agent: &str| json!({"file": "./src//main.rs", "agentId": agent});

        let granted = post(to, "acquire", &of("alice")).await;
        assert_eq!(
            success(&granted),
            r##"{"outcome":"granted","acquired":true,"token":#,"expiresAt":#,"ttlMs":60000,"commit":{"sequence":1,"now":#,"generation":#}}"##
        );
        let granted = granted.json();
        let (now, until) = (&granted["commit"]["now"], &granted["expiresAt"]);
        assert_eq!(until.as_u64().unwrap(), now.as_u64().unwrap() + 60_000);

        let refused = post(to, "acquire", &of("bob")).await;
        assert_eq!(
            success(&refused),
            r##"{"acquired":false,"code":"held","by":"lease","agentId":"alice","session":"","paths":["src/main.rs"],"expiresAt":#,"queue":0,"commit":{"sequence":1,"now":#,"generation":#}}"##
        );
        assert_eq!(refused.json()["expiresAt"], *until);

        let status = post(to, "status", &json!({"file": "src/main.rs"})).await;
        assert_eq!(
            success(&status),
            r##"{"outcome":"held","isLeased":true,"path":"src/main.rs","agentId":"alice","session":"","token":#,"expiresAt":#,"draining":false,"paths":["src/main.rs"],"queue":0,"commit":{"sequence":1,"now":#,"generation":#}}"##
        );
        assert_eq!(status.json()["expiresAt"], *until);

        let longer = json!({"file": "src/main.rs", "agentId": "alice", "ttlMs": 120_000});
        let renewed = post(to, "acquire", &longer).await.json();
        assert_eq!(renewed["token"], granted["token"], "asked again, its own lease goes on");
        assert!(renewed["expiresAt"].as_u64() > until.as_u64());

        let lost =
            r##"{"released":false,"code":"lost","commit":{"sequence":2,"now":#,"generation":#}}"##;
        assert_eq!(success(&post(to, "release", &its("bob")).await), lost);
        assert_eq!(
            success(&post(to, "release", &of("bob")).await),
            r##"{"released":false,"code":"lost","commit":{"sequence":2,"now":#,"generation":#},"ignored":["ttlMs"]}"##
        );
        assert_eq!(
            success(&post(to, "release", &its("alice")).await),
            r##"{"outcome":"released","released":true,"commit":{"sequence":3,"now":#,"generation":#}}"##
        );
        assert_eq!(
            success(&post(to, "release", &its("alice")).await),
            lost.replace("\"sequence\":2", "\"sequence\":3")
        );
        assert_eq!(
            success(&post(to, "status", &json!({"file": "src/main.rs"})).await),
            r##"{"outcome":"free","isLeased":false,"queue":0,"commit":{"sequence":3,"now":#,"generation":#}}"##
        );
    });
}

pub fn others_get_a_problem(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        let to = &mut connection;
        let held = json!({"file": "a", "agentId": "alice", "ttlMs": 60_000});
        success(&post(to, "acquire", &held).await);
        for (what, asked) in [
            ("a request id", json!({"file": "a", "agentId": "b", "ttlMs": 1, "request": "r"})),
            ("a set of paths", json!({"paths": ["a"], "agentId": "b", "ttlMs": 1})),
            ("`path` for `file`", json!({"path": "a", "agentId": "b", "ttlMs": 1})),
        ] {
            let answer = post(to, "acquire", &asked).await;
            assert_eq!((answer.status, answer.code().as_str()), (409, "held"), "{what}");
            let problem = answer.json();
            assert_eq!(problem["type"], "urn:mailbus:problem:held", "{what}");
            assert_eq!(problem["agentId"], "alice", "{what}");
            assert_eq!(problem["paths"], json!(["a"]), "{what}");
        }
        let released = json!({"agentId": "alice", "token": 1});
        let answer = post(to, "release", &released).await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "lost"), "by token");
    });
}
