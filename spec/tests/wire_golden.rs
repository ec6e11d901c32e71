//! Goal: the bytes of every variant stay what they are. Method: one sample of each, written out and
//! compared with a reviewed snapshot; what a client writes is also read back by the object's side.
//!
//! A change of a snapshot is a change of the protocol: old clients meet new objects.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{
    Acquire, Blocker, Command, HeldBy, LeaseEntry, LeaseReply, LimitKind, Outcome, OverReason,
    Rejection, ReleaseTarget, TicketEntry,
};
use mailbus_spec::wire::{Answer, Code, Dialect, Problem, frame, lease as wire};
use mailbus_spec::{
    AgentId, Commit, Holder, HostTime, LeasePath, Ordinal, PathSet, Reply, RequestId, SessionId,
    Timestamp, Ttl, Wait,
};

const NOON: u64 = 1_800_000_000_000;

fn holder(agent: &str, session: &str) -> Holder {
    Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::new(session).unwrap() }
}

fn path(text: &str) -> LeasePath {
    LeasePath::new(text).unwrap()
}

fn paths(texts: &[&str]) -> PathSet {
    PathSet::new(texts.iter().copied().map(path).collect()).unwrap()
}

fn request(text: &str) -> RequestId {
    RequestId::new(text).unwrap()
}

fn token(index: u64) -> Ordinal {
    Ordinal::new((NOON << 10) + index).unwrap()
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_ms(NOON + ms).unwrap()
}

fn ttl(ms: u64) -> Ttl {
    Ttl::from_ms(ms).unwrap()
}

fn commands() -> Vec<Command> {
    let ada = || holder("ada", "s1");
    vec![
        Command::Acquire(
            Acquire::new(
                ada(),
                Some(request("r1")),
                paths(&["src/lib.rs", "Cargo.toml"]),
                ttl(30_000),
                Wait::from_ms(20_000),
            )
            .unwrap(),
        ),
        Command::Acquire(
            Acquire::new(holder("ada", ""), None, paths(&["src/lib.rs"]), ttl(1), None).unwrap(),
        ),
        Command::Renew { holder: ada(), token: token(0), ttl: ttl(86_400_000), drain: false },
        Command::Renew { holder: ada(), token: token(0), ttl: ttl(30_000), drain: true },
        Command::Release { holder: ada(), target: ReleaseTarget::Token(token(0)) },
        Command::Release {
            holder: holder("ada", ""),
            target: ReleaseTarget::Path(path("src/\"lib\".rs")),
        },
        Command::Cancel { holder: ada(), request: request("r1") },
        Command::Status { path: path("src/lib.rs") },
        Command::List { prefix: String::new(), after: None, limit: 100 },
        Command::List { prefix: "src/".into(), after: Some(path("src/lib.rs")), limit: 1 },
        Command::Verify { path: path("src/lib.rs"), token: token(0) },
        Command::ForceRelease { token: token(0), reason: "moved on".into(), drain: true },
        Command::Recover { at_least: token(7) },
        Command::Tickets { prefix: "src/".into(), after: 11, limit: 2 },
        Command::ForceTicket { arrival: 12, generation: NOON },
    ]
}

fn entry(text: &str) -> LeaseEntry {
    LeaseEntry {
        path: path(text),
        holder: holder("ada", "s1"),
        token: token(0),
        expires_at: at(30_000),
        draining: false,
    }
}

fn ticket() -> TicketEntry {
    TicketEntry {
        arrival: 12,
        holder: holder("bob", "s2"),
        request: request("r2"),
        paths: paths(&["Cargo.toml", "src/lib.rs"]),
        deadline: at(10_000),
    }
}

fn outcomes() -> Vec<Outcome> {
    let reasons = [
        OverReason::Released,
        OverReason::Lapsed,
        OverReason::Forced,
        OverReason::Cancelled,
        OverReason::TimedOut,
    ];
    let mut outcomes = vec![
        Outcome::Granted { token: token(0), expires_at: at(30_000), ttl: ttl(30_000) },
        Outcome::Queued { position: 0 },
        Outcome::Renewed { expires_at: at(30_000), waiting: 2, draining: false },
        Outcome::Renewed { expires_at: at(30_000), waiting: 0, draining: true },
        Outcome::Released,
        Outcome::Cancelled,
        Outcome::Free { queue: 0, reserved: None },
        Outcome::Free { queue: 1, reserved: Some(ticket()) },
        Outcome::Tickets { tickets: vec![ticket()], more: true },
        Outcome::Held {
            lease: entry("src/lib.rs"),
            paths: paths(&["Cargo.toml", "src/lib.rs"]),
            queue: 1,
        },
        Outcome::Leases { leases: Vec::new(), more: false },
        Outcome::Leases { leases: vec![entry("a"), entry("b")], more: true },
        Outcome::Current { expires_at: at(30_000) },
        Outcome::Stale,
        Outcome::Recovered,
        Outcome::Over { reason: OverReason::Lapsed, token: Some(token(0)) },
    ];
    outcomes.extend(reasons.map(|reason| Outcome::Over { reason, token: None }));
    outcomes
}

fn blocker(by: HeldBy) -> Blocker {
    Blocker {
        by,
        holder: holder("bob", "s2"),
        paths: paths(&["Cargo.toml", "src/lib.rs"]),
        until: at(30_000),
        queue: 3,
        arrival: (by == HeldBy::Ticket).then_some(12),
    }
}

fn rejections() -> Vec<Rejection> {
    let kinds = [
        LimitKind::WorkspaceClaims,
        LimitKind::WorkspacePaths,
        LimitKind::WorkspaceRemembered,
        LimitKind::AgentClaims,
        LimitKind::AgentPaths,
        LimitKind::AgentRemembered,
        LimitKind::Tokens,
        LimitKind::AgentTickets,
    ];
    let mut rejections =
        [HeldBy::Lease, HeldBy::Ticket, HeldBy::Own].map(blocker).map(Rejection::Held).to_vec();
    rejections.extend([
        Rejection::Deadlock { cycle: vec![holder("ada", "s1"), holder("bob", "")], length: 2 },
        Rejection::Deadlock { cycle: vec![holder("ada", "s1"), holder("bob", "")], length: 5_000 },
        Rejection::Conflict,
        Rejection::Lost,
        Rejection::Clock(HostTime(u64::MAX)),
    ]);
    rejections.extend(kinds.map(Rejection::Limit));
    rejections
}

fn replies() -> Vec<LeaseReply> {
    let commit = Commit { sequence: 12, now: at(0), generation: 1 };
    let outcomes = outcomes().into_iter().map(Ok);
    let rejections = rejections().into_iter().map(Err);
    outcomes.chain(rejections).map(|answer| Reply { answer, commit }).collect()
}

fn notices() -> Vec<Notice> {
    vec![
        Notice::Granted {
            request: request("r1"),
            token: token(0),
            expires_at: at(30_000),
            ttl: ttl(30_000),
        },
        Notice::Lapsed { token: token(0) },
        Notice::Forced { token: token(0), reason: "moved on".into(), drain: false },
    ]
}

fn shown(answer: &Answer) -> String {
    let retry = answer.retry_after.map(|s| format!(" retry-after {s}")).unwrap_or_default();
    format!("{}{retry}\n{}", answer.status, answer.body)
}

#[test]
fn commands_keep_their_bytes() {
    let bodies: Vec<String> = commands()
        .iter()
        .map(|command| {
            let (action, body) = wire::encode_call(7, command);
            format!("POST {action}\n{body}")
        })
        .collect();
    let all = commands();
    let frame: Vec<(u64, &Command)> = (1..).zip(&all).collect();
    let first = wire::encode_frame(&frame[..1]);
    let frame = wire::encode_frame(&frame);
    insta::assert_snapshot!(
        "commands",
        format!("{}\n\none in a frame\n{first}\n\nall in a frame\n{frame}", bodies.join("\n\n"))
    );
}

#[test]
fn replies_keep_their_bytes() {
    let answers: Vec<String> = replies()
        .iter()
        .map(|reply| shown(&wire::encode_reply(Some(7), Dialect::Mailbus, reply)))
        .collect();
    insta::assert_snapshot!("replies", answers.join("\n\n"));
}

#[test]
fn replies_to_the_original_keep_their_bytes() {
    let commit = Commit { sequence: 12, now: at(0), generation: 1 };
    let answers = [
        Ok(Outcome::Granted { token: token(0), expires_at: at(30_000), ttl: ttl(30_000) }),
        Err(Rejection::Held(blocker(HeldBy::Lease))),
        Err(Rejection::Limit(LimitKind::AgentClaims)),
        Ok(Outcome::Released),
        Err(Rejection::Lost),
        Ok(Outcome::Free { queue: 0, reserved: None }),
    ]
    .map(|answer| shown(&wire::encode_reply(None, Dialect::Original, &Reply { answer, commit })));
    insta::assert_snapshot!("replies_to_the_original", answers.join("\n\n"));
}

#[test]
fn problems_keep_their_bytes() {
    let problems: Vec<String> = Code::ALL
        .iter()
        .map(|&code| shown(&Problem::new(code, "What happened.").to_answer()))
        .chain([shown(&Problem::internal().with_call(Some(7)).to_answer())])
        .collect();
    insta::assert_snapshot!("problems", problems.join("\n\n"));
}

#[test]
fn frames_keep_their_bytes() {
    let commit = Commit { sequence: 12, now: at(0), generation: 1 };
    let reply = Reply { answer: Ok(Outcome::Cancelled), commit };
    let answers = [
        wire::encode_reply(Some(7), Dialect::Mailbus, &reply),
        Problem::new(Code::Malformed, "What happened.").with_call(Some(8)).to_answer(),
    ];
    let mut frames: Vec<String> = notices().iter().map(wire::encode_push).collect();
    frames.push(frame::replies(&answers));
    frames.push(frame::error(&Problem::new(Code::Malformed, "What happened.")));
    frames.push(frame::share(&[frame::replies(&answers[..1]), frames[0].clone()]));
    insta::assert_snapshot!("frames", frames.join("\n\n"));
}

#[test]
fn what_the_original_sends_is_understood() {
    let (ada, lib) = (holder("ada", ""), path("src/lib.rs"));
    let acquire = Acquire::new(ada.clone(), None, PathSet::one(lib.clone()), ttl(60_000), None);
    for (action, body, command) in [
        (
            "acquire",
            r#"{"file":"src/lib.rs","agentId":"ada","ttlMs":60000}"#,
            Command::Acquire(acquire.unwrap()),
        ),
        (
            "release",
            r#"{"file":"/src/./lib.rs","agentId":"ada"}"#,
            Command::Release { holder: ada, target: ReleaseTarget::Path(lib.clone()) },
        ),
        ("status", r#"{ "file" : "src/lib.rs" }"#, Command::Status { path: lib }),
    ] {
        let call = wire::decode_request(action, body.as_bytes()).unwrap();
        assert_eq!(call, wire::Call { attempt: None.into(), dialect: Dialect::Original, command });
    }
}

#[test]
fn every_code_is_read_back_from_its_text() {
    for code in Code::ALL {
        assert_eq!(code.as_str().parse(), Ok(*code));
        assert!(matches!(code.status(), 429 | 503) == code.retry_after().is_some());
    }
    assert!("teapot".parse::<Code>().is_err());
}
