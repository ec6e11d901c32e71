//! One mail session on a bench: readings, frames and what comes out.

use std::time::Duration;

pub use mailbus_client::session::Session;
use mailbus_client::session::mailbox::{Config, DeliveryId, Event, MailboxSession};
use mailbus_client::session::{Route, SocketNumber, SocketOrder};
use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{
    Ask, MailboxReply, Message, Notice, Outcome, Pattern, Rejection, Settled,
};
use mailbus_spec::wire::mailbox::decode_message;
use mailbus_spec::{AgentId, Commit, Ordinal, Reply, SessionId, Timestamp};

type Transmit = mailbus_client::session::Transmit<Ask>;
type Order = SocketOrder<Ask>;

pub fn at(ms: u64) -> Reading {
    Reading { monotonic: Duration::from_millis(ms), wall: Duration::from_millis(7_000_000 + ms) }
}

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub fn seq(number: u64) -> Ordinal {
    Ordinal::new(number).unwrap()
}

pub fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

/// A session that handles what is about `task`, and has not begun.
pub fn session() -> MailboxSession {
    session_with(Config::default())
}

pub fn session_with(config: Config) -> MailboxSession {
    let mut session = MailboxSession::new(agent("a"), SessionId::new("1").unwrap(), config, 7);
    session.serve(at(0), pattern("task"));
    session
}

pub fn message(kind: &str) -> Message {
    decode_message(&format!(r#"{{"id":"m","type":"{kind}","from":"b"}}"#), None).unwrap()
}

pub fn reply(answer: Result<Outcome, Rejection>) -> MailboxReply {
    reply_of(1, answer)
}

/// A reply of this life of the storage.
pub fn reply_of(generation: u64, answer: Result<Outcome, Rejection>) -> MailboxReply {
    let now = Timestamp::from_ms(1_000_000).unwrap();
    Reply { answer, commit: Commit { sequence: 1, now, generation } }
}

pub fn connected(epoch: u64) -> MailboxReply {
    let gap = None;
    reply(Ok(Outcome::Connected { epoch: seq(epoch), resumed: true, gap, refused: 0 }))
}

pub fn settled(count: u64) -> MailboxReply {
    reply(Ok(Outcome::Settled { settled: count, unknown: 0 }))
}

pub fn orders(session: &mut MailboxSession, ms: u64) -> Vec<Order> {
    std::iter::from_fn(|| session.poll_socket(at(ms))).collect()
}

/// The socket that the session wants opened at `ms`, and with what.
#[track_caller]
pub fn opens(session: &mut MailboxSession, ms: u64) -> (SocketNumber, Ask) {
    session.handle_timeout(at(ms));
    let mut opened = orders(session, ms).into_iter().filter_map(|order| match order {
        SocketOrder::Open { socket, connect } => Some((socket, connect)),
        _ => None,
    });
    opened.next().unwrap_or_else(|| panic!("no socket is opened at {ms}"))
}

/// Opens a socket at `ms` and has it greeted.
#[track_caller]
pub fn connect(session: &mut MailboxSession, ms: u64, epoch: u64) -> SocketNumber {
    let (socket, _) = opens(session, ms);
    session.handle_greeting(at(ms), socket, connected(epoch));
    socket
}

/// A session that is live since 0, under epoch 10, and has told so.
pub fn live() -> (MailboxSession, SocketNumber) {
    live_with(Config::default())
}

pub fn live_with(config: Config) -> (MailboxSession, SocketNumber) {
    let mut session = session_with(config);
    session.start(at(0), None);
    let socket = connect(&mut session, 0, 10);
    assert!(matches!(events(&mut session)[..], [Event::Connected { .. }]));
    (session, socket)
}

pub fn push(
    session: &mut MailboxSession,
    ms: u64,
    socket: SocketNumber,
    number: u64,
    attempt: u64,
) {
    push_of(session, ms, socket, number, attempt, "task");
}

pub fn push_of(
    session: &mut MailboxSession,
    ms: u64,
    socket: SocketNumber,
    number: u64,
    attempt: u64,
    kind: &str,
) {
    let (seq, redriven, message) = (seq(number), false, message(kind));
    session.handle_notice(at(ms), socket, Notice::Message { seq, attempt, redriven, message });
}

/// Everything due at `ms`.
pub fn sends(session: &mut MailboxSession, ms: u64) -> Vec<Transmit> {
    session.handle_timeout(at(ms));
    std::iter::from_fn(|| session.poll_transmit(at(ms))).collect()
}

#[track_caller]
pub fn sends_one(session: &mut MailboxSession, ms: u64) -> Transmit {
    let mut sent = sends(session, ms);
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

/// Lets time pass until something is sent; when, and what.
#[track_caller]
pub fn sends_next(session: &mut MailboxSession, from_ms: u64) -> (u64, Vec<Transmit>) {
    let mut now = from_ms;
    loop {
        let sent = sends(session, now);
        if !sent.is_empty() {
            return (now, sent);
        }
        orders(session, now);
        let due = session.poll_timeout().expect("something is due");
        let due_ms = u64::try_from(due.as_nanos().div_ceil(1_000_000)).unwrap();
        assert!(due_ms > now, "the timeout {due:?} does not lie after {now} ms");
        now = due_ms;
    }
}

pub fn names(sent: &[Transmit]) -> Vec<&'static str> {
    sent.iter().map(|transmit| transmit.command.name()).collect()
}

pub fn events(session: &mut MailboxSession) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// The deliveries among the events.
pub fn deliveries(session: &mut MailboxSession) -> Vec<DeliveryId> {
    let delivery = |event| match event {
        Event::Delivered { delivery, .. } => Some(delivery),
        _ => None,
    };
    events(session).into_iter().filter_map(delivery).collect()
}

#[track_caller]
pub fn delivery(session: &mut MailboxSession) -> DeliveryId {
    let mut all = deliveries(session);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The seqs that an ack names.
#[track_caller]
pub fn acked(transmit: &Transmit) -> Vec<u64> {
    match &transmit.command {
        Ask::Ack { what: Settled::Seqs(seqs), .. } => seqs.iter().map(|seq| seq.get()).collect(),
        other => panic!("{other:?} is no ack"),
    }
}

/// The id of the message that is sent.
#[track_caller]
pub fn id_of(transmit: &Transmit) -> String {
    match &transmit.command {
        Ask::Publish { message } | Ask::Send { message, .. } => {
            message.id.as_ref().unwrap().to_string()
        }
        other => panic!("{other:?} sends no message"),
    }
}

pub fn over(transmit: &Transmit) -> Option<SocketNumber> {
    match transmit.route {
        Route::Socket(socket) => Some(socket),
        Route::Http => None,
    }
}
