//! Tokens that are over: their answers while they are remembered, and that they cost no search.

use mailbus_spec::lease::{Acquire, Command, Outcome, Rejection, ReleaseTarget};
use mailbus_spec::machine::Event;
use mailbus_spec::{
    AgentId, Holder, HostTime, LeasePath, Ordinal, PathSet, RequestId, SessionId, Ttl,
};

use super::pair::{Pair, pair};
use crate::machine::Machine;
use crate::native::sqlite::Database;
use crate::sql::tests::NOON;
use crate::storage::{Row, Storage, StorageError, Value};

const SECOND: u64 = 1_000;

fn holder(agent: &str) -> Holder {
    Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::new("s").unwrap() }
}

fn request(name: &str) -> RequestId {
    RequestId::new(name).unwrap()
}

fn answer(pair: &mut Pair, ms: u64, command: Command) -> Result<Outcome, Rejection> {
    let answer = pair.event(HostTime(NOON + ms), &Event::Command(command)).reply.unwrap().answer;
    pair.check_memory();
    answer
}

/// Lets `ann` hold the path of this name for 10 s under the request of this name.
fn grant(pair: &mut Pair, ms: u64, name: &str) -> Ordinal {
    let paths = PathSet::one(LeasePath::new(name).unwrap());
    let ttl = Ttl::from_ms(10 * SECOND).unwrap();
    let acquire = Acquire::new(holder("ann"), Some(request(name)), paths, ttl, None).unwrap();
    match answer(pair, ms, Command::Acquire(acquire)) {
        Ok(Outcome::Granted { token, .. }) => token,
        other => panic!("{other:?}"),
    }
}

fn release(agent: &str, token: Ordinal) -> Command {
    Command::Release { holder: holder(agent), target: ReleaseTarget::Token(token) }
}

fn force(token: Ordinal, drain: bool) -> Command {
    Command::ForceRelease { token, reason: "because".to_owned(), drain }
}

fn cancel(name: &str) -> Command {
    Command::Cancel { holder: holder("ann"), request: request(name) }
}

#[test]
fn a_token_is_answered_by_how_it_ended_for_as_long_as_that_is_remembered() {
    let (released, lost) = (Ok(Outcome::Released), Err(Rejection::Lost));
    for evicted in [false, true] {
        let mut pair = pair();
        let [given, cancelled, forced, drained, lapsed] =
            ["given", "cancelled", "forced", "drained", "lapsed"]
                .map(|name| grant(&mut pair, 0, name));
        answer(&mut pair, 1, release("ann", given)).unwrap();
        answer(&mut pair, 1, cancel("cancelled")).unwrap();
        answer(&mut pair, 1, force(forced, false)).unwrap();
        answer(&mut pair, 1, force(drained, true)).unwrap();
        // When they are remembered: after the last has lapsed, and before the first is forgotten.
        for ms in [11 * SECOND, 120 * SECOND] {
            if evicted {
                pair.evict();
            }
            for (token, by_ann, by_admin) in [
                (given, &released, &lost),
                (cancelled, &released, &lost),
                (forced, &lost, &released),
                (drained, &lost, &released),
                (lapsed, &lost, &lost),
            ] {
                assert_eq!(&answer(&mut pair, ms, release("ann", token)), by_ann);
                assert_eq!(answer(&mut pair, ms, release("bob", token)), lost);
                assert_eq!(&answer(&mut pair, ms, force(token, false)), by_admin);
            }
        }
        // A cancel renews the memory of what is over, whatever ended it.
        answer(&mut pair, 120 * SECOND, cancel("given")).unwrap();
        answer(&mut pair, 120 * SECOND, cancel("forced")).unwrap();
        let later = 180 * SECOND;
        assert_eq!(answer(&mut pair, later, release("ann", given)), released);
        assert_eq!(answer(&mut pair, later, release("ann", cancelled)), lost);
        assert_eq!(answer(&mut pair, later, force(forced, false)), released);
        assert_eq!(answer(&mut pair, later, force(drained, false)), lost);
        // An id that is used again writes over the row, and an alarm deletes the others.
        grant(&mut pair, later, "cancelled");
        pair.event(HostTime(NOON + later), &Event::Alarm);
        pair.check_memory();
        assert_eq!(answer(&mut pair, later, release("ann", given)), released);
        pair.event(HostTime(NOON + 400 * SECOND), &Event::Alarm);
        pair.check_memory();
        assert_eq!(answer(&mut pair, 400 * SECOND, release("ann", given)), lost);
    }
}

/// A database that notes what it is asked.
struct Noting<'d> {
    database: &'d mut Database,
    asked: Vec<&'static str>,
}

impl Storage for Noting<'_> {
    fn query(&mut self, sql: &'static str, parameters: &[Value]) -> Result<Vec<Row>, StorageError> {
        self.asked.push(sql);
        self.database.query(sql, parameters)
    }

    fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, StorageError> {
        self.asked.push(sql);
        self.database.execute(sql, parameters)
    }
}

/// A frame may have a thousand such commands, and a million requests may be remembered.
#[test]
fn a_token_that_is_over_is_answered_from_memory() {
    let mut pair = pair();
    let token = grant(&mut pair, 0, "a");
    let unknown = Ordinal::new(token.get() - 1).unwrap();
    answer(&mut pair, 1, release("ann", token)).unwrap();
    for command in [
        release("ann", token),
        release("bob", token),
        release("ann", unknown),
        force(token, false),
        force(unknown, true),
    ] {
        let mut storage = Noting { database: &mut pair.machine.database, asked: Vec::new() };
        let event = Event::Command(command);
        let handled =
            pair.machine.machine.handle(&mut storage, HostTime(NOON + 2), &event).unwrap();
        assert_eq!(handled.rows, 0);
        assert_eq!(storage.asked, ["SELECT 1 FROM meta"], "{event:?}");
    }
}
