//! One session on a bench: readings, replies and what comes out.

use std::time::Duration;

pub use mailbus_client::session::Session;
use mailbus_client::session::lease::{Acquisition, ClaimId, Config, Event, LeaseSession};
use mailbus_client::session::{CallNumber, SocketNumber, SocketOrder};
use mailbus_spec::belief::Reading;
use mailbus_spec::lease::{Blocker, Command, HeldBy, LeaseReply, Outcome, OverReason, Rejection};
use mailbus_spec::{
    AgentId, Commit, Holder, LeasePath, Ordinal, PathSet, Reply, SessionId, Timestamp, Ttl,
};

type Transmit = mailbus_client::session::Transmit<Command>;

/// A reading of two clocks that agree.
pub fn at(ms: u64) -> Reading {
    apart(ms, 0)
}

/// A reading whose wall clock is `ahead_ms` ahead of where it should be.
pub fn apart(ms: u64, ahead_ms: i64) -> Reading {
    let wall = 1_000_000_000_u64.checked_add(ms).unwrap().checked_add_signed(ahead_ms).unwrap();
    Reading { monotonic: Duration::from_millis(ms), wall: Duration::from_millis(wall) }
}

pub fn holder(agent: &str) -> Holder {
    Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::new("1").unwrap() }
}

pub fn session() -> LeaseSession {
    LeaseSession::new(holder("a"), Config::default(), 7)
}

pub fn ttl(ms: u64) -> Ttl {
    Ttl::from_ms(ms).unwrap()
}

pub fn token(number: u64) -> Ordinal {
    Ordinal::new(number).unwrap()
}

pub fn paths(names: &[&str]) -> PathSet {
    PathSet::new(names.iter().map(|name| LeasePath::new(name).unwrap()).collect()).unwrap()
}

/// `x` for 30 s at a time, at once or not at all.
pub fn wanted() -> Acquisition {
    acquisition(&["x"])
}

/// The paths for 30 s at a time, at once or not at all.
pub fn acquisition(names: &[&str]) -> Acquisition {
    Acquisition::new(paths(names)).ttl(ttl(30_000))
}

/// `x` for 30 s at a time, after up to ten minutes.
pub fn awaited() -> Acquisition {
    wanted().patience(Duration::from_secs(600))
}

fn commit() -> Commit {
    Commit { sequence: 1, now: Timestamp::ZERO, generation: 1 }
}

pub fn reply(answer: Result<Outcome, Rejection>) -> LeaseReply {
    Reply { answer, commit: commit() }
}

pub fn granted(number: u64, ttl_ms: u64) -> LeaseReply {
    let expires_at = Timestamp::from_ms(1_000_000).unwrap();
    reply(Ok(Outcome::Granted { token: token(number), expires_at, ttl: ttl(ttl_ms) }))
}

pub fn queued(position: u64) -> LeaseReply {
    reply(Ok(Outcome::Queued { position }))
}

pub fn over(reason: OverReason) -> LeaseReply {
    reply(Ok(Outcome::Over { reason, token: None }))
}

pub fn renewed() -> LeaseReply {
    let expires_at = Timestamp::from_ms(1_000_000).unwrap();
    reply(Ok(Outcome::Renewed { expires_at, waiting: 0 }))
}

pub fn cancelled() -> LeaseReply {
    reply(Ok(Outcome::Cancelled))
}

pub fn lost() -> LeaseReply {
    reply(Err(Rejection::Lost))
}

pub fn held() -> LeaseReply {
    reply(Err(Rejection::Held(Blocker {
        by: HeldBy::Lease,
        holder: holder("b"),
        paths: paths(&["x"]),
        until: Timestamp::ZERO,
        queue: 0,
    })))
}

/// All that the session sends at `ms`, having let time pass.
pub fn sends(session: &mut LeaseSession, ms: u64) -> Vec<Transmit> {
    sends_at(session, at(ms))
}

pub fn sends_at(session: &mut LeaseSession, at: Reading) -> Vec<Transmit> {
    session.handle_timeout(at);
    std::iter::from_fn(|| session.poll_transmit(at)).collect()
}

/// The one attempt that the session sends at `ms`.
#[track_caller]
pub fn sends_one(session: &mut LeaseSession, ms: u64) -> Transmit {
    let mut sent = sends(session, ms);
    assert_eq!(sent.len(), 1, "at {ms}: {sent:?}");
    sent.remove(0)
}

/// The next attempt that the session sends after `from_ms`, and when.
#[track_caller]
pub fn sends_next(session: &mut LeaseSession, from_ms: u64) -> (u64, Transmit) {
    let mut now = from_ms;
    loop {
        let sent = sends(session, now);
        match sent.len() {
            0 => {}
            1 => return (now, sent.into_iter().next().unwrap()),
            _ => panic!("at {now}: {sent:?}"),
        }
        while session.poll_socket(at(now)).is_some() {}
        let due = session.poll_timeout().expect("something is due");
        let due_ms = u64::try_from(due.as_nanos().div_ceil(1_000_000)).unwrap();
        assert!(due_ms > now, "the timeout {due:?} does not lie after {now} ms");
        now = due_ms;
    }
}

pub fn answer(session: &mut LeaseSession, ms: u64, call: CallNumber, reply: LeaseReply) {
    session.handle_reply(at(ms), call, reply);
}

pub fn events(session: &mut LeaseSession) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

pub fn names(sent: &[Transmit]) -> Vec<&'static str> {
    sent.iter().map(|transmit| transmit.command.name()).collect()
}

/// The request that an `Acquire` or `Cancel` names.
pub fn request(transmit: &Transmit) -> String {
    match &transmit.command {
        Command::Acquire(acquire) => acquire.request().unwrap().to_string(),
        Command::Cancel { request, .. } => request.to_string(),
        other => panic!("{other:?} names no request"),
    }
}

/// A session that wants `x` for an hour at a time and was granted it out of the queue, under token 5,
/// too late to be believed; and when that was.
pub fn granted_late() -> (LeaseSession, ClaimId, u64) {
    let mut session = session();
    let claim = session.acquire(at(0), awaited().ttl(ttl(3_600_000)));
    let mut now = 0;
    loop {
        let (sent_at, asked) = sends_next(&mut session, now);
        now = sent_at + 1;
        if now > 60_000 {
            answer(&mut session, now, asked.call, granted(5, 30_000));
            break;
        }
        answer(&mut session, now, asked.call, queued(0));
    }
    assert_eq!(events(&mut session), [Event::Queued { claim, position: 0 }]);
    (session, claim, now)
}

/// A session that was granted `x` under token 5 for 30 s, asked for at 0 and answered at 10.
pub fn holding() -> (LeaseSession, ClaimId) {
    let mut session = session();
    let claim = session.acquire(at(0), wanted());
    let acquire = sends_one(&mut session, 0);
    answer(&mut session, 10, acquire.call, granted(5, 30_000));
    assert_eq!(events(&mut session), [Event::Acquired { claim, token: token(5) }]);
    (session, claim)
}

/// Has a socket open at `ms`, in a session that has not begun or has lost the one before.
#[track_caller]
pub fn open_socket(session: &mut LeaseSession, ms: u64) -> SocketNumber {
    session.start(at(ms));
    let Some(SocketOrder::Open { socket, .. }) = session.poll_socket(at(ms)) else {
        panic!("no socket is opened at {ms}")
    };
    session.handle_opened(at(ms), socket);
    socket
}
