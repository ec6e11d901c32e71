//! One mailbox session on a bench: what it is sent, and what it is told.

use mailbus_client::session::mailbox::{Config, DeliveryId, Event, MailboxSession};
use mailbus_client::session::{Route, SocketNumber};
use mailbus_spec::SessionId;
use mailbus_spec::mailbox::{Ask, MailboxReply, Message, Notice, Outcome, Pattern, Settled};
use mailbus_spec::wire::mailbox::decode_message;

pub use crate::stage::{ordinal as seq, *};
pub use mailbus_client::session::Session;

type Transmit = crate::stage::Transmit<MailboxSession>;

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

pub fn connected(epoch: u64) -> MailboxReply {
    let gap = None;
    reply(Ok(Outcome::Connected { epoch: seq(epoch), resumed: true, gap, refused: 0 }))
}

pub fn accepted(number: u64) -> MailboxReply {
    let (known, near) = (None, Vec::new());
    reply(Ok(Outcome::Accepted {
        seq: seq(number),
        recipients: 2,
        refused: Vec::new(),
        known,
        near,
    }))
}

pub fn settled(count: u64) -> MailboxReply {
    reply(Ok(Outcome::Settled { settled: count, unknown: 0 }))
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
