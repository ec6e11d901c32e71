//! Goal: a socket speaks for its agent alone, and one bad command of a frame costs no other. Method:
//! frames, good and bad, and what is read out of each.

use mailbus_spec::mailbox::{Ask, Connection};
use mailbus_spec::wire::Code;
use mailbus_spec::wire::mailbox::{
    ServerFrame, decode_frame, decode_original_frame, decode_server_frame,
};
use mailbus_spec::{AgentId, Ordinal};

fn socket() -> Connection {
    Connection { agent: AgentId::new("ada").unwrap(), epoch: Ordinal::new(9).unwrap() }
}

fn one(frame: &str) -> Result<Ask, Code> {
    let mut calls = decode_frame(frame, &socket()).unwrap();
    assert_eq!(calls.len(), 1);
    calls.remove(0).map(|call| call.command.ask).map_err(|problem| problem.code)
}

#[test]
fn in_a_frame_the_bad_commands_are_refused_and_the_good_ones_read() {
    let frame = r#" [{"action":"heartbeat","call":1}, 5, {"action":"nack","call":3},
        {"action":"steal","call":4}, {"call":5}, {"action":6,"call":6},
        {"action":"publish","call":7,"message":{"type":"t"}},
        {"action":"publish","call":8,"message":{"type":"$t"}}, [],
        {"action":"agents","action":"agents"}, {"action":"publish","type":"t","call":9}] "#;
    let read = decode_frame(frame, &socket()).unwrap();
    let shown: Vec<_> = read
        .iter()
        .map(|call| match call {
            Ok(call) => {
                assert_eq!(call.command.over, Some(socket()));
                (call.attempt.number, Ok(call.command.ask.name()))
            }
            Err(problem) => (problem.call, Err(problem.code)),
        })
        .collect();
    let malformed = Err(Code::Malformed);
    assert_eq!(
        shown,
        [
            (Some(1), Ok("heartbeat")),
            (None, malformed),
            (Some(3), malformed),
            (Some(4), malformed),
            (Some(5), malformed),
            (Some(6), malformed),
            (Some(7), Ok("publish")),
            (Some(8), malformed),
            (None, malformed),
            (None, malformed),
            (Some(9), malformed),
        ]
    );
}

#[test]
fn a_frame_that_cannot_be_taken_apart_is_refused_whole() {
    let many = format!("[{}{{}}]", "{},".repeat(1_000));
    for frame in ["", "5", "hello", "[", "[]", "[{}", "{", "{}{}", "[{}] []", "ping", &many] {
        let problem = decode_frame(frame, &socket()).unwrap_err();
        assert_eq!(problem.code, Code::Malformed, "{frame:.20}");
    }
    let most = format!("[{}{{}}]", "{},".repeat(999));
    assert_eq!(decode_frame(&most, &socket()).unwrap().len(), 1_000);
}

#[test]
fn over_a_socket_the_agent_is_the_sockets_and_cannot_be_another() {
    for command in [
        r#""action":"acknowledge","upTo":1"#,
        r#""action":"nack","seq":1"#,
        r#""action":"working","seq":1"#,
        r#""action":"inbox""#,
        r#""action":"subscriptions""#,
        r#""action":"subscribe","type":"t""#,
        r#""action":"unsubscribe","type":"t""#,
        r#""action":"heartbeat""#,
        r#""action":"dead-letters""#,
        r#""action":"redrive","seqs":[]"#,
        r#""action":"disconnect""#,
    ] {
        let own = one(&format!("{{{command}}}")).unwrap();
        assert_eq!(own.agent(), Some(&socket().agent), "{command}");
        assert_eq!(one(&format!(r#"{{{command},"agentId":"ada"}}"#)).as_ref(), Ok(&own));
        let others = one(&format!(r#"{{{command},"agentId":"bob"}}"#));
        assert_eq!(others, Err(Code::Forbidden), "{command}");
    }
    for command in [r#""action":"publish""#, r#""action":"send","to":"bob""#] {
        let with = |message: &str| one(&format!(r#"{{{command},"message":{message}}}"#));
        assert_eq!(with(r#"{"type":"t"}"#).unwrap().agent(), Some(&socket().agent));
        assert!(with(r#"{"type":"t","from":"ada"}"#).is_ok());
        assert_eq!(with(r#"{"type":"t","from":"bob"}"#), Err(Code::Forbidden));
    }
}

#[test]
fn a_socket_does_not_say_whom_to_forget() {
    assert_eq!(one(r#"{"action":"forget"}"#), Err(Code::Malformed));
    let bob = AgentId::new("bob").unwrap();
    assert_eq!(
        one(r#"{"action":"forget","agentId":"bob"}"#),
        Ok(Ask::Forget { agent: bob, epoch: None })
    );
}

#[test]
fn a_socket_ends_its_own_session_unless_another_is_named() {
    assert_eq!(one(r#"{"action":"disconnect"}"#), Ok(Ask::Disconnect { connection: socket() }));
    let other = Connection { epoch: Ordinal::new(8).unwrap(), ..socket() };
    assert_eq!(
        one(r#"{"action":"disconnect","epoch":8}"#),
        Ok(Ask::Disconnect { connection: other })
    );
}

#[test]
fn the_originals_socket_takes_subscriptions_only() {
    let read = |frame: &str| {
        let call = decode_original_frame(frame, &socket()).map_err(|problem| problem.code)?;
        assert_eq!(call.command.over, Some(socket()));
        Ok(call.command.ask.name())
    };
    assert_eq!(read(r#"{"action":"subscribe","type":"*"}"#), Ok("subscribe"));
    assert_eq!(read(r#" {"type":"t","action":"unsubscribe"} "#), Ok("unsubscribe"));
    assert_eq!(read(r#"{"action":"subscribe","type":"t","agentId":"bob"}"#), Err(Code::Forbidden));
    for frame in [
        "",
        "ping",
        "{}",
        r#"{"action":5}"#,
        r#"{"action":"subscribe"}"#,
        r#"{"action":"subscribe","type":5}"#,
        r#"{"action":"subscribe","type":"$gap"}"#,
        r#"{"action":"heartbeat"}"#,
        r#"{"action":"publish","message":{"type":"t"}}"#,
        r#"[{"action":"subscribe","type":"t"}]"#,
    ] {
        assert_eq!(read(frame), Err(Code::Malformed), "{frame}");
    }
}

#[test]
fn what_a_client_does_not_know_costs_nothing_else_in_the_frame() {
    let frame = r#"[{"type":"$new"},{"type":"t","from":"a","seq":1,"attempt":1,"replies":1,"replies":2},
        {"type":"t","from":"a"},{"type":"t","seq":1},5,{},{"type":"t","from":"a","seq":1},
        {"type":"$gap"},{"type":"$connected"}]"#;
    let shown: Vec<_> = decode_server_frame(frame)
        .iter()
        .map(|frame| match frame {
            ServerFrame::Notice(_) => "notice",
            ServerFrame::Unknown(_) => "unknown",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "unknown", "notice", "notice", "unknown", "unknown", "unknown", "unknown", "unknown",
            "unknown"
        ]
    );
}
