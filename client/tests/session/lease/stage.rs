//! One lease session on a bench: what it wants, and what it is told.

use std::time::Duration;

use mailbus_client::session::SocketNumber;
use mailbus_client::session::lease::{Acquisition, ClaimId, Config, Event, LeaseSession};
use mailbus_spec::lease::{Blocker, Command, HeldBy, LeaseReply, Outcome, OverReason, Rejection};
use mailbus_spec::{Holder, LeasePath, PathSet, SessionId, Timestamp, Ttl};

pub use crate::stage::{ordinal as token, *};
pub use mailbus_client::session::Session;

pub fn holder(name: &str) -> Holder {
    Holder { agent: agent(name), session: SessionId::new("1").unwrap() }
}

pub fn session() -> LeaseSession {
    LeaseSession::new(holder("a"), Config::default(), 7)
}

pub fn ttl(ms: u64) -> Ttl {
    Ttl::from_ms(ms).unwrap()
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
    reply(Ok(Outcome::Renewed { expires_at, waiting: 0, draining: false }))
}

/// The answer to a renewal of what an admin lets drain.
pub fn draining() -> LeaseReply {
    let expires_at = Timestamp::from_ms(1_000_000).unwrap();
    reply(Ok(Outcome::Renewed { expires_at, waiting: 0, draining: true }))
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
        arrival: None,
    })))
}

/// The request that an `Acquire` or `Cancel` names.
pub fn request(transmit: &Transmit<LeaseSession>) -> String {
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
    let (socket, _) = opens(session, ms);
    session.handle_opened(at(ms), socket);
    socket
}
