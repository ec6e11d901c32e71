//! One session on a bench: readings, replies and what comes out.

use std::time::Duration;

use mailbus_client::session::{self, CallNumber, Session, SocketNumber, SocketOrder};
use mailbus_spec::belief::Reading;
use mailbus_spec::lease::Command;
use mailbus_spec::mailbox::Ask;
use mailbus_spec::service::ReplyOf;
use mailbus_spec::{AgentId, Commit, Ordinal, Reply, Timestamp};
use proptest::test_runner::Config as Cases;

pub type Transmit<S> = session::Transmit<<S as Session>::Command>;

/// A reading of two clocks that agree.
pub fn at(ms: u64) -> Reading {
    apart(ms, 0)
}

/// A reading whose wall clock is `ahead_ms` ahead of where it should be.
pub fn apart(ms: u64, ahead_ms: i64) -> Reading {
    let wall = 1_000_000_000_u64.checked_add(ms).unwrap().checked_add_signed(ahead_ms).unwrap();
    Reading { monotonic: Duration::from_millis(ms), wall: Duration::from_millis(wall) }
}

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub fn ordinal(number: u64) -> Ordinal {
    Ordinal::new(number).unwrap()
}

pub fn reply<O, R>(answer: Result<O, R>) -> Reply<O, R> {
    reply_of(1, answer)
}

/// A reply of this life of the storage.
pub fn reply_of<O, R>(generation: u64, answer: Result<O, R>) -> Reply<O, R> {
    let now = Timestamp::from_ms(1_000_000).unwrap();
    Reply { answer, commit: Commit { sequence: 1, now, generation } }
}

pub fn answer<S: Session>(session: &mut S, ms: u64, call: CallNumber, reply: ReplyOf<S::Service>) {
    session.handle_reply(at(ms), call, reply);
}

/// All that the session sends at `ms`, having let time pass.
pub fn sends<S: Session>(session: &mut S, ms: u64) -> Vec<Transmit<S>> {
    sends_at(session, at(ms))
}

pub fn sends_at<S: Session>(session: &mut S, at: Reading) -> Vec<Transmit<S>> {
    session.handle_timeout(at);
    std::iter::from_fn(|| session.poll_transmit(at)).collect()
}

/// The one attempt that the session sends at `ms`.
#[track_caller]
pub fn sends_one<S: Session>(session: &mut S, ms: u64) -> Transmit<S> {
    only(ms, sends(session, ms)).1
}

/// Attempts that the session makes next from `from_ms` on, and when.
#[track_caller]
pub fn sends_some<S: Session>(session: &mut S, from_ms: u64) -> (u64, Vec<Transmit<S>>) {
    let mut now = from_ms;
    loop {
        let sent = sends(session, now);
        if !sent.is_empty() {
            return (now, sent);
        }
        orders(session, now);
        let due_ms = due(session);
        assert!(due_ms > now, "the timeout {due_ms} does not lie after {now} ms");
        now = due_ms;
    }
}

/// The same of one that sends one attempt.
#[track_caller]
pub fn sends_next<S: Session>(session: &mut S, from_ms: u64) -> (u64, Transmit<S>) {
    let (now, sent) = sends_some(session, from_ms);
    only(now, sent)
}

#[track_caller]
fn only<C>(now: u64, mut sent: Vec<session::Transmit<C>>) -> (u64, session::Transmit<C>) {
    let calls: Vec<CallNumber> = sent.iter().map(|transmit| transmit.call).collect();
    assert_eq!(calls.len(), 1, "at {now}: {calls:?}");
    (now, sent.remove(0))
}

/// The instant at which something is due, in milliseconds, rounded up.
#[track_caller]
pub fn due<S: Session>(session: &S) -> u64 {
    let due = session.poll_timeout().expect("something is due");
    u64::try_from(due.as_nanos().div_ceil(1_000_000)).unwrap()
}

pub fn events<S: Session>(session: &mut S) -> Vec<S::Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// Orders of the session about sockets at `ms`, having let time pass.
pub fn orders<S: Session>(session: &mut S, ms: u64) -> Vec<SocketOrder<S::Connect>> {
    session.handle_timeout(at(ms));
    std::iter::from_fn(|| session.poll_socket(at(ms))).collect()
}

/// The socket that the session wants opened at `ms`, and with what.
#[track_caller]
pub fn opens<S: Session>(session: &mut S, ms: u64) -> (SocketNumber, S::Connect) {
    let mut opened = orders(session, ms).into_iter().filter_map(|order| match order {
        SocketOrder::Open { socket, connect } => Some((socket, connect)),
        _ => None,
    });
    opened.next().unwrap_or_else(|| panic!("no socket is opened at {ms}"))
}

/// A command that has a name.
pub trait Named {
    fn named(&self) -> &'static str;
}

impl Named for Command {
    fn named(&self) -> &'static str {
        self.name()
    }
}

impl Named for Ask {
    fn named(&self) -> &'static str {
        self.name()
    }
}

pub fn names<C: Named>(sent: &[session::Transmit<C>]) -> Vec<&'static str> {
    sent.iter().map(|transmit| transmit.command.named()).collect()
}

/// As many cases as `PROPTEST_CASES` says, or this many.
pub fn cases(usual: u32) -> Cases {
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Cases::default().cases,
        None => usual,
    };
    Cases { cases, failure_persistence: None, ..Cases::default() }
}
