//! Time that waking takes: 300 000 pending messages, read row by row as an older program left them
//! and then out of their runs, and 1 000 000 requests that the lease object remembers; in all, and
//! the longest piece, for which a shell that serves others on the same thread makes them wait.
//!
//! The counts behind it are tested in `worker/tests/mailbox_waking.rs`.

use std::time::{Duration, Instant};

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command};
use mailbus_spec::wire::mailbox::stored_message;
use mailbus_spec::{AgentId, Holder, HostTime, RequestId, SessionId, lease};
use mailbus_worker::lease::SqlLeases;
use mailbus_worker::machine::Machine;
use mailbus_worker::mailbox::SqlMailboxes;
use mailbus_worker::native::Database;
use mailbus_worker::object::Waking;
use mailbus_worker::storage::{Storage, StorageError, Value};

const NOON: u64 = 1_800_000_000_000;
const MESSAGES: i64 = 300_000;
const REQUESTS: i64 = 1_000_000;
/// Most messages of a run.
const RUN: i64 = 1_024;

const FILL_LOG: &str = "\
    WITH RECURSIVE number (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < ?1) \
    INSERT INTO log (seq, at, commit_no, sender, id, type, recipient, refused, need_ack, body) \
    SELECT ?2 + i, ?3, 1, 'ann', 'id-' || i, 'task.assigned', 'agent-' || (i / 10000), NULL, 1, ?4 \
    FROM number";
const FILL_CLAIMS: &str = "\
    WITH RECURSIVE number (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < ?1) \
    INSERT INTO claim (agent, session, request, until, state, token, ttl, paths, sequence, clock, \
    last_token) \
    SELECT 'agent-' || (i % 100), 'session', 'request-' || i, ?2, 'released', i + 1, 60000, \
    'src/lib.rs', 0, 0, 0 FROM number";

/// Calls `piece` until it is ready; says what all pieces took together, and the longest.
#[expect(clippy::disallowed_methods, reason = "a benchmark is about the clock on the wall")]
fn wake(mut piece: impl FnMut() -> Result<Waking, StorageError>) -> (Duration, Duration) {
    let (mut all, mut longest) = (Duration::ZERO, Duration::ZERO);
    loop {
        let begin = Instant::now();
        let waking = piece().expect("it wakes");
        let took = begin.elapsed();
        all += took;
        longest = longest.max(took);
        if waking == Waking::Ready {
            return (all, longest);
        }
    }
}

fn tell(what: &str, (all, longest): (Duration, Duration)) {
    println!("{what}: {all:.1?} in all, {longest:.1?} the longest piece");
}

fn send(machine: &mut SqlMailboxes, database: &mut Database, number: i64) {
    let body = format!(r#"{{"id":"n{number}","from":"ann","type":"a","payload":1}}"#);
    let message = stored_message(&body).expect("a message");
    let to = AgentId::new(format!("somebody-{}", number % 100)).expect("a name");
    let event = Event::Command(Command::alone(Ask::Send { to, message, must_know: false }));
    machine.handle(database, HostTime(NOON + 1), &event).expect("it is handled");
}

fn mail() {
    let mut database = Database::in_memory().expect("a database");
    send(&mut SqlMailboxes::wake(None, Vec::new()), &mut database, 0);
    let body = vec![b' '; 300];
    let [count, first, at] = [MESSAGES, 1 << 51, NOON.cast_signed()].map(Value::Integer);
    database.execute(FILL_LOG, &[count, first, at, Value::Blob(body)]).expect("it is filled");
    let mut machine = SqlMailboxes::wake(None, Vec::new());
    tell("300 000 messages, row by row", wake(|| machine.prepare(&mut database)));
    for number in 1..=MESSAGES / RUN + 1 {
        send(&mut machine, &mut database, number);
    }
    println!("about {} MB of memory", machine.footprint() >> 20);
    let mut machine = SqlMailboxes::wake(None, Vec::new());
    tell("300 000 messages, out of runs", wake(|| machine.prepare(&mut database)));
}

fn leases() {
    let mut database = Database::in_memory().expect("a database");
    let holder = Holder {
        agent: AgentId::new("ann").expect("a name"),
        session: SessionId::new("s").expect("a session"),
    };
    let request = RequestId::new("r").expect("a request");
    let event = Event::Command(lease::Command::Cancel { holder, request });
    let handled = SqlLeases::wake(None, Vec::new()).handle(&mut database, HostTime(NOON), &event);
    handled.expect("it is handled");
    let [count, until] = [REQUESTS, NOON.cast_signed()].map(Value::Integer);
    database.execute(FILL_CLAIMS, &[count, until]).expect("it is filled");
    let mut machine = SqlLeases::wake(None, Vec::new());
    tell("1 000 000 remembered requests", wake(|| machine.prepare(&mut database)));
    println!("about {} MB of memory", machine.footprint() >> 20);
}

fn main() {
    mail();
    leases();
}
