//! The bounds of what is held and remembered.

use mailbus_spec::lease::state::{ClaimKey, Remembered};
use mailbus_spec::lease::{Acquire, Command, LimitKind, Outcome, OverReason, Rejection};
use mailbus_spec::machine::Event;
use mailbus_spec::{
    AgentId, Holder, HostTime, LeasePath, PathSet, RequestId, SessionId, Timestamp, Ttl, limits,
};

use super::pair::{Pair, pair};
use crate::machine::Machine;
use crate::sql::tests::NOON;
use crate::storage::{Storage, Value};

fn holder(agent: &str) -> Holder {
    Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::new("s").unwrap() }
}

fn request(number: usize) -> RequestId {
    RequestId::new(format!("r{number}")).unwrap()
}

/// The acquisition of `count` paths that nobody else asks for.
fn acquire(holder: &Holder, number: usize, count: usize) -> Event<Command> {
    let path = |of: usize| LeasePath::new(&format!("{}/{number}/{of}", holder.agent)).unwrap();
    let paths = PathSet::new((0..count).map(path).collect()).unwrap();
    let ttl = Ttl::from_ms(3_600_000).unwrap();
    let asked = Acquire::new(holder.clone(), Some(request(number)), paths, ttl, None);
    Event::Command(Command::Acquire(asked.unwrap()))
}

fn cancel(holder: &Holder, number: usize) -> Event<Command> {
    Event::Command(Command::Cancel { holder: holder.clone(), request: request(number) })
}

fn answer(pair: &mut Pair, host: HostTime, event: &Event<Command>) -> Result<Outcome, Rejection> {
    pair.event(host, event).reply.unwrap().answer
}

/// Forty sessions of one agent ask for what they may have, and others still get theirs.
#[test]
fn an_agent_has_a_bounded_number_of_claims_and_paths_however_many_sessions_it_has() {
    for (paths, most, kind) in [
        (1, limits::AGENT_CLAIMS, LimitKind::AgentClaims),
        (64, limits::AGENT_PATHS / 64, LimitKind::AgentPaths),
    ] {
        let (mut pair, host) = (pair(), HostTime(NOON));
        let session = |number: usize| Holder {
            session: SessionId::new(format!("s{}", number % 40)).unwrap(),
            ..holder("ann")
        };
        for number in 0..most {
            let event = acquire(&session(number), number, paths);
            assert!(answer(&mut pair, host, &event).is_ok());
        }
        for number in most..most + 40 {
            let event = acquire(&session(number), number, paths);
            assert_eq!(answer(&mut pair, host, &event), Err(Rejection::Limit(kind)));
        }
        pair.evict();
        let more = acquire(&session(most), most, paths);
        assert_eq!(answer(&mut pair, host, &more), Err(Rejection::Limit(kind)));
        assert!(answer(&mut pair, host, &acquire(&holder("bob"), 0, paths)).is_ok());
        answer(&mut pair, host, &cancel(&session(0), 0)).unwrap();
        assert!(answer(&mut pair, host, &more).is_ok());
        pair.check_memory();
    }
}

/// The model looks at every claim in every event, so here production stands alone.
#[test]
fn a_workspace_has_a_bounded_number_of_claims_and_paths() {
    for (paths, kind) in [(1, LimitKind::WorkspaceClaims), (64, LimitKind::WorkspacePaths)] {
        let (mut pair, host) = (pair(), HostTime(NOON));
        let claims = limits::WORKSPACE_CLAIMS.min(limits::WORKSPACE_PATHS / paths);
        let mut ask = |number: usize, agent: usize| {
            let event = acquire(&holder(&format!("a{agent}")), number, paths);
            let handled =
                pair.machine.machine.handle(&mut pair.machine.database, host, &event).unwrap();
            handled.step.reply.unwrap().answer
        };
        for number in 0..claims {
            assert!(ask(number, number / 64).is_ok());
        }
        assert_eq!(ask(0, 9_999), Err(Rejection::Limit(kind)));
    }
}

#[test]
fn a_page_of_a_list_has_a_bounded_number_of_bytes() {
    let (mut pair, host) = (pair(), HostTime(NOON));
    let agent = AgentId::new("a".repeat(limits::ID_MAX_BYTES)).unwrap();
    let ann = Holder { agent, session: SessionId::new("s").unwrap() };
    let path_bytes = limits::PATH_MAX_BYTES - limits::ID_MAX_BYTES - 1;
    let fit = limits::LIST_MAX_BYTES / limits::PATH_MAX_BYTES;
    // One set more than the first page has room for.
    for number in 0..=fit / 64 {
        let path = |of: usize| {
            let text = format!("{:04}{}", number * 64 + of, "x".repeat(path_bytes - 4));
            LeasePath::new(&text).unwrap()
        };
        let paths = PathSet::new((0..64).map(path).collect()).unwrap();
        let ttl = Ttl::from_ms(3_600_000).unwrap();
        let acquire = Acquire::new(ann.clone(), Some(request(number)), paths, ttl, None).unwrap();
        assert!(answer(&mut pair, host, &Event::Command(Command::Acquire(acquire))).is_ok());
    }
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let list = Command::List { prefix: String::new(), after, limit: limits::LIST_MAX };
        match answer(&mut pair, host, &Event::Command(list)) {
            Ok(Outcome::Leases { leases, more }) => {
                pages.push((leases.len(), more));
                after = leases.last().map(|entry| entry.path.clone());
                if !more {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pages, [(fit, true), (64, false)]);
}

const TOMBSTONES: &str = "\
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
    INSERT INTO claim (agent, session, request, until, state, sequence, clock, last_token) \
    SELECT 'ann', 's', 'old' || n, ?2, 'cancelled', 0, 0, 0 FROM number";

/// Lets `ann` have cancelled so many requests, in the model and in the rows.
fn remember(pair: &mut Pair, count: usize, end: Timestamp) {
    let parameters = [count as u64, end.ms()].map(|n| Value::Integer(i64::try_from(n).unwrap()));
    pair.machine.database.execute(TOMBSTONES, &parameters).unwrap();
    let ann = holder("ann");
    pair.model_mut().remembered.extend((1..=count).map(|number| {
        let key = ClaimKey::of(&ann, &RequestId::new(format!("old{number}")).unwrap());
        let (content, token, reason) = (None, None, OverReason::Cancelled);
        (key, Remembered { content, token, reason, end })
    }));
    pair.evict();
}

#[test]
fn an_agent_has_a_bounded_memory_that_time_frees() {
    let (mut pair, ann) = (pair(), holder("ann"));
    answer(&mut pair, HostTime(NOON), &cancel(&ann, 1)).unwrap();
    remember(&mut pair, limits::AGENT_REMEMBERED - 1, Timestamp::from_ms(NOON).unwrap());
    let full = Err(Rejection::Limit(LimitKind::AgentRemembered));
    let later = HostTime(NOON + 1_000);
    assert_eq!(answer(&mut pair, later, &acquire(&ann, 2, 1)), full);
    assert_eq!(answer(&mut pair, later, &cancel(&ann, 2)), full);
    // What is remembered may be ended again; other agents have their own bound.
    assert_eq!(answer(&mut pair, later, &cancel(&ann, 1)), Ok(Outcome::Cancelled));
    assert!(answer(&mut pair, later, &acquire(&holder("bob"), 1, 1)).is_ok());
    assert_eq!(answer(&mut pair, HostTime(NOON + 119_999), &acquire(&ann, 2, 1)), full);
    // Two minutes on nothing counts, though no alarm has rung: a refusal that depends on it writes
    // the clock.
    let much_later = HostTime(NOON + 120_000);
    let held = acquire(&holder("bob"), 1, 1);
    let Event::Command(Command::Acquire(held)) = held else { unreachable!() };
    let same_paths =
        Acquire::new(ann.clone(), Some(request(3)), held.paths().clone(), held.ttl(), None);
    let same_paths = Event::Command(Command::Acquire(same_paths.unwrap()));
    let step = pair.event(much_later, &same_paths);
    assert!(matches!(step.reply.unwrap().answer, Err(Rejection::Held(_))) && step.wrote);
    assert!(!pair.event(much_later, &same_paths).wrote);
    pair.event(much_later, &Event::Alarm);
    assert!(answer(&mut pair, much_later, &acquire(&ann, 4, 1)).is_ok());
    pair.check_memory();
}

#[test]
fn a_workspace_has_a_bounded_memory() {
    let (mut pair, host) = (pair(), HostTime(NOON));
    answer(&mut pair, host, &cancel(&holder("ann"), 1)).unwrap();
    let machine = pair.machine.machine.memory().expect("it is awake");
    for agent in 0..10 {
        let agent = AgentId::new(format!("a{agent}")).unwrap();
        let end = Timestamp::from_ms(NOON).unwrap();
        (0..99_999).for_each(|_| machine.remembered.add(&agent, end));
    }
    let mut cancels = |number: usize| {
        let event = cancel(&holder("bob"), number);
        let handled =
            pair.machine.machine.handle(&mut pair.machine.database, host, &event).unwrap();
        handled.step.reply.unwrap().answer
    };
    for number in 0..9 {
        assert_eq!(cancels(number), Ok(Outcome::Cancelled));
    }
    assert_eq!(cancels(9), Err(Rejection::Limit(LimitKind::WorkspaceRemembered)));
}
