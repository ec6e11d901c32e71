//! Farewells: for how long they are said, how often, and how many of them.

use mailbus_client::session::lease::{Event, LeaseSession, Released};
use mailbus_spec::lease::{Command, LimitKind, Rejection};

use super::stage::*;

/// Copies of farewells that the session sends from `from_ms` to `to_ms`, and when; `hear` has each.
fn farewells(
    session: &mut LeaseSession,
    from_ms: u64,
    to_ms: u64,
    mut hear: impl FnMut(&mut LeaseSession, u64, &Transmit<LeaseSession>),
) -> Vec<u64> {
    let (mut now, mut said_at) = (from_ms, Vec::new());
    while now < to_ms {
        for copy in sends(session, now) {
            if matches!(copy.command, Command::Release { .. } | Command::Cancel { .. }) {
                said_at.push(now);
                hear(session, now, &copy);
            }
        }
        if session.poll_timeout().is_none() {
            break;
        }
        now = due(session);
    }
    said_at
}

fn unheard(_: &mut LeaseSession, _: u64, _: &Transmit<LeaseSession>) {}

#[test]
fn a_cancel_beyond_the_limits_slows_and_ends_like_one_that_nobody_answers() {
    let mut session = session();
    let claim = session.acquire(at(0), wanted().ttl(ttl(600_000)));
    sends_one(&mut session, 0);
    session.cancel(at(100), claim);
    let full = || reply(Err(Rejection::Limit(LimitKind::AgentRemembered)));
    let said_at = farewells(&mut session, 100, 3_600_000, |session, now, cancel| {
        answer(session, now + 1, cancel.call, full());
    });
    let late: Vec<u64> = said_at.into_iter().filter(|at| 60_100 < *at).collect();
    assert!((9..=11).contains(&late.len()), "{late:?}");
    assert!(late.windows(2).all(|pair| 60_000 <= pair[1] - pair[0]), "{late:?}");
    assert!(*late.last().unwrap() <= 100 + 60_000 + 607_000, "{late:?}");
    assert_eq!(events(&mut session), [Event::Released { claim, ending: Released::Unanswered }]);
}

#[test]
fn a_farewell_is_said_for_the_longest_term_that_was_asked_for() {
    let (mut session, claim) = holding();
    let path = paths(&["x"]).as_slice()[0].clone();
    session.extend(at(5_000), &path, ttl(600_000)).unwrap();
    assert_eq!(names(&sends(&mut session, 5_000)), ["renew"]);
    session.release(at(6_000), claim);
    let last = *farewells(&mut session, 6_000, 3_600_000, unheard).last().unwrap();
    assert!((540_000..=6_000 + 60_000 + 607_000).contains(&last), "{last}");
}

#[test]
fn a_late_answer_shortens_no_farewell() {
    let mut session = session();
    let claim = session.acquire(at(0), awaited().ttl(ttl(600_000)));
    let first = sends_one(&mut session, 0);
    let (asked_at, second) = sends_next(&mut session, 1);
    answer(&mut session, asked_at + 10, second.call, granted(5, 30_000));
    let renew = sends_one(&mut session, 10_000);
    answer(&mut session, 10_010, renew.call, renewed());
    session.release(at(20_000), claim);
    farewells(&mut session, 20_000, 85_000, unheard);
    // The first term, which is over, is all that it knows of.
    answer(&mut session, 85_000, first.call, granted(5, 30_000));
    let last = *farewells(&mut session, 85_000, 3_600_000, unheard).last().unwrap();
    assert!((600_000..=20_000 + 60_000 + 607_000).contains(&last), "{last}");
}

#[test]
fn of_farewells_that_nobody_awaits_the_latest_1_024_go_on() {
    let mut session = session();
    let wanted = |number: usize| acquisition(&[&format!("x{number}")]).ttl(ttl(600_000));
    let claims: Vec<_> = (0..1_100).map(|number| session.acquire(at(0), wanted(number))).collect();
    let requests: Vec<String> = sends(&mut session, 0).iter().map(request).collect();
    for claim in claims {
        session.cancel(at(100), claim);
    }
    assert_eq!(sends(&mut session, 100).len(), 1_100);
    // After the last instant at which they are awaited, and then once more.
    sends(&mut session, 60_101);
    let again: Vec<String> = sends(&mut session, 125_000).iter().map(request).collect();
    assert_eq!(again, requests[1_100 - 1_024..]);
}
