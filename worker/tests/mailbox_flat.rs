//! A message costs the same late as early, whoever is silent beside it: statements, rows and bytes at
//! the storage seam for a publication and its acknowledgement, after 2 000 settled messages and after
//! many more, and for all the collection in between. What it takes in time is for
//! `cargo bench -p mailbus-benches --bench mail_flat`.
#![cfg(not(target_arch = "wasm32"))]

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, Connection, Outcome, Pattern, Patterns, Settled, Window,
};
use mailbus_spec::wire::mailbox::stored_message;
use mailbus_spec::{AgentId, HostTime, Ordinal, SessionId};
use mailbus_worker::machine::Machine;
use mailbus_worker::mailbox::SqlMailboxes;
use mailbus_worker::native::Database;
use mailbus_worker::storage::{Row, Storage, StorageError, Value};

const NOON: u64 = 1_800_000_000_000;
/// Object time a message takes: so 4 800 settled ones are kept for their ids, and what a session of the
/// original is silent about is presumed settled after 24 000.
const MESSAGE_MS: u64 = 25;
const EARLY: u64 = 2_000;
const LATE: u64 = 60_000;
/// Number of messages that are measured after each.
const MEASURED: u64 = 200;

/// Traffic over the storage seam.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    statements: u64,
    rows_read: u64,
    rows_written: u64,
    /// Of parameters of statements that write.
    bytes_written: u64,
    /// Number of runs of messages that were written, for waking to read them instead of the messages.
    runs: u64,
}

/// Most that one publication with its acknowledgement may cost, early and late.
const MOST: Cost =
    Cost { statements: 6, rows_read: 4, rows_written: 2, bytes_written: 2_000, runs: 0 };
/// The same where it completes a run, whose messages are read then.
const MOST_WITH_RUN: Cost =
    Cost { statements: 16, rows_read: 1_100, rows_written: 3, bytes_written: 64_000, runs: 1 };

impl Cost {
    fn max(self, other: Self) -> Self {
        Self {
            statements: self.statements.max(other.statements),
            rows_read: self.rows_read.max(other.rows_read),
            rows_written: self.rows_written.max(other.rows_written),
            bytes_written: self.bytes_written.max(other.bytes_written),
            runs: self.runs.max(other.runs),
        }
    }

    fn is_within(self, most: Self) -> bool {
        self.max(most) == most
    }
}

/// A database whose traffic is counted.
struct Counted {
    database: Database,
    cost: Cost,
}

impl Storage for Counted {
    fn query(&mut self, sql: &'static str, parameters: &[Value]) -> Result<Vec<Row>, StorageError> {
        let rows = self.database.query(sql, parameters)?;
        self.cost.statements += 1;
        self.cost.rows_read += rows.len() as u64;
        Ok(rows)
    }

    fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, StorageError> {
        let bytes = parameters.iter().map(|value| match value {
            Value::Null => 0,
            Value::Integer(_) => 8,
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
        });
        self.cost.bytes_written += bytes.sum::<usize>() as u64;
        let rows = self.database.execute(sql, parameters)?;
        self.cost.statements += 1;
        self.cost.runs += u64::from(sql.starts_with("INSERT INTO run"));
        self.cost.rows_written += rows;
        Ok(rows)
    }
}

/// An object with one agent that settles every message.
struct Workspace {
    machine: SqlMailboxes,
    storage: Counted,
    host_ms: u64,
    alarm: Option<HostTime>,
    settles: Connection,
    published: u64,
}

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn connect(name: &str, window: Option<Window>) -> Ask {
    Ask::Connect {
        agent: agent(name),
        session: SessionId::new("s").unwrap(),
        window,
        types: Some(Patterns::from([Pattern::everything()])),
        last_seen: None,
    }
}

impl Workspace {
    fn new() -> Self {
        let storage = Counted { database: Database::in_memory().unwrap(), cost: Cost::default() };
        let settles = Connection { agent: agent("settles"), epoch: Ordinal::ZERO };
        let machine = SqlMailboxes::wake(None, Vec::new());
        let (host_ms, alarm, published) = (NOON, None, 0);
        let mut workspace = Self { machine, storage, host_ms, alarm, settles, published };
        workspace.settles.epoch = workspace.begin("settles", Some(Window::DEFAULT));
        workspace
    }

    fn event(&mut self, event: &Event<Command>) -> Option<Outcome> {
        if *event == Event::Alarm {
            self.alarm = None;
        }
        let host = HostTime(self.host_ms);
        let handled = self.machine.handle(&mut self.storage, host, event).unwrap();
        self.alarm = handled.alarm.or(self.alarm);
        handled.step.reply.map(|reply| reply.answer.unwrap())
    }

    fn begin(&mut self, name: &str, window: Option<Window>) -> Ordinal {
        match self.event(&Event::Command(Command::alone(connect(name, window)))) {
            Some(Outcome::Connected { epoch, .. }) => epoch,
            other => panic!("{other:?}"),
        }
    }

    /// One message is published and acknowledged: what that costs.
    fn settle_one(&mut self) -> Cost {
        self.published += 1;
        self.storage.cost = Cost::default();
        let number = self.published;
        let body = format!(r#"{{"id":"m{number}","from":"sender","type":"a","payload":{number}}}"#);
        let publish = Ask::Publish { message: stored_message(&body).unwrap() };
        let seq = match self.event(&Event::Command(Command::alone(publish))) {
            Some(Outcome::Accepted { seq, .. }) => seq,
            other => panic!("{other:?}"),
        };
        let what = Settled::Seqs(vec![seq]);
        let ask = Ask::Ack { agent: self.settles.agent.clone(), what };
        let answer = self.event(&Event::Command(Command::over(self.settles.clone(), ask)));
        assert_eq!(answer, Some(Outcome::Settled { settled: 1, unknown: 0 }));
        self.storage.cost
    }

    /// Time passes, and the alarm rings: what that costs.
    fn rest(&mut self) -> Cost {
        self.storage.cost = Cost::default();
        self.host_ms += MESSAGE_MS;
        if self.alarm.is_some_and(|due| due.0 <= self.host_ms) {
            self.event(&Event::Alarm);
        }
        self.storage.cost
    }

    /// Goes on until so many were settled: what all that cost.
    fn settle_until(&mut self, settled: u64) -> Cost {
        let mut all = Cost::default();
        while self.published < settled {
            for cost in [self.settle_one(), self.rest()] {
                all.statements += cost.statements;
                all.rows_read += cost.rows_read;
                all.rows_written += cost.rows_written;
                all.bytes_written += cost.bytes_written;
                all.runs += cost.runs;
            }
        }
        all
    }

    /// The most that one of the next messages costs; those that complete a run are few.
    fn measure(&mut self) -> Cost {
        let costs = (0..MEASURED).map(|_| {
            self.rest();
            self.settle_one()
        });
        let (with_run, others): (Vec<Cost>, Vec<Cost>) = costs.partition(|cost| cost.runs > 0);
        assert!(with_run.len() <= 2, "{with_run:?}");
        assert!(with_run.iter().all(|cost| cost.is_within(MOST_WITH_RUN)), "{with_run:?}");
        others.into_iter().fold(Cost::default(), Cost::max)
    }

    fn check_flat(mut self, beside: &str) {
        self.settle_until(EARLY);
        let early = self.measure();
        let all = self.settle_until(LATE);
        let late = self.measure();
        println!("beside {beside}: {early:?} early, {late:?} late, {all:?} in all");
        assert!(early.is_within(MOST), "beside {beside}: {early:?}");
        assert!(late.is_within(MOST), "beside {beside}: {late:?} after {early:?}");
        let messages = LATE - EARLY;
        let most = Cost {
            statements: 10 * messages,
            rows_read: 6 * messages,
            // It comes, it is settled, and it goes; and a round has a row or two of its own.
            rows_written: 3 * messages + messages / 10,
            bytes_written: 2_000 * messages,
            // One as it is completed, and again after rounds that delete from it.
            runs: messages / 512,
        };
        assert!(all.is_within(most), "beside {beside}: {all:?} in all");
    }
}

#[test]
fn a_message_costs_the_same_late_as_early_beside_an_agent_that_is_away() {
    let mut workspace = Workspace::new();
    let epoch = workspace.begin("silent", Some(Window::DEFAULT));
    let connection = Connection { agent: agent("silent"), epoch };
    workspace.event(&Event::Command(Command::alone(Ask::Disconnect { connection })));
    workspace.check_flat("an agent that is away");
}

#[test]
fn a_message_costs_the_same_late_as_early_beside_a_session_that_settles_nothing() {
    let mut workspace = Workspace::new();
    workspace.begin("silent", Some(Window::DEFAULT));
    workspace.check_flat("a session that settles nothing");
}

#[test]
fn a_message_costs_the_same_late_as_early_beside_a_session_of_the_original() {
    let mut workspace = Workspace::new();
    workspace.begin("silent", None);
    workspace.check_flat("a session of the original");
}

/// The check can fail: an object that wakes reads what no run tells of, and that is not flat.
#[test]
fn waking_is_counted_and_is_not_flat() {
    let mut workspace = Workspace::new();
    workspace.settle_until(EARLY);
    workspace.machine = SqlMailboxes::wake(workspace.alarm, Vec::new());
    let inbox = Ask::Inbox { agent: agent("settles"), after: Ordinal::ZERO, limit: 1 };
    workspace.storage.cost = Cost::default();
    workspace.event(&Event::Command(Command::alone(inbox)));
    let cost = workspace.storage.cost;
    assert!((900..EARLY).contains(&cost.rows_read) && !cost.is_within(MOST), "{cost:?}");
}
