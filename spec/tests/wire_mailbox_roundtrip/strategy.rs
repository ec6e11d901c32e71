//! Random values of everything that the mailbox's wire says.

use mailbus_spec::mailbox::{
    AgentEntry, Ask, Connection, DeadLetter, DeadReason, Delay, Fate, Fence, Gap, LimitKind,
    MailboxReply, Message, MessageId, Notice, Outcome, Pattern, Patterns, Pending, Rejection,
    Settled, Window,
};
use mailbus_spec::time::{HOST_END_MS, HOST_FIRST_MS};
use mailbus_spec::wire::mailbox::{Subscribe, decode_message};
use mailbus_spec::{AgentId, Commit, HostTime, Ordinal, Reply, SessionId, Timestamp};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const NAME: &str = r#"[^\p{Cc}]{1,20}|["\\/\u{2028}é🦀]{1,8}"#;

pub fn some_agent() -> impl Strategy<Value = AgentId> {
    NAME.prop_map(|text| AgentId::new(text).unwrap())
}

fn seq() -> impl Strategy<Value = Ordinal> {
    (0..=Ordinal::MAX.get()).prop_map(|value| Ordinal::new(value).unwrap())
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (0..=Timestamp::MAX.ms()).prop_map(|ms| Timestamp::from_ms(ms).unwrap())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        Just(Pattern::everything()),
        "[^\\p{Cc}$*][^\\p{Cc}*]{0,9}".prop_map(|text| Pattern::new(text).unwrap()),
        "[a-z]{1,5}\\.\\*".prop_map(|text| Pattern::new(text).unwrap()),
    ]
}

fn patterns() -> impl Strategy<Value = Patterns> {
    btree_set(pattern(), 0..5)
}

/// Any JSON, with white space where it may be.
fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        select(vec!["null", "true", "0", "-1.50e+3", "1e999", "{}", "[ ]", "\"\\ud800\""])
            .prop_map(String::from),
        ".{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(" , "))),
            vec(("[a-z\"]{0,3}", inner), 0..3).prop_map(|items| object(&items)),
        ]
    })
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{} :\n{value} ", serde_json::to_string(name).unwrap()))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A message of this sender, in any order of its members, with others among them.
fn message_of(from: AgentId) -> impl Strategy<Value = Message> {
    let kind = "[^\\p{Cc}$*][^\\p{Cc}*]{0,9}|heartbeat";
    let known = (
        kind,
        option::of(NAME),
        option::of(json()),
        option::of(any::<bool>()),
        option::of(any::<bool>()),
        any::<bool>(),
    );
    let others = vec(("[a-z\"]{0,3}|seq|attempt|redriven|replies|code|call", json()), 0..4);
    (known, others).prop_flat_map(move |((kind, id, payload, ack, ephemeral, named), others)| {
        let text = |text: &str| serde_json::to_string(text).unwrap();
        let mut members = others.clone();
        members.retain(|(name, _)| !["id", "from", "type"].contains(&name.as_str()));
        members.push(("type".into(), text(&kind)));
        members.extend(id.as_ref().map(|id| ("id".into(), text(id))));
        members.extend(payload.clone().map(|payload| ("payload".into(), payload)));
        members.extend(ack.map(|ack| ("ackRequired".into(), ack.to_string())));
        members.extend(ephemeral.map(|ephemeral| ("ephemeral".into(), ephemeral.to_string())));
        members.extend(named.then(|| ("from".into(), text(from.as_str()))));
        let from = from.clone();
        Just(members)
            .prop_shuffle()
            .prop_map(move |members| decode_message(&object(&members), Some(&from)).unwrap())
    })
}

pub fn message() -> impl Strategy<Value = Message> {
    some_agent().prop_flat_map(message_of)
}

pub fn connection() -> impl Strategy<Value = Connection> {
    (some_agent(), seq()).prop_map(|(agent, epoch)| Connection { agent, epoch })
}

fn settled() -> impl Strategy<Value = Settled> {
    prop_oneof![
        vec(seq(), 0..5).prop_map(Settled::Seqs),
        seq().prop_map(Settled::UpTo),
        NAME.prop_map(|text| Settled::Id(MessageId::new(text).unwrap())),
        any::<u64>().prop_map(Settled::Gap),
    ]
}

fn delay() -> impl Strategy<Value = Delay> {
    (0..=86_400_000_u64).prop_map(|ms| Delay::from_ms(ms).unwrap())
}

fn fence() -> impl Strategy<Value = Fence> {
    (seq(), any::<u64>()).prop_map(|(epoch, attempt)| Fence { epoch, attempt })
}

/// Commands of the agent over its socket, and so over HTTP too.
fn agents() -> impl Strategy<Value = Vec<AgentId>> {
    vec(some_agent(), 0..3)
}

pub fn ask_of(agent: AgentId) -> impl Strategy<Value = Ask> {
    let own = || Just(agent.clone());
    prop_oneof![
        (own(), seq())
            .prop_map(|(agent, epoch)| Ask::Disconnect { connection: Connection { agent, epoch } }),
        (own(), patterns()).prop_map(|(agent, types)| Ask::Subscribe { agent, types }),
        (own(), patterns()).prop_map(|(agent, types)| Ask::Unsubscribe { agent, types }),
        message_of(agent.clone()).prop_map(|message| Ask::Publish { message }),
        (some_agent(), message_of(agent.clone()), any::<bool>())
            .prop_map(|(to, message, must_know)| Ask::Send { to, message, must_know }),
        (own(), settled()).prop_map(|(agent, what)| Ask::Ack { agent, what }),
        (own(), seq(), option::of(fence()), delay())
            .prop_map(|(agent, seq, fence, delay)| Ask::Nack { agent, seq, fence, delay }),
        (own(), seq()).prop_map(|(agent, seq)| Ask::Working { agent, seq }),
        (own(), seq(), 1..=1_000_usize).prop_map(|(agent, after, limit)| Ask::Inbox {
            agent,
            after,
            limit
        }),
        (option::of(some_agent()), 1..=1_000_usize)
            .prop_map(|(after, limit)| Ask::Agents { after, limit }),
        own().prop_map(|agent| Ask::Heartbeat { agent }),
        (own(), seq(), 1..=1_000_usize).prop_map(|(agent, after, limit)| Ask::DeadLetters {
            agent,
            after,
            limit
        }),
        (own(), vec(seq(), 0..5)).prop_map(|(agent, seqs)| Ask::Redrive { agent, seqs }),
        (some_agent(), option::of(seq())).prop_map(|(agent, epoch)| Ask::Forget { agent, epoch }),
        (HOST_FIRST_MS << 10..HOST_END_MS << 10)
            .prop_map(|value| Ask::Recover { at_least: Ordinal::new(value).unwrap() }),
    ]
}

fn gap() -> impl Strategy<Value = Gap> {
    (any::<u64>(), seq(), seq(), any::<u64>()).prop_map(|(count, first, last, through)| Gap {
        count,
        first,
        last,
        through,
    })
}

fn pending() -> impl Strategy<Value = Pending> {
    (seq(), any::<bool>(), message()).prop_map(|(seq, redriven, message)| Pending {
        seq,
        redriven,
        message,
    })
}

fn letter() -> impl Strategy<Value = DeadLetter> {
    let reason = select(vec![DeadReason::Failed, DeadReason::Refused]);
    (seq(), reason, any::<u64>(), instant(), message()).prop_map(
        |(seq, reason, attempts, at, message)| DeadLetter { seq, reason, attempts, at, message },
    )
}

fn entry() -> impl Strategy<Value = AgentEntry> {
    (some_agent(), seq(), option::of(patterns()), any::<u64>())
        .prop_map(|(agent, epoch, types, pending)| AgentEntry { agent, epoch, types, pending })
}

pub fn connected() -> impl Strategy<Value = Outcome> {
    (seq(), any::<bool>(), option::of(gap()), any::<u64>()).prop_map(
        |(epoch, resumed, gap, refused)| Outcome::Connected { epoch, resumed, gap, refused },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let pages = prop_oneof![
        (vec(pending(), 0..3), seq(), option::of(gap()), any::<u64>()).prop_map(
            |(messages, complete_through, gap, refused)| Outcome::Inbox {
                messages,
                complete_through,
                gap,
                refused
            }
        ),
        (vec(letter(), 0..3), any::<bool>())
            .prop_map(|(letters, more)| Outcome::DeadLetters { letters, more }),
        (vec(entry(), 0..3), any::<bool>())
            .prop_map(|(agents, more)| Outcome::Agents { agents, more }),
    ];
    let fates = prop_oneof![
        instant().prop_map(|at| Fate::Due { at }),
        Just(Fate::Dead),
        Just(Fate::Unknown)
    ];
    prop_oneof![
        connected(),
        Just(Outcome::Disconnected),
        (option::of(patterns()), any::<bool>())
            .prop_map(|(types, resumed)| Outcome::Subscribed { types, resumed }),
        (seq(), any::<u64>(), agents(), option::of(any::<bool>()), agents()).prop_map(
            |(seq, recipients, refused, known, near)| {
                Outcome::Accepted { seq, recipients, refused, known, near }
            }
        ),
        (seq(), option::of(any::<u64>()), agents()).prop_map(|(seq, recipients, refused)| {
            Outcome::Duplicate { seq, recipients, refused }
        }),
        Just(Outcome::Sent),
        any::<(u64, u64)>().prop_map(|(settled, unknown)| Outcome::Settled { settled, unknown }),
        fates.prop_map(Outcome::Returned),
        any::<bool>().prop_map(|known| Outcome::Noted { known }),
        pages,
        Just(Outcome::Heard),
        any::<(u64, u64, u64)>().prop_map(|(redriven, unknown, refused)| Outcome::Redriven {
            redriven,
            unknown,
            refused
        }),
        any::<bool>().prop_map(|known| Outcome::Forgotten { known }),
        Just(Outcome::Recovered),
    ]
}

fn rejection() -> impl Strategy<Value = Rejection> {
    let kinds = vec![
        LimitKind::Agents,
        LimitKind::Patterns,
        LimitKind::UnknownNames,
        LimitKind::UnknownNameMessages,
        LimitKind::Ordinals,
    ];
    prop_oneof![
        agents().prop_map(|near| Rejection::UnknownAgent { near }),
        Just(Rejection::Conflict),
        Just(Rejection::Replaced),
        seq().prop_map(|last| Rejection::Ahead { last }),
        select(kinds).prop_map(Rejection::Limit),
        Just(Rejection::Overloaded),
        any::<u64>().prop_map(|ms| Rejection::Clock(HostTime(ms))),
    ]
}

pub fn commit() -> impl Strategy<Value = Commit> {
    (any::<u64>(), instant(), any::<u64>()).prop_map(|(sequence, now, generation)| Commit {
        sequence,
        now,
        generation,
    })
}

pub fn reply() -> impl Strategy<Value = MailboxReply> {
    let answer = prop_oneof![outcome().prop_map(Ok), rejection().prop_map(Err)];
    (answer, commit()).prop_map(|(answer, commit)| Reply { answer, commit })
}

pub fn notice() -> impl Strategy<Value = Notice> {
    prop_oneof![
        (seq(), any::<u64>(), any::<bool>(), message()).prop_map(
            |(seq, attempt, redriven, message)| Notice::Message { seq, attempt, redriven, message }
        ),
        message().prop_map(|message| Notice::Ephemeral { message }),
        gap().prop_map(Notice::Gap),
    ]
}

pub fn subscribe() -> impl Strategy<Value = Subscribe> {
    let session = prop_oneof![
        Just(SessionId::original()),
        NAME.prop_map(|text| SessionId::new(text).unwrap())
    ];
    let window = (1..=1_024_u64, 1..=16_777_216_u64)
        .prop_map(|(messages, bytes)| Window::new(messages, bytes).unwrap());
    (some_agent(), session, option::of(window), option::of(patterns()), option::of(seq())).prop_map(
        |(agent, session, window, types, last_seen)| Subscribe {
            agent,
            session,
            window,
            types,
            last_seen,
        },
    )
}

/// Something close enough to a command or a message to get past the first checks.
pub fn almost() -> impl Strategy<Value = String> {
    let names = [
        "action",
        "call",
        "agentId",
        "message",
        "targetAgent",
        "to",
        "messageId",
        "seqs",
        "upTo",
        "gap",
        "seq",
        "delayMs",
        "after",
        "limit",
        "add",
        "remove",
        "type",
        "epoch",
        "atLeast",
        "id",
        "from",
        "payload",
        "ackRequired",
        "ephemeral",
        "attempt",
        "redriven",
        "outcome",
        "code",
        "commit",
        "replies",
        "messages",
        "letters",
    ];
    let values = [
        "null",
        "true",
        "1",
        "-1",
        "1.5",
        "1e9",
        "1e999",
        "\"a\"",
        "\"\"",
        "[\"a\"]",
        "[1]",
        "[]",
        "{}",
        "\"publish\"",
        "\"acknowledge\"",
        "\"inbox\"",
        "\"dead_letters\"",
        "\"$replies\"",
        "\"$connected\"",
        "{\"type\":\"t\",\"from\":\"a\"}",
        "[{\"type\":\"t\",\"from\":\"a\",\"seq\":1}]",
        "{\"sequence\":1,\"now\":1,\"generation\":1}",
        "nul",
        "\"\\ud800\"",
    ];
    let space = select(vec!["", " ", "\n", ","]);
    vec((select(names.to_vec()), select(values.to_vec()), space), 0..8).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value, space)| format!("{space}\"{name}\":{value}{space}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}
