//! Goal: no answer is as long as there are other people's things, and none is too long for a frame.
//!
//! Method: the longest of each kind is built out of names that JSON doubles, and compared with its bound
//! in [`limits::answers`]. That all bounds together fit into a frame is asserted where they stand.

use std::collections::BTreeSet;

use mailbus_spec::lease::answer::{LeaseEntry, Notice};
use mailbus_spec::lease::{self, Blocker, HeldBy, LeaseReply, TicketEntry};
use mailbus_spec::limits::{self, answers};
use mailbus_spec::machine::{Commit, Reply};
use mailbus_spec::mailbox::{
    self, AgentEntry, DeadLetter, DeadReason, Fate, Gap, MailboxReply, Message, Pattern, Patterns,
    Pending,
};
use mailbus_spec::wire::mailbox::{decode_message, encode_connected};
use mailbus_spec::wire::{self, Dialect, Problem};
use mailbus_spec::{
    AgentId, Holder, HostTime, LeasePath, Ordinal, PathSet, RequestId, SessionId, Timestamp, Ttl,
};

/// A text of `bytes` bytes that JSON makes as long as it can, ending in `number`.
fn quotes(bytes: usize, number: usize) -> String {
    let number = number.to_string();
    format!("{}{number}", "\"".repeat(bytes - number.len()))
}

fn agent(number: usize) -> AgentId {
    AgentId::new(quotes(limits::ID_MAX_BYTES, number)).unwrap()
}

fn holder(number: usize) -> Holder {
    let session = SessionId::new(quotes(limits::ID_MAX_BYTES, number)).unwrap();
    Holder { agent: agent(number), session }
}

fn path(bytes: usize, number: usize) -> LeasePath {
    LeasePath::new(&quotes(bytes, number)).unwrap()
}

fn paths() -> PathSet {
    let path = |number| path(limits::PATH_MAX_BYTES, number);
    PathSet::new((0..limits::CLAIM_MAX_PATHS).map(path).collect()).unwrap()
}

fn at() -> Timestamp {
    Timestamp::MAX
}

fn gap() -> Gap {
    Gap { count: u64::MAX, first: Ordinal::MAX, last: Ordinal::MAX, through: u64::MAX }
}

fn patterns() -> Patterns {
    let pattern = |number| Pattern::new(quotes(limits::TYPE_MAX_BYTES, number)).unwrap();
    (0..limits::AGENT_PATTERNS).map(pattern).collect()
}

/// A message of exactly this many bytes that is kept without an id.
fn message(bytes: usize) -> Message {
    let empty = r#"{"from":"a","type":"t","payload":""}"#.len();
    let payload = "x".repeat(bytes - empty);
    decode_message(&format!(r#"{{"from":"a","type":"t","payload":"{payload}"}}"#), None).unwrap()
}

fn commit() -> Commit {
    Commit { sequence: u64::MAX, now: at(), generation: u64::MAX }
}

fn lease_answer(answer: Result<lease::Outcome, lease::Rejection>) -> usize {
    let reply: LeaseReply = Reply { answer, commit: commit() };
    let dialects = [Dialect::Mailbus, Dialect::Original];
    let bytes = |dialect| wire::lease::encode_reply(Some(u64::MAX), dialect, &reply).body.len();
    dialects.map(bytes).into_iter().max().unwrap()
}

fn mail_answer(answer: Result<mailbox::Outcome, mailbox::Rejection>) -> usize {
    let reply: MailboxReply = Reply { answer, commit: commit() };
    wire::mailbox::encode_reply(Some(u64::MAX), &reply).body.len()
}

/// A bound holds and is no more than it has to be: what it is for comes to at least half of it.
fn assert_within(what: &str, bytes: usize, bound: usize) {
    println!("{what}: {bytes} of {bound} bytes");
    assert!(bytes <= bound, "{what}: {bytes} of {bound} bytes");
    assert!(2 * bytes >= bound, "{what}: {bytes} of {bound} bytes are far below");
}

#[test]
fn the_longest_page_of_leases_is_within_its_bound() {
    let names = limits::LIST_MAX_BYTES / limits::LIST_MAX;
    let entry = |number: usize| LeaseEntry {
        path: path(names - 2, number),
        holder: Holder { agent: AgentId::new("a").unwrap(), session: SessionId::new("s").unwrap() },
        token: Ordinal::MAX,
        expires_at: at(),
        draining: false,
    };
    let leases: Vec<LeaseEntry> = (0..limits::LIST_MAX).map(entry).collect();
    let named: usize = leases.iter().map(LeaseEntry::name_bytes).sum();
    assert!(named <= limits::LIST_MAX_BYTES);
    let bytes = lease_answer(Ok(lease::Outcome::Leases { leases, more: false }));
    assert_within("a page of leases", bytes, answers::LEASES);
}

#[test]
fn the_longest_page_of_agents_is_within_its_bound() {
    // As many patterns as they may have, so that quotes and commas count.
    let pattern = |number: usize| Pattern::new(format!("\"\"{number:02}")).unwrap();
    let types: Patterns = (0..limits::AGENT_PATTERNS).map(pattern).collect();
    let entry = |number: usize| AgentEntry {
        agent: AgentId::new(format!("{number:05}")).unwrap(),
        epoch: Ordinal::MAX,
        types: Some(types.clone()),
        pending: u64::MAX,
    };
    let agents: Vec<AgentEntry> = (0..limits::LIST_MAX).map(entry).collect();
    let named: u64 = agents.iter().map(AgentEntry::name_bytes).sum();
    assert!(named <= limits::LIST_MAX_BYTES as u64);
    let bytes = mail_answer(Ok(mailbox::Outcome::Agents { agents, more: true }));
    assert_within("a page of agents", bytes, answers::AGENTS);
}

#[test]
fn the_longest_page_of_mail_is_within_its_bound() {
    let each = usize::try_from(limits::PAGE_BYTES).unwrap() / limits::LIST_MAX;
    let pending = Pending { seq: Ordinal::MAX, redriven: true, message: message(each) };
    let messages = vec![pending; limits::LIST_MAX];
    let bytes = mail_answer(Ok(mailbox::Outcome::Inbox {
        messages,
        complete_through: Ordinal::MAX,
        gap: Some(gap()),
        refused: u64::MAX,
    }));
    assert_within("a page of an inbox", bytes, answers::PAGE);
    let letter = DeadLetter {
        seq: Ordinal::MAX,
        reason: DeadReason::Refused,
        attempts: u64::MAX,
        at: at(),
        message: message(each),
    };
    let letters = vec![letter; limits::LIST_MAX];
    let bytes = mail_answer(Ok(mailbox::Outcome::DeadLetters { letters, more: false }));
    assert_within("a page of dead letters", bytes, answers::PAGE);
}

#[test]
fn the_largest_claim_that_is_told_is_within_its_bound() {
    for by in [HeldBy::Lease, HeldBy::Ticket, HeldBy::Own] {
        let blocker = Blocker {
            by,
            holder: holder(1),
            paths: paths(),
            until: at(),
            queue: u64::MAX,
            arrival: Some(u64::MAX),
        };
        let bytes = lease_answer(Err(lease::Rejection::Held(blocker)));
        assert_within("what is in the way", bytes, answers::CLAIM);
    }
    let lease = LeaseEntry {
        path: path(limits::PATH_MAX_BYTES, 1),
        holder: holder(1),
        token: Ordinal::MAX,
        expires_at: at(),
        draining: false,
    };
    let held = lease::Outcome::Held { lease, paths: paths(), queue: u64::MAX };
    assert_within("who holds a path", lease_answer(Ok(held)), answers::CLAIM);
    let ticket = TicketEntry {
        arrival: u64::MAX,
        holder: holder(1),
        request: RequestId::new("r".repeat(limits::ID_MAX_BYTES)).unwrap(),
        paths: paths(),
        deadline: at(),
    };
    let free = lease::Outcome::Free { queue: u64::MAX, reserved: Some(ticket) };
    assert_within("who goes first", lease_answer(Ok(free)), answers::CLAIM);
}

#[test]
fn the_longest_cycle_is_within_its_bound() {
    let cycle: Vec<Holder> = (0..limits::CYCLE_NAMED).map(holder).collect();
    let bytes = lease_answer(Err(lease::Rejection::Deadlock { cycle, length: u64::MAX }));
    assert_within("a cycle of waits", bytes, answers::DEADLOCK);
}

#[test]
fn the_longest_of_the_other_answers_of_mail_are_within_their_bounds() {
    let refused: Vec<AgentId> = (0..limits::WORKSPACE_AGENTS).map(agent).collect();
    let accepted = mailbox::Outcome::Accepted {
        seq: Ordinal::MAX,
        recipients: u64::MAX,
        refused: refused.clone(),
        known: None,
        near: Vec::new(),
    };
    assert_within("who has no room", mail_answer(Ok(accepted)), answers::ACCEPTED);
    let recipients = Some(u64::MAX);
    let again = mailbox::Outcome::Duplicate { seq: Ordinal::MAX, recipients, refused };
    assert_within("who had no room", mail_answer(Ok(again)), answers::ACCEPTED);
    let subscribed = mailbox::Outcome::Subscribed { types: Some(patterns()), resumed: false };
    assert_within("subscriptions", mail_answer(Ok(subscribed)), answers::SUBSCRIBED);
}

/// Answers that count nothing take no more than [`answers::REST`].
#[test]
fn every_other_answer_is_short() {
    let leases = [
        lease::Outcome::Granted {
            token: Ordinal::MAX,
            expires_at: at(),
            ttl: Ttl::from_ms(limits::TTL_MAX_MS).unwrap(),
        },
        lease::Outcome::Queued { position: u64::MAX },
        lease::Outcome::Over { reason: lease::OverReason::Cancelled, token: Some(Ordinal::MAX) },
        lease::Outcome::Renewed { expires_at: at(), waiting: u64::MAX, draining: true },
        lease::Outcome::Released,
        lease::Outcome::Cancelled,
        lease::Outcome::Free { queue: u64::MAX, reserved: None },
        lease::Outcome::Current { expires_at: at() },
        lease::Outcome::Stale,
        lease::Outcome::Recovered,
    ];
    let refusals = [
        lease::Rejection::Conflict,
        lease::Rejection::Limit(lease::LimitKind::WorkspaceRemembered),
        lease::Rejection::Limit(lease::LimitKind::Tokens),
        lease::Rejection::Lost,
        lease::Rejection::Clock(HostTime(u64::MAX)),
    ];
    let mail = [
        mailbox::Outcome::Connected {
            epoch: Ordinal::MAX,
            resumed: false,
            gap: Some(gap()),
            refused: u64::MAX,
        },
        mailbox::Outcome::Disconnected,
        mailbox::Outcome::Sent,
        mailbox::Outcome::Settled { settled: u64::MAX, unknown: u64::MAX },
        mailbox::Outcome::Returned(Fate::Due { at: at() }),
        mailbox::Outcome::Noted { known: false },
        mailbox::Outcome::Heard,
        mailbox::Outcome::Redriven { redriven: u64::MAX, unknown: u64::MAX, refused: u64::MAX },
        mailbox::Outcome::Forgotten { known: false },
        mailbox::Outcome::Recovered,
    ];
    let mail_refusals = [
        mailbox::Rejection::Conflict,
        mailbox::Rejection::Replaced,
        mailbox::Rejection::Ahead { last: Ordinal::MAX },
        mailbox::Rejection::Limit(mailbox::LimitKind::UnknownNameMessages),
        mailbox::Rejection::Overloaded,
        mailbox::Rejection::Clock(HostTime(u64::MAX)),
    ];
    let connected = Reply { answer: Ok(mail[0].clone()), commit: commit() };
    let connected = encode_connected(&connected).unwrap().len();
    let leases = leases.into_iter().map(Ok).chain(refusals.into_iter().map(Err));
    let mail = mail.into_iter().map(Ok).chain(mail_refusals.into_iter().map(Err));
    let bytes = leases.map(lease_answer).chain(mail.map(mail_answer)).chain([connected]);
    for (index, bytes) in bytes.enumerate() {
        assert!(bytes <= answers::REST, "answer {index}: {bytes} bytes");
    }
}

#[test]
fn the_longest_list_of_ignored_members_is_within_its_bound() {
    let name = |number: usize| format!("{}{number}", "\u{1}".repeat(2 * limits::EXCERPT_CHARS));
    let others: Vec<String> = (0..2 * limits::IGNORED_NAMED)
        .map(|number| format!("{}:1", serde_json::to_string(&name(number)).unwrap()))
        .collect();
    let body = format!(r#"{{"file":"a",{}}}"#, others.join(","));
    let decoded = wire::lease::decode_request("status", body.as_bytes()).unwrap();
    let reply = Reply { answer: Ok(lease::Outcome::Stale), commit: commit() };
    let answer = wire::lease::encode_reply(None, Dialect::Mailbus, &reply);
    let bytes = answer.body.len();
    let longer = answer.with_ignored(&decoded.attempt.ignored).body.len();
    assert_within("ignored members", longer - bytes, answers::IGNORED);
}

#[test]
fn the_longest_push_is_within_its_bound() {
    let pushed = wire::mailbox::encode_push(&mailbox::Notice::Message {
        seq: Ordinal::MAX,
        attempt: u64::MAX,
        redriven: true,
        message: message(limits::MESSAGE_MAX_BYTES),
    });
    assert_within("a message", pushed.unwrap().len(), answers::DELIVERY);
    let gap = wire::mailbox::encode_push(&mailbox::Notice::Gap(gap())).unwrap();
    assert!(gap.len() <= answers::NOTICE);
    let reason = "\u{1}".repeat(limits::REASON_MAX_BYTES);
    let forced = Notice::Forced { token: Ordinal::MAX, reason, drain: false };
    assert_within("a reason", wire::lease::encode_push(&forced).len(), answers::NOTICE);
    let granted = Notice::Granted {
        request: RequestId::new(quotes(limits::ID_MAX_BYTES, 1)).unwrap(),
        token: Ordinal::MAX,
        expires_at: at(),
        ttl: Ttl::from_ms(limits::QUEUED_TERM_MS).unwrap(),
    };
    assert!(wire::lease::encode_push(&granted).len() <= answers::NOTICE);
}

/// Everything that a member can be and should not, to every action, with a call number as long as it gets.
#[test]
fn the_refusal_of_what_was_not_executed_is_within_its_bound() {
    let (name, own) = (quotes(limits::ID_MAX_BYTES, 1), holder(2));
    let text = |count: usize| serde_json::to_string(&"\u{1}".repeat(count)).unwrap();
    let odd = [
        "-1".to_owned(),
        "[]".to_owned(),
        "true".to_owned(),
        "\"\"".to_owned(),
        text(20),
        text(2_000),
        serde_json::to_string(&name).unwrap(),
        serde_json::to_string(&"\"\\".repeat(1_000)).unwrap(),
        serde_json::to_string(&"\u{10ffff}".repeat(1_000)).unwrap(),
        format!("[{}]", vec![text(100); 100].join(",")),
        format!("{{{}:1}}", text(100)),
    ];
    let members = [
        "action",
        "agentId",
        "session",
        "request",
        "paths",
        "file",
        "path",
        "ttlMs",
        "waitMs",
        "token",
        "reason",
        "drain",
        "prefix",
        "after",
        "limit",
        "atLeast",
        "message",
        "targetAgent",
        "to",
        "messageId",
        "seqs",
        "upTo",
        "gap",
        "seq",
        "delayMs",
        "add",
        "remove",
        "type",
        "epoch",
    ];
    let actions = [
        "acquire",
        "renew",
        "release",
        "cancel",
        "status",
        "list",
        "verify",
        "force-release",
        "recover",
        "publish",
        "send",
        "acknowledge",
        "nack",
        "working",
        "inbox",
        "subscriptions",
        "subscribe",
        "agents",
        "heartbeat",
        "dead-letters",
        "redrive",
        "disconnect",
        "forget",
    ];
    let connection = mailbox::Connection { agent: own.agent.clone(), epoch: Ordinal::MAX };
    let mut longest = (0, String::new());
    let mut seen = BTreeSet::new();
    let mut look = |problem: &Problem| {
        let body = problem.to_json();
        seen.insert(problem.code);
        if body.len() > longest.0 {
            longest = (body.len(), body);
        }
    };
    for action in actions {
        for member in members {
            for value in &odd {
                let body =
                    format!(r#"{{"call":{},"action":"{action}","{member}":{value}}}"#, u64::MAX);
                let body = match member {
                    "action" => format!(r#"{{"call":{},"action":{value}}}"#, u64::MAX),
                    _ => body,
                };
                for call in wire::lease::decode_frame(&body, Some(&own)).into_iter().flatten() {
                    call.err().iter().for_each(&mut look);
                }
                for call in wire::mailbox::decode_frame(&body, &connection).into_iter().flatten() {
                    call.err().iter().for_each(&mut look);
                }
            }
        }
    }
    let (bytes, body) = longest;
    let shown: String = body.chars().take(1_000).collect();
    println!("{bytes} of {}: {shown}", answers::NOT_EXECUTED);
    assert!(bytes <= answers::NOT_EXECUTED, "{bytes} bytes: {shown}");
    assert!(seen.len() >= 5, "{seen:?}");
}
