//! Bounds that no short history reaches, and that what an event costs does not grow with the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::{Logged, Open};
use mailbus_spec::mailbox::{
    Ask, Command, Connection, Delay, Fate, LimitKind, Message, Notice, Outcome, Pattern, Patterns,
    Rejection, Settled, Window,
};
use mailbus_spec::wire::mailbox::stored_message;
use mailbus_spec::{AgentId, HostTime, Ordinal, SessionId, StateMachine, Timestamp, limits};

use super::pair::{Pair, pair_of_runs, write_runs};
use super::storage::Noting;
use crate::machine::Machine;
use crate::mailbox::sql::log::RUN_MESSAGES;
use crate::sql::tests::NOON;
use crate::storage::{Storage, Value};

const STUFF: &str = "\
    WITH RECURSIVE number (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < ?2) \
    INSERT INTO log (seq, at, commit_no, sender, id, type, recipient, refused, need_ack, body) \
    SELECT ?1 + i, ?3, ?4, 'ann', NULL, 'a', ?5, ?6, 0, ?7 FROM number";

pub(super) fn name(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

pub(super) fn message(from: &str, payload: usize) -> Message {
    stored_message(&format!(r#"{{"from":"{from}","type":"a","payload":{payload}}}"#)).unwrap()
}

pub(super) fn send(from: &str, to: &str) -> Ask {
    Ask::Send { to: name(to), message: message(from, 0), must_know: false }
}

pub(super) fn subscribe(agent: &str, pattern: &str) -> Ask {
    let types = Patterns::from([Pattern::new(pattern).unwrap()]);
    Ask::Subscribe { agent: name(agent), types }
}

fn connect(agent: &str, window: Option<Window>) -> Ask {
    let (session, types) = (SessionId::new("s").unwrap(), Some(Patterns::new()));
    Ask::Connect { agent: name(agent), session, window, types, last_seen: None }
}

fn event(ask: Ask) -> Event<Command> {
    Event::Command(Command::alone(ask))
}

pub(super) fn answer(pair: &mut Pair, ms: u64, ask: Ask) -> Result<Outcome, Rejection> {
    pair.event(HostTime(NOON + ms), &event(ask)).reply.unwrap().answer
}

fn rows_of_log(pair: &mut Pair) -> usize {
    pair.machine.database.query("SELECT 1 FROM log", &[]).unwrap().len()
}

/// Messages to put into the log behind the backs of both.
pub(super) struct Stuff {
    pub count: u64,
    pub to: Option<&'static str>,
    pub refused: Option<&'static str>,
}

/// Adds messages to the log and to the model as if they had just been accepted; says which.
pub(super) fn stuff(pair: &mut Pair, stuff: &Stuff) -> Vec<Ordinal> {
    let Stuff { count, to, refused } = *stuff;
    let first = pair.model().last_seq.next(HostTime(NOON)).unwrap();
    let body = Arc::new(message("ann", 7));
    let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
    let parameters = [
        Value::Integer(i64::try_from(first.get()).unwrap()),
        Value::Integer(i64::try_from(count).unwrap()),
        Value::Integer(i64::try_from(pair.model().clock.floor.ms()).unwrap()),
        Value::Integer(i64::try_from(pair.model().sequence).unwrap()),
        text(to.map(str::to_owned)),
        text(refused.map(|name| format!("\n{name}\n"))),
        Value::Blob(body.body.as_bytes().to_vec()),
    ];
    pair.machine.database.execute(STUFF, &parameters).unwrap();
    let seqs: Vec<Ordinal> =
        (first.get()..first.get() + count).map(|seq| Ordinal::new(seq).unwrap()).collect();
    let refused: BTreeSet<AgentId> = refused.into_iter().map(name).collect();
    let to = to.map(name);
    for seq in &seqs {
        let (message, to, refused) = (Arc::clone(&body), to.clone(), refused.clone());
        let (at, recipients) = (pair.model().clock.floor, u64::from(refused.is_empty()));
        let logged = Logged { at, message, to, recipients, refused };
        pair.model_mut().log.entries.insert(*seq, logged);
    }
    pair.model_mut().log.bytes += body.bytes() * count;
    pair.model_mut().last_seq = *seqs.last().unwrap();
    if let Some(to) = to.filter(|_| refused.is_empty()) {
        let inbox = &mut pair.model_mut().agents.entry(to).or_default().inbox;
        let open = Open { bytes: body.bytes(), ..Open::default() };
        inbox.open.extend(seqs.iter().map(|seq| (*seq, open)));
        inbox.bytes += body.bytes() * count;
    }
    pair.evict();
    seqs
}

#[test]
fn there_are_so_many_agents_and_unknown_names_with_mail() {
    let mut pair = pair_of_runs(RUN_MESSAGES);
    for number in 0..limits::WORKSPACE_AGENTS {
        pair.quickly(HostTime(NOON), &event(subscribe(&format!("agent-{number}"), "b")));
    }
    for number in 0..limits::UNKNOWN_NAMES {
        pair.quickly(HostTime(NOON + 1), &event(send("ann", &format!("name-{number}"))));
    }
    let agents = Err(Rejection::Limit(LimitKind::Agents));
    for evicted in [false, true] {
        if evicted {
            pair.evict();
        }
        assert_eq!(answer(&mut pair, 1, subscribe("one-more", "b")), agents);
        assert_eq!(answer(&mut pair, 1, connect("one-more", None)), agents);
        // An ack would make a row of the name.
        let seq = *pair.model().log.entries.first_key_value().unwrap().0;
        let ack = Ask::Ack { agent: name("name-0"), what: Settled::Seqs(vec![seq]) };
        assert_eq!(answer(&mut pair, 1, ack), agents);
        let names = Err(Rejection::Limit(LimitKind::UnknownNames));
        assert_eq!(answer(&mut pair, 1, send("ann", "one-more")), names);
        assert!(answer(&mut pair, 1, send("ann", "name-0")).is_ok());
        assert!(answer(&mut pair, 1, send("ann", "agent-0")).is_ok());
        pair.check_memory();
    }
    // Room comes with forgetting, and the rows of the forgotten go with the log.
    answer(&mut pair, 2, Ask::Forget { agent: name("agent-0"), epoch: None }).unwrap();
    answer(&mut pair, 2, Ask::Forget { agent: name("name-0"), epoch: None }).unwrap();
    assert!(answer(&mut pair, 2, connect("one-more", None)).is_ok());
    assert!(answer(&mut pair, 2, send("ann", "name-1000")).is_ok());
    pair.check_memory();
    pair.event(HostTime(NOON + limits::RETENTION_MS + 10), &Event::Alarm);
    pair.check_memory();
    let left = pair.machine.database.query("SELECT agent FROM agent WHERE known = 0", &[]).unwrap();
    assert_eq!((rows_of_log(&mut pair), left.len()), (0, 0));
}

#[test]
fn an_agent_has_so_many_patterns_and_its_changes_leave_no_trace() {
    let mut pair = pair_of_runs(RUN_MESSAGES);
    for number in 0..limits::AGENT_PATTERNS {
        answer(&mut pair, 0, subscribe("bob", &format!("p{number}"))).unwrap();
    }
    let full = Err(Rejection::Limit(LimitKind::Patterns));
    assert_eq!(answer(&mut pair, 0, subscribe("bob", "one-more")), full);
    // Something is pending all the time, so each change ends a range that has to be known.
    for turn in 0..2 * crate::mailbox::sql::subscriptions::MOST_SPANS {
        let types = Patterns::from([Pattern::new("p0").unwrap()]);
        let message = message("ann", turn);
        answer(&mut pair, 1, Ask::Publish { message }).unwrap();
        answer(&mut pair, 1, Ask::Unsubscribe { agent: name("bob"), types }).unwrap();
        answer(&mut pair, 1, subscribe("bob", "p0")).unwrap();
    }
    pair.check_memory();
    let sizes = pair.machine.database.query("SELECT length(subs) FROM agent", &[]).unwrap();
    let Some([Value::Integer(size)]) = sizes.first().map(Vec::as_slice) else { panic!() };
    assert!(*size < 6_000, "the subscriptions have {size} bytes");
}

#[test]
fn an_inbox_holds_so_many_messages_and_silence_makes_room() {
    let mut pair = pair_of_runs(RUN_MESSAGES);
    answer(&mut pair, 0, subscribe("bob", "a")).unwrap();
    let accepted = |answer: Result<Outcome, Rejection>| match answer {
        Ok(Outcome::Accepted { refused, .. }) => refused.is_empty(),
        other => panic!("{other:?}"),
    };
    let published = || Ask::Publish { message: message("ann", 7) };
    let share = limits::INBOX_PUBLISHED_MESSAGES;
    stuff(&mut pair, &Stuff { count: share - 1, to: Some("bob"), refused: None });
    assert!(accepted(answer(&mut pair, 1, published())));
    assert!(!accepted(answer(&mut pair, 1, published())), "the rest is for what is sent to bob");
    let rest = limits::INBOX_MESSAGES - share - 1;
    stuff(&mut pair, &Stuff { count: rest, to: Some("bob"), refused: None });
    assert!(accepted(answer(&mut pair, 1, send("ann", "bob"))));
    assert!(!accepted(answer(&mut pair, 1, send("ann", "bob"))));
    pair.check_memory();
    // What a session that never acknowledges was pushed counts as settled, and is with what is recorded.
    answer(&mut pair, 2, connect("bob", None)).unwrap();
    assert!(accepted(answer(&mut pair, 3, send("ann", "bob"))));
    assert_eq!(pair.model().agents[&name("bob")].inbox.len(), limits::INBOX_MESSAGES);
    pair.check_memory();
    let redrive = Ask::Redrive { agent: name("bob"), seqs: vec![pair.model().last_seq] };
    answer(&mut pair, 4, redrive).unwrap();
    answer(&mut pair, 5, connect("bob", Some(Window::DEFAULT))).unwrap();
    assert_eq!(pair.model().agents[&name("bob")].inbox.len(), limits::INBOX_MESSAGES);
    pair.check_memory();
}

#[test]
fn the_newest_refusals_count_and_older_ones_when_there_is_room_again_whatever_failed() {
    let mut pair = pair_of_runs(RUN_MESSAGES);
    answer(&mut pair, 0, subscribe("bob", "b")).unwrap();
    let beyond = 30_u64;
    let count = limits::AGENT_REFUSED as u64 + beyond;
    let seqs = stuff(&mut pair, &Stuff { count, to: Some("bob"), refused: Some("bob") });
    let letters = || Ask::DeadLetters { agent: name("bob"), after: Ordinal::ZERO, limit: 1_000 };
    let oldest = |answer: Result<Outcome, Rejection>| match answer {
        Ok(Outcome::DeadLetters { letters, .. }) => (letters[0].seq, letters.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(oldest(answer(&mut pair, 1, letters())), (seqs[30], 1_000));
    // One fails that is older than all of them, once they are full again.
    answer(&mut pair, 1, Ask::Redrive { agent: name("bob"), seqs: seqs[1_000..].to_vec() })
        .unwrap();
    assert_eq!(oldest(answer(&mut pair, 1, letters())), (seqs[0], 1_000));
    pair.check_memory();
    answer(&mut pair, 1, Ask::Redrive { agent: name("bob"), seqs: vec![seqs[0]] }).unwrap();
    assert_eq!(oldest(answer(&mut pair, 1, letters())), (seqs[1], 999));
    pair.check_memory();
    stuff(&mut pair, &Stuff { count: 40, to: Some("bob"), refused: Some("bob") });
    die_of(&mut pair, 2, seqs[0]);
    assert_eq!(oldest(answer(&mut pair, 2, letters())), (seqs[0], 1_000));
    pair.check_memory();
    // Refusals that count no more are deleted with the rest, and what failed stays.
    pair.event(HostTime(NOON + limits::DEDUP_MS), &Event::Alarm);
    pair.check_memory();
    assert_eq!(oldest(answer(&mut pair, limits::DEDUP_MS, letters())), (seqs[0], 1_000));
    let dismiss = Ask::Ack { agent: name("bob"), what: Settled::Seqs(vec![seqs[0]]) };
    answer(&mut pair, limits::DEDUP_MS, dismiss).unwrap();
    assert!(pair.machine.database.query("SELECT 1 FROM dead", &[]).unwrap().is_empty());
    assert_eq!(oldest(answer(&mut pair, limits::DEDUP_MS, letters())), (seqs[40], 1_000));
    let redrive = Ask::Redrive { agent: name("bob"), seqs: seqs[40..60].to_vec() };
    answer(&mut pair, limits::DEDUP_MS, redrive).unwrap();
    assert_eq!(oldest(answer(&mut pair, limits::DEDUP_MS, letters())), (seqs[60], 980));
    pair.check_memory();
}

/// Has five runs of bob die of a message.
fn die_of(pair: &mut Pair, ms: u64, seq: Ordinal) {
    for _ in 0..limits::MAX_DELIVERIES {
        let connected = answer(pair, ms, connect("bob", Some(Window::DEFAULT))).unwrap();
        let Outcome::Connected { epoch, .. } = connected else { panic!("{connected:?}") };
        let live = Connection { agent: name("bob"), epoch };
        let working = Command::over(live.clone(), Ask::Working { agent: name("bob"), seq });
        pair.event(HostTime(NOON + ms), &Event::Command(working));
        answer(pair, ms, Ask::Disconnect { connection: live }).unwrap();
    }
}

#[test]
fn a_round_of_collection_is_eaten_in_bites() {
    let mut pair = pair_of_runs(RUN_MESSAGES);
    answer(&mut pair, 0, subscribe("bob", "b")).unwrap();
    let round = limits::COLLECTION_ROWS as u64;
    stuff(&mut pair, &Stuff { count: round + 100, to: None, refused: None });
    stuff(&mut pair, &Stuff { count: 3, to: Some("bob"), refused: None });
    stuff(&mut pair, &Stuff { count: round + 100, to: None, refused: None });
    let now = HostTime(NOON + limits::DEDUP_MS);
    for left in [round + 203, 203, 3, 3] {
        pair.event(now, &Event::Alarm);
        assert_eq!(rows_of_log(&mut pair) as u64, left);
        pair.check_memory();
    }
}

#[test]
fn a_log_of_a_million_messages_is_full() {
    let mut pair = pair_of_runs(RUN_MESSAGES);
    answer(&mut pair, 0, subscribe("bob", "a")).unwrap();
    stuff(&mut pair, &Stuff { count: limits::LOG_MESSAGES - 1, to: None, refused: None });
    // The model would look through all of it for its next alarm.
    let mut handle = |ask: Ask| {
        let host = HostTime(NOON + 1);
        let handled =
            pair.machine.machine.handle(&mut pair.machine.database, host, &event(ask)).unwrap();
        handled.step.reply.unwrap().answer
    };
    assert!(matches!(handle(send("ann", "bob")), Ok(Outcome::Accepted { .. })));
    assert_eq!(handle(send("ann", "bob")), Err(Rejection::Overloaded));
}

/// Lets one agent send another a message that it acknowledges, a few times; says which statements and
/// rows that took.
fn one_delivery(pair: &mut Pair, live: &Connection) -> (Vec<&'static str>, u64) {
    let mut storage = Noting { database: &mut pair.machine.database, asked: Vec::new() };
    let host = HostTime(NOON + 10);
    let mut handle = |command: Command| {
        let handled = pair.machine.machine.handle(&mut storage, host, &Event::Command(command));
        handled.unwrap()
    };
    let sent = handle(Command::alone(send("ann", "bob")));
    let Some(Notice::Message { seq, .. }) = sent.step.pushes.first().map(|push| &push.notice)
    else {
        panic!("{sent:?}");
    };
    let what = Settled::Seqs(vec![*seq]);
    let acked = handle(Command::over(live.clone(), Ask::Ack { agent: name("bob"), what }));
    assert_eq!((sent.rows, acked.rows), (1, 1));
    (storage.asked, sent.rows + acked.rows)
}

#[test]
fn a_delivery_costs_the_same_whatever_was_settled_before_and_whoever_settles_nothing() {
    let mut costs = Vec::new();
    for (settled, kept) in [(1, 1), (200_000, 5_000)] {
        let mut pair = pair_of_runs(RUN_MESSAGES);
        answer(&mut pair, 0, subscribe("slow", "a")).unwrap();
        let connected = answer(&mut pair, 0, connect("bob", Some(Window::DEFAULT))).unwrap();
        let Outcome::Connected { epoch, .. } = connected else { panic!("{connected:?}") };
        stuff(&mut pair, &Stuff { count: kept, to: Some("slow"), refused: None });
        stuff(&mut pair, &Stuff { count: settled, to: None, refused: None });
        write_runs(&mut pair);
        let live = Connection { agent: name("bob"), epoch };
        one_delivery(&mut pair, &live);
        costs.push((0..3).map(|_| one_delivery(&mut pair, &live)).collect::<Vec<_>>());
    }
    assert_eq!(costs[0], costs[1]);
    assert_eq!(costs[0][0], costs[0][2]);
}

/// An agent that is known has an epoch, and needs no other to acknowledge what it was sent.
#[test]
fn where_no_ordinal_is_left_those_who_are_known_go_on() {
    let mut pair = pair_of_runs(RUN_MESSAGES);
    answer(&mut pair, 0, subscribe("bob", "b")).unwrap();
    let sent = answer(&mut pair, 1, send("ann", "bob"));
    let Ok(Outcome::Accepted { seq, .. }) = sent else { panic!("{sent:?}") };
    let last = Value::Integer(i64::try_from(Ordinal::MAX.get()).unwrap());
    pair.machine.database.execute("UPDATE meta SET last_seq = ?1", &[last]).unwrap();
    pair.model_mut().last_seq = Ordinal::MAX;
    pair.evict();
    let none_left = Err(Rejection::Limit(LimitKind::Ordinals));
    assert_eq!(answer(&mut pair, 2, send("ann", "bob")), none_left);
    assert_eq!(answer(&mut pair, 2, subscribe("cid", "b")), none_left);
    assert!(answer(&mut pair, 2, subscribe("bob", "c")).is_ok());
    let ack = Ask::Ack { agent: name("bob"), what: Settled::Seqs(vec![seq]) };
    assert_eq!(answer(&mut pair, 2, ack), Ok(Outcome::Settled { settled: 1, unknown: 0 }));
}

#[test]
fn what_is_new_waits_while_as_many_are_delayed_as_may_be() {
    for (messages, most) in [(2, 1_024), (300, 1_200)] {
        new_ones_wait_behind(Window::new(messages, 16 << 20).unwrap(), most);
    }
}

fn new_ones_wait_behind(window: Window, most: u64) {
    let mut pair = pair_of_runs(RUN_MESSAGES);
    let connected = answer(&mut pair, 0, connect("bob", Some(window))).unwrap();
    let Outcome::Connected { epoch, .. } = connected else { panic!("{connected:?}") };
    let live = Connection { agent: name("bob"), epoch };
    let pushed = |step: &mailbus_spec::mailbox::MailboxStep| {
        step.pushes.iter().filter(|push| matches!(push.notice, Notice::Message { .. })).count()
    };
    for number in 0..most {
        let Ok(Outcome::Accepted { seq, .. }) = answer(&mut pair, 1, send("ann", "bob")) else {
            panic!("it was accepted");
        };
        // The first of them is due first.
        let delay = Delay::from_ms(60_000 + number).unwrap();
        let nack = Ask::Nack { agent: name("bob"), seq, fence: None, delay };
        let event = Event::Command(Command::over(live.clone(), nack));
        let step = pair.event(HostTime(NOON + 1), &event);
        let due = Fate::Due { at: step.reply.as_ref().unwrap().commit.now.plus_ms(delay.ms()) };
        assert_eq!(step.reply.unwrap().answer, Ok(Outcome::Returned(due)));
    }
    pair.check_memory();
    let new = Event::Command(Command::alone(send("ann", "bob")));
    assert_eq!(pushed(&pair.event(HostTime(NOON + 2), &new)), 0, "it waits");
    assert_eq!(pair.model().next_alarm(), Some(Timestamp::from_ms(NOON + 60_001).unwrap()));
    assert_eq!(pushed(&pair.event(HostTime(NOON + 60_001), &Event::Alarm)), 2, "one is due");
    pair.check_memory();
}
