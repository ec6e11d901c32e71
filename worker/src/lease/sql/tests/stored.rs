//! Claims that were stored before their paths were one, or before they were refused: they stand until they
//! end, and tokens reach them.

use mailbus_spec::lease::{Acquire, Command, Outcome, Rejection, ReleaseTarget};
use mailbus_spec::machine::Event;
use mailbus_spec::{AgentId, Holder, HostTime, LeasePath, Ordinal, PathSet, SessionId, Ttl};

use super::pair::{Pair, pair};
use crate::machine::Machine;
use crate::sql::tests::NOON;
use crate::storage::{Storage, Value};

fn holder(agent: &str) -> Holder {
    Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::original() }
}

fn path(text: &str) -> LeasePath {
    LeasePath::named(text).unwrap()
}

/// Answer of the machine alone: no history of the specification has such claims.
fn answer(pair: &mut Pair, command: Command) -> Result<Outcome, Rejection> {
    let event = Event::Command(command);
    let sql = &mut pair.machine;
    let handled = sql.machine.handle(&mut sql.database, HostTime(NOON), &event).unwrap();
    handled.step.reply.unwrap().answer
}

fn acquire(pair: &mut Pair, agent: &str, text: &str) -> Result<Outcome, Rejection> {
    let (ttl, paths) = (Ttl::from_ms(60_000).unwrap(), PathSet::one(path(text)));
    answer(pair, Command::Acquire(Acquire::new(holder(agent), None, paths, ttl, None).unwrap()))
}

fn token(answer: Result<Outcome, Rejection>) -> Ordinal {
    match answer {
        Ok(Outcome::Granted { token, .. }) => token,
        other => panic!("{other:?}"),
    }
}

/// Writes another path into the row of the agent's lease, and lets the object wake with it.
fn store(pair: &mut Pair, agent: &str, text: &str) {
    let values = [Value::Text(agent.to_owned()), Value::Text(text.to_owned())];
    let update = "UPDATE claim SET paths = ?2 WHERE agent = ?1";
    assert_eq!(pair.machine.database.execute(update, &values).unwrap(), 1);
    pair.evict();
}

#[test]
fn two_leases_on_one_file_stand_until_they_end_and_let_nobody_else_in() {
    let mut pair = pair();
    let (ann, bob) =
        (token(acquire(&mut pair, "ann", "src/A")), token(acquire(&mut pair, "bob", "else")));
    store(&mut pair, "bob", "src/a");
    let list = Command::List { prefix: String::new(), after: None, limit: 1 };
    let Ok(Outcome::Leases { leases, more }) = answer(&mut pair, list) else { panic!() };
    assert_eq!((leases.len(), more), (2, false), "no page begins between them");
    for (agent, token) in [("ann", ann), ("bob", bob)] {
        let verify = Command::Verify { path: path("SRC/A"), token };
        assert!(matches!(answer(&mut pair, verify), Ok(Outcome::Current { .. })), "{agent}");
        assert!(matches!(acquire(&mut pair, "eve", "src/a"), Err(Rejection::Held(_))));
        let target = ReleaseTarget::Path(path("src/a"));
        let release = Command::Release { holder: holder(agent), target };
        assert_eq!(answer(&mut pair, release), Ok(Outcome::Released), "{agent}");
    }
    token(acquire(&mut pair, "eve", "src/a"));
}

#[test]
fn a_lease_on_what_may_be_claimed_no_more_is_listed_verified_and_released() {
    let mut pair = pair();
    let held = token(acquire(&mut pair, "ann", "src"));
    store(&mut pair, "ann", "src/**");
    let list = Command::List { prefix: "SRC/".to_owned(), after: None, limit: 9 };
    let Ok(Outcome::Leases { leases, .. }) = answer(&mut pair, list) else { panic!() };
    assert_eq!(leases[0].path.as_str(), "src/**");
    let verify = Command::Verify { path: path("src/**"), token: held };
    assert!(matches!(answer(&mut pair, verify), Ok(Outcome::Current { .. })));
    let release =
        Command::Release { holder: holder("ann"), target: ReleaseTarget::Path(path("src/**")) };
    assert_eq!(answer(&mut pair, release), Ok(Outcome::Released));
}
