//! Reads of a mailbox when it wakes: a row for each run of 1 024 messages, and not one for each
//! message. Told by the rows that pass the storage seam, on a log as an older program left it and
//! after its first events have written the runs.
#![cfg(not(target_arch = "wasm32"))]

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, Outcome, Window};
use mailbus_spec::wire::mailbox::stored_message;
use mailbus_spec::{AgentId, HostTime, Ordinal, SessionId};
use mailbus_worker::machine::Machine;
use mailbus_worker::mailbox::SqlMailboxes;
use mailbus_worker::native::Database;
use mailbus_worker::object::Waking;
use mailbus_worker::storage::{Row, Storage, StorageError, Value};

const NOON: u64 = 1_800_000_000_000;
const PENDING: u64 = 100_000;
/// Most messages of a run, and so about the most that no run tells of.
const RUN: u64 = 1_024;

/// Puts messages with ids into the log, 10 000 for each of some agents, as an older program accepted them.
const FILL: &str = "\
    WITH RECURSIVE number (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < ?2) \
    INSERT INTO log (seq, at, commit_no, sender, id, type, recipient, refused, need_ack, body) \
    SELECT ?1 + i, ?3, 1, 'ann', 'id-' || i, 'task.assigned', 'agent-' || (i / 10000), NULL, 1, ?4 \
    FROM number";

struct Counting {
    database: Database,
    rows: u64,
}

impl Storage for Counting {
    fn query(&mut self, sql: &'static str, parameters: &[Value]) -> Result<Vec<Row>, StorageError> {
        let found = self.database.query(sql, parameters)?;
        self.rows += found.len() as u64;
        Ok(found)
    }

    fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, StorageError> {
        self.database.execute(sql, parameters)
    }
}

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn handle(
    machine: &mut SqlMailboxes,
    storage: &mut Counting,
    ask: Ask,
) -> (Result<Outcome, mailbus_spec::mailbox::Rejection>, u64) {
    let event = Event::Command(Command::alone(ask));
    let handled = machine.handle(storage, HostTime(NOON + 1), &event).unwrap();
    (handled.step.reply.unwrap().answer, handled.rows)
}

/// A workspace with messages that wait for agents who have connected once, and nobody is there.
fn filled(pending: u64) -> Counting {
    let mut storage = Counting { database: Database::in_memory().unwrap(), rows: 0 };
    let mut machine = SqlMailboxes::wake(None, Vec::new());
    for number in 0..pending.div_ceil(10_000) {
        let session = SessionId::new("s").unwrap();
        let (agent, window) = (agent(&format!("agent-{number}")), Some(Window::DEFAULT));
        let ask = Ask::Connect { agent, session, window, types: None, last_seen: None };
        handle(&mut machine, &mut storage, ask).0.unwrap();
    }
    let body = r#"{"from":"ann","type":"task.assigned","payload":7,"ackRequired":true}"#;
    let number = |number: u64| Value::Integer(i64::try_from(number).unwrap());
    let first = Ordinal::ZERO.next(HostTime(NOON + 1)).unwrap().get();
    let body = Value::Blob(body.as_bytes().to_vec());
    let parameters = [number(first), number(pending), number(NOON), body];
    storage.database.execute(FILL, &parameters).unwrap();
    storage
}

/// Wakes it piece by piece; says how many rows that read, in how many pieces, and what was the most.
fn wake(storage: &mut Counting) -> (SqlMailboxes, u64, u64, u64) {
    let mut machine = SqlMailboxes::wake(None, Vec::new());
    let (mut rows, mut pieces, mut most) = (0, 0, 0);
    loop {
        storage.rows = 0;
        let waking = machine.prepare(storage).unwrap();
        (rows, pieces, most) = (rows + storage.rows, pieces + 1, most.max(storage.rows));
        if waking == Waking::Ready {
            return (machine, rows, pieces, most);
        }
    }
}

#[test]
fn a_wake_reads_a_row_for_each_thousand_pending_messages() {
    let mut storage = filled(PENDING);
    let (mut machine, by_rows, pieces, most) = wake(&mut storage);
    println!("{PENDING} pending, row by row: {by_rows} rows in {pieces} pieces of at most {most}");
    assert!(by_rows >= PENDING && most <= 256);
    // Every event that writes completes a run, until there is none left to complete.
    let mut extra = 0;
    for number in 0..=PENDING / RUN {
        let body = format!(r#"{{"id":"n{number}","from":"ann","type":"a","payload":1}}"#);
        let message = stored_message(&body).unwrap();
        let ask = Ask::Send { to: agent("somebody-else"), message, must_know: false };
        let (answer, rows) = handle(&mut machine, &mut storage, ask);
        assert!(matches!(answer, Ok(Outcome::Accepted { .. })), "{answer:?}");
        extra += rows - 1;
    }
    assert!(extra <= PENDING / RUN + 6, "{extra} rows for the runs and their table");
    let (mut again, by_runs, pieces, most) = wake(&mut storage);
    println!("{PENDING} pending, in runs: {by_runs} rows in {pieces} pieces of at most {most}");
    assert!(by_runs <= PENDING / RUN + RUN + 32, "{by_runs} rows");
    // What woke is what was there: an inbox and an id say so.
    for machine in [&mut machine, &mut again] {
        let inbox = Ask::Inbox { agent: agent("agent-9"), after: Ordinal::ZERO, limit: 1_000 };
        let (answer, _) = handle(machine, &mut storage, inbox);
        assert!(matches!(answer, Ok(Outcome::Inbox { messages, .. }) if messages.len() == 1_000));
        let repeated = r#"{"id":"n7","from":"ann","type":"a","payload":1}"#;
        let message = stored_message(repeated).unwrap();
        let ask = Ask::Send { to: agent("somebody-else"), message, must_know: false };
        let (answer, rows) = handle(machine, &mut storage, ask);
        assert!(matches!(answer, Ok(Outcome::Duplicate { .. })) && rows == 0, "{answer:?}");
    }
}
