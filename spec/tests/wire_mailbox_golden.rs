//! Goal: the bytes of every variant stay what they are. Method: one sample of each, written out and
//! compared with a reviewed snapshot; what a client writes is also read back by the object's side.
//!
//! A change of a snapshot is a change of the protocol: old clients meet new objects.

use mailbus_spec::mailbox::{
    AgentEntry, Ask, CloseReason, Command, Connection, DeadLetter, DeadReason, Delay, Fate, Fence,
    Gap, LimitKind, MailboxReply, Message, MessageId, Notice, Outcome, Pattern, Patterns, Pending,
    Rejection, Settled, Window,
};
use mailbus_spec::wire::mailbox::{self as wire, ServerFrame, Subscribe};
use mailbus_spec::wire::{Answer, Code, Problem, frame};
use mailbus_spec::{AgentId, Commit, HostTime, Ordinal, Reply, SessionId, Timestamp};

const NOON: u64 = 1_800_000_000_000;

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn seq(index: u64) -> Ordinal {
    Ordinal::new((NOON << 10) + index).unwrap()
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_ms(NOON + ms).unwrap()
}

fn patterns(texts: &[&str]) -> Patterns {
    texts.iter().map(|text| Pattern::new(*text).unwrap()).collect()
}

fn message(text: &str) -> Message {
    wire::decode_message(text, Some(&agent("ada"))).unwrap()
}

fn task() -> Message {
    message(
        r#"{"id":"t-1","type":"task.new","from":"ada","payload":{"n": 1.0},"timestamp":5,"x":null}"#,
    )
}

fn nameless() -> Message {
    message(r#"{"type":"task.new", "ackRequired":true }"#)
}

fn beat() -> Message {
    message(r#"{"type":"heartbeat","from":"ada"}"#)
}

fn connection() -> Connection {
    Connection { agent: agent("ada"), epoch: seq(0) }
}

fn ada() -> AgentId {
    agent("ada")
}

fn asks() -> Vec<Ask> {
    vec![
        Ask::Publish { message: task() },
        Ask::Publish { message: nameless() },
        Ask::Send { to: agent("bob"), message: task(), must_know: false },
        Ask::Send { to: agent("bob"), message: nameless(), must_know: true },
        Ask::Ack { agent: ada(), what: Settled::Seqs(vec![seq(1), seq(3)]) },
        Ask::Ack { agent: ada(), what: Settled::UpTo(seq(3)) },
        Ask::Ack { agent: ada(), what: Settled::Id(MessageId::new("t-1").unwrap()) },
        Ask::Ack { agent: ada(), what: Settled::Gap(7) },
        Ask::Nack { agent: ada(), seq: seq(1), fence: None, delay: Delay::from_ms(500).unwrap() },
        Ask::Nack {
            agent: ada(),
            seq: seq(1),
            fence: Some(Fence { epoch: seq(0), attempt: 2 }),
            delay: Delay::NONE,
        },
        Ask::Working { agent: ada(), seq: seq(1) },
        Ask::Inbox { agent: ada(), after: Ordinal::ZERO, limit: 100 },
        Ask::Subscribe { agent: ada(), types: patterns(&["task.*", "note"]) },
        Ask::Unsubscribe { agent: ada(), types: patterns(&["*"]) },
        Ask::Agents { after: None, limit: 100 },
        Ask::Agents { after: Some(agent("b\"b")), limit: 1 },
        Ask::Heartbeat { agent: ada() },
        Ask::DeadLetters { agent: ada(), after: seq(1), limit: 1_000 },
        Ask::Redrive { agent: ada(), seqs: vec![seq(1)] },
        Ask::Disconnect { connection: connection() },
        Ask::Forget { agent: ada(), epoch: None },
        Ask::Forget { agent: ada(), epoch: Some(seq(0)) },
        Ask::Recover { at_least: seq(7) },
    ]
}

fn gap() -> Gap {
    Gap { count: 2, first: seq(1), last: seq(3), through: 9 }
}

fn accepted(
    recipients: u64,
    refused: Vec<AgentId>,
    known: Option<bool>,
    near: Vec<AgentId>,
) -> Outcome {
    Outcome::Accepted { seq: seq(1), recipients, refused, known, near }
}

fn outcomes() -> Vec<Outcome> {
    vec![
        Outcome::Connected { epoch: seq(0), resumed: false, gap: None, refused: 0 },
        Outcome::Connected { epoch: seq(0), resumed: true, gap: Some(gap()), refused: 3 },
        Outcome::Disconnected,
        Outcome::Subscribed { types: None, resumed: false },
        Outcome::Subscribed { types: Some(patterns(&["task.*", "note"])), resumed: true },
        accepted(2, Vec::new(), None, Vec::new()),
        accepted(0, vec![agent("bob"), agent("cy")], None, Vec::new()),
        accepted(1, Vec::new(), Some(true), Vec::new()),
        accepted(1, Vec::new(), Some(false), vec![agent("bob")]),
        Outcome::Duplicate { seq: seq(1), recipients: Some(3), refused: vec![agent("bob")] },
        Outcome::Duplicate { seq: seq(1), recipients: None, refused: Vec::new() },
        Outcome::Sent,
        Outcome::Settled { settled: 2, unknown: 1 },
        Outcome::Returned(Fate::Due { at: at(500) }),
        Outcome::Returned(Fate::Dead),
        Outcome::Returned(Fate::Unknown),
        Outcome::Noted { known: true },
        Outcome::Inbox { messages: Vec::new(), complete_through: seq(3), gap: None, refused: 0 },
        Outcome::Inbox {
            messages: vec![
                Pending { seq: seq(1), redriven: false, message: task() },
                Pending { seq: seq(3), redriven: true, message: nameless() },
            ],
            complete_through: seq(3),
            gap: Some(gap()),
            refused: 1,
        },
        Outcome::Agents { agents: Vec::new(), more: false },
        Outcome::Agents {
            agents: vec![
                AgentEntry { agent: ada(), epoch: Ordinal::ZERO, types: None, pending: 0 },
                AgentEntry {
                    agent: agent("bob"),
                    epoch: seq(1),
                    types: Some(patterns(&["*"])),
                    pending: 5,
                },
            ],
            more: true,
        },
        Outcome::Heard,
        Outcome::DeadLetters { letters: Vec::new(), more: false },
        Outcome::DeadLetters { letters: letters(), more: true },
        Outcome::Redriven { redriven: 1, unknown: 2, refused: 3 },
        Outcome::Forgotten { known: true },
        Outcome::Recovered,
    ]
}

fn letters() -> Vec<DeadLetter> {
    let letter = |reason, attempts, message| DeadLetter {
        seq: seq(1),
        reason,
        attempts,
        at: at(0),
        message,
    };
    vec![letter(DeadReason::Failed, 5, task()), letter(DeadReason::Refused, 0, nameless())]
}

fn rejections() -> Vec<Rejection> {
    let kinds = [
        LimitKind::Agents,
        LimitKind::Patterns,
        LimitKind::UnknownNames,
        LimitKind::UnknownNameMessages,
        LimitKind::Ordinals,
    ];
    let mut rejections = vec![
        Rejection::Conflict,
        Rejection::Replaced,
        Rejection::Ahead { last: seq(3) },
        Rejection::UnknownAgent { near: Vec::new() },
        Rejection::UnknownAgent { near: vec![agent("bob"), agent("b\"b")] },
        Rejection::Overloaded,
        Rejection::Clock(HostTime(u64::MAX)),
    ];
    rejections.extend(kinds.map(Rejection::Limit));
    rejections
}

fn reply(answer: Result<Outcome, Rejection>) -> MailboxReply {
    Reply { answer, commit: Commit { sequence: 12, now: at(0), generation: 1 } }
}

fn replies() -> Vec<MailboxReply> {
    outcomes().into_iter().map(Ok).chain(rejections().into_iter().map(Err)).map(reply).collect()
}

fn notices() -> Vec<Notice> {
    vec![
        Notice::Message { seq: seq(1), attempt: 1, redriven: false, message: task() },
        Notice::Message { seq: seq(3), attempt: 4, redriven: true, message: nameless() },
        Notice::Ephemeral { message: beat() },
        Notice::Gap(gap()),
    ]
}

fn shown(answer: &Answer) -> String {
    let retry = answer.retry_after.map(|s| format!(" retry-after {s}")).unwrap_or_default();
    format!("{}{retry}\n{}", answer.status, answer.body)
}

#[test]
fn commands_keep_their_bytes() {
    let bodies: Vec<String> = asks()
        .iter()
        .map(|ask| {
            let (action, body) = wire::encode_call(7, ask).unwrap();
            format!("POST {action}\n{body}")
        })
        .collect();
    let all = asks();
    let frame: Vec<(u64, &Ask)> = (1..).zip(&all).collect();
    let first = wire::encode_frame(&frame[..1]);
    let frame = wire::encode_frame(&frame);
    insta::assert_snapshot!(
        "commands",
        format!("{}\n\none in a frame\n{first}\n\nall in a frame\n{frame}", bodies.join("\n\n"))
    );
}

#[test]
fn what_a_client_writes_the_object_reads() {
    let all = asks();
    for ask in &all {
        let (action, body) = wire::encode_call(7, ask).unwrap();
        let number = (action != "publish").then_some(7);
        let call = wire::Call { attempt: number.into(), command: Command::alone(ask.clone()) };
        assert_eq!(wire::decode_request(action, body.as_bytes()), Ok(call));
    }
    let calls: Vec<(u64, &Ask)> = (1..).zip(&all).collect();
    let read = wire::decode_frame(&wire::encode_frame(&calls), &connection()).unwrap();
    assert_eq!(read.len(), all.len());
    for (call, (number, ask)) in read.into_iter().zip(calls) {
        let command = Command::over(connection(), ask.clone());
        assert_eq!(call, Ok(wire::Call { attempt: Some(number).into(), command }));
    }
}

#[test]
fn a_connect_is_no_body_but_a_query() {
    let subscribe = |window, types: Option<&[&str]>, last_seen| Subscribe {
        agent: agent("ada & co"),
        session: SessionId::new("s1").unwrap(),
        window,
        types: types.map(patterns),
        last_seen,
    };
    let all = [
        subscribe(None, None, None),
        subscribe(Some(Window::DEFAULT), Some(&[]), None),
        subscribe(Window::new(1, 16 << 20), Some(&["task.*", "a,b", "*"]), Some(seq(3))),
    ];
    for subscribe in &all {
        assert_eq!(wire::encode_call(7, &subscribe.clone().into_ask()), None);
        assert_eq!(wire::encode_frame(&[(7, &subscribe.clone().into_ask())]), "[]");
        assert_eq!(
            wire::decode_subscribe(&wire::encode_subscribe(subscribe)).as_ref(),
            Ok(subscribe)
        );
    }
    let queries: Vec<String> = all.iter().map(wire::encode_subscribe).collect();
    insta::assert_snapshot!("queries", queries.join("\n"));
}

#[test]
fn replies_keep_their_bytes() {
    let answers: Vec<String> =
        replies().iter().map(|reply| shown(&wire::encode_reply(Some(7), reply))).collect();
    insta::assert_snapshot!("replies", answers.join("\n\n"));
}

#[test]
fn what_the_object_answers_a_client_reads() {
    for reply in replies() {
        for call in [None, Some(7)] {
            let answer = wire::encode_reply(call, &reply);
            assert_eq!(answer.status == 200, reply.answer.is_ok());
            let received = wire::decode_reply(answer.status, answer.body.as_bytes()).unwrap();
            assert_eq!(received, wire::Received { call, result: Ok(reply.clone()) });
        }
    }
}

/// Answers of older objects, which say less.
#[test]
fn what_an_older_object_answers_a_client_reads() {
    let commit = r#""commit":{"sequence":12,"now":1767225600000,"generation":1}"#;
    let older = [
        (
            r#""outcome":"subscribed","types":["note"]"#,
            Outcome::Subscribed { types: Some(patterns(&["note"])), resumed: true },
        ),
        (
            r#""outcome":"accepted","accepted":true,"seq":1843200000000001,"recipients":1,"refused":["bob"]"#,
            accepted(1, vec![agent("bob")], None, Vec::new()),
        ),
        (
            r#""outcome":"duplicate","accepted":true,"seq":1843200000000001,"duplicate":true"#,
            Outcome::Duplicate { seq: seq(1), recipients: None, refused: Vec::new() },
        ),
    ];
    for (members, outcome) in older {
        let body = format!("{{{members},{commit}}}");
        let received = wire::decode_reply(200, body.as_bytes()).unwrap();
        assert_eq!(received.result.map(|reply| reply.answer), Ok(Ok(outcome)), "{body}");
    }
}

#[test]
fn frames_keep_their_bytes() {
    let answers = [
        wire::encode_reply(Some(7), &reply(Ok(Outcome::Heard))),
        Problem::new(Code::Malformed, "What happened.").with_call(Some(8)).to_answer(),
    ];
    let connected = outcomes().into_iter().take(2).map(|outcome| reply(Ok(outcome)));
    let mut frames: Vec<String> =
        connected.map(|reply| wire::encode_connected(&reply).unwrap()).collect();
    frames.extend(notices().iter().map(|notice| wire::encode_push(notice).unwrap()));
    frames.push(frame::share(&[frame::replies(&answers), frames[2].clone(), frames[5].clone()]));
    insta::assert_snapshot!("frames", frames.join("\n\n"));
}

#[test]
fn what_the_object_sends_unasked_a_client_reads() {
    for notice in notices() {
        let text = wire::encode_push(&notice).unwrap();
        assert_eq!(wire::decode_server_frame(&text), [ServerFrame::Notice(notice)]);
    }
    for reply in replies() {
        match wire::encode_connected(&reply) {
            Some(text) => {
                assert_eq!(wire::decode_server_frame(&text), [ServerFrame::Connected(reply)]);
            }
            None => assert!(!matches!(reply.answer, Ok(Outcome::Connected { .. }))),
        }
    }
}

#[test]
fn the_end_of_a_session_is_a_close_and_no_frame() {
    let reasons = [
        CloseReason::Replaced,
        CloseReason::TakenOver,
        CloseReason::Reopen,
        CloseReason::Crowded,
        CloseReason::Disconnected,
        CloseReason::Forgotten,
    ];
    assert!(reasons.iter().all(|reason| wire::encode_push(&Notice::Closed(*reason)).is_none()));
    assert_eq!(reasons.map(|reason| wire::close(reason).0), [4001, 1000, 1012, 1012, 1000, 1012]);
    assert!(reasons.iter().all(|reason| !wire::close(*reason).1.is_empty()));
}

#[test]
fn what_the_original_sends_is_understood() {
    let body = r#"{"id":"m1","type":"task","from":"ada","payload":{"a":[1]},"timestamp":"now"}"#;
    let sent = |message: Message| Ask::Send { to: agent("bob"), message, must_know: false };
    for (action, body, ask) in [
        ("publish", body.to_owned(), Ask::Publish { message: message(body) }),
        ("send", format!(r#"{{"targetAgent":"bob","message":{body}}}"#), sent(message(body))),
        (
            "acknowledge",
            r#"{"messageId":"m1","agentId":"ada"}"#.to_owned(),
            Ask::Ack { agent: ada(), what: Settled::Id(MessageId::new("m1").unwrap()) },
        ),
    ] {
        let call = wire::decode_request(action, body.as_bytes()).unwrap();
        assert_eq!(call, wire::Call { attempt: None.into(), command: Command::alone(ask) });
    }
    let types = patterns(&["task"]);
    for (action, ask) in [
        ("subscribe", Ask::Subscribe { agent: ada(), types: types.clone() }),
        ("unsubscribe", Ask::Unsubscribe { agent: ada(), types }),
    ] {
        let frame = format!(r#"{{"action":"{action}","type":"task"}}"#);
        let call = wire::Call { attempt: None.into(), command: Command::over(connection(), ask) };
        assert_eq!(wire::decode_original_frame(&frame, &connection()), Ok(call.clone()));
        assert_eq!(wire::decode_frame(&frame, &connection()), Ok(vec![Ok(call)]));
    }
    let query = wire::decode_subscribe("agentId=ada").unwrap();
    let ask = Ask::Connect {
        agent: ada(),
        session: SessionId::original(),
        window: None,
        types: None,
        last_seen: None,
    };
    assert_eq!(query.into_ask(), ask);
}
