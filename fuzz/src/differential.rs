//! Any bytes as a history of an object: production answers what the specification answers, through
//! evictions, crashes, restores and failing statements.
//!
//! Bytes are [operations](Operation) of the grammar of histories; a finding is kept as the script that they
//! were, which outlives the grammar.

use std::cell::RefCell;
use std::thread::LocalKey;

use mailbus_conformance::differential::{self, Handled, Loads, Operation, Pair};
use mailbus_conformance::{EXACT_START, Subject};
use mailbus_spec::lease;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{self, Ask, Connection, MailboxMachine, Notice};
use mailbus_spec::{HostTime, Ordinal, StateMachine, Timestamp};
use mailbus_worker::lease::SqlLeases;
use mailbus_worker::machine::{self, Machine};
use mailbus_worker::mailbox::{Session, SqlMailboxes};
use mailbus_worker::native::sqlite::{Bookmark, Database};
use mailbus_worker::storage::StorageError;

/// Most operations of a history.
const LONGEST: usize = 200;
/// One length in so many begins in a new database, without tables.
const NEW: usize = 64;
/// One length in so many may bring large loads. How often is not the fuzzer's to choose, which finds them
/// new and interesting.
const LARGE: usize = 5 * Operation::BYTES;

/// Database that the last history of a target on this thread has left.
type Spare = RefCell<Option<Database>>;

/// Production of a service, as this target needs it.
pub trait Production: Machine<Service: Subject, Kept: Clone> {
    /// A machine that has just woken.
    fn wake(pending_alarm: Option<HostTime>, kept: Vec<Self::Kept>) -> Self;

    /// The alarm that it wants, in object time.
    fn next_alarm(&mut self) -> Option<Timestamp>;

    /// A command that always writes: it makes the tables.
    fn first() -> <Self::Service as StateMachine>::Command;

    /// Does to what sockets keep what an event did.
    fn note(_sockets: &mut Vec<Self::Kept>, _handled: machine::Handled<Self::Service, Self::Kept>) {
    }
}

impl Production for SqlLeases {
    fn wake(pending_alarm: Option<HostTime>, kept: Vec<Self::Kept>) -> Self {
        Self::wake(pending_alarm, kept)
    }

    fn next_alarm(&mut self) -> Option<Timestamp> {
        Self::next_alarm(self)
    }

    fn first() -> lease::Command {
        lease::Command::Recover { at_least: Ordinal::ZERO }
    }
}

impl Production for SqlMailboxes {
    fn wake(pending_alarm: Option<HostTime>, kept: Vec<Self::Kept>) -> Self {
        Self::wake(pending_alarm, kept)
    }

    fn next_alarm(&mut self) -> Option<Timestamp> {
        Self::next_alarm(self)
    }

    fn first() -> mailbox::Command {
        mailbox::Command::alone(Ask::Recover { at_least: Ordinal::ZERO })
    }

    fn note(sockets: &mut Vec<Session>, handled: machine::Handled<MailboxMachine, Session>) {
        let close = |sockets: &mut Vec<Session>, connection: &Connection| {
            sockets.retain(|socket| socket.connection() != *connection);
        };
        for push in &handled.step.pushes {
            if matches!(push.notice, Notice::Closed(_)) {
                close(sockets, &push.to);
            }
        }
        for session in handled.kept {
            close(sockets, &session.connection());
            let kept = serde_json::to_string(&session).expect("a session is written");
            let again: Session = serde_json::from_str(&kept).expect("what is kept is read again");
            assert_eq!(again, session);
            sockets.push(session);
        }
    }
}

/// Production with its database, and with what its sockets keep.
struct Sql<P: Production> {
    production: P,
    database: Database,
    sockets: Vec<P::Kept>,
    /// True if the database was put back, or became large: nothing else goes on in it.
    is_spoilt: bool,
}

impl<P: Production> Sql<P> {
    fn new(database: Database) -> Self {
        let production = P::wake(None, Vec::new());
        Self { production, database, sockets: Vec::new(), is_spoilt: false }
    }

    /// An empty database with tables.
    fn database() -> Database {
        let mut database = Database::in_memory().expect("SQLite has memory");
        let first = Event::Command(P::first());
        let made = P::wake(None, Vec::new()).handle(&mut database, EXACT_START, &first);
        made.expect("a database in memory can be written");
        clear(&mut database);
        database
    }
}

impl<P: Production> differential::Machine<P::Service> for Sql<P> {
    type Bookmark = Bookmark;
    type Error = StorageError;

    fn handle(
        &mut self,
        host: HostTime,
        event: &Event<<P::Service as StateMachine>::Command>,
    ) -> Result<Handled<P::Service>, StorageError> {
        let Self { production, database, .. } = self;
        let handled = database.transact(|storage| production.handle(storage, host, event))?;
        let (step, rows, alarm) = (handled.step.clone(), handled.rows, handled.alarm);
        P::note(&mut self.sockets, handled);
        Ok(Handled { step, rows, alarm })
    }

    fn fail_at(&mut self, statement: Option<u64>) {
        self.database.faults().fail_at = statement;
    }

    fn next_alarm(&mut self) -> Option<Timestamp> {
        P::next_alarm(&mut self.production)
    }

    fn wake(&mut self, pending_alarm: Option<HostTime>) {
        self.production = P::wake(pending_alarm, self.sockets.clone());
    }

    fn break_sockets(&mut self) {
        self.sockets.clear();
    }

    fn bookmark(&mut self) -> Bookmark {
        self.database.bookmark().expect("a database in memory can be read")
    }

    fn restore(&mut self, bookmark: Option<&Bookmark>) {
        self.is_spoilt = true;
        match bookmark {
            Some(bookmark) => {
                self.database.restore(bookmark).expect("a database in memory can be written");
            }
            None => clear(&mut self.database),
        }
    }
}

fn clear(database: &mut Database) {
    database.clear().expect("a database in memory can be written");
}

thread_local! {
    static LEASES: Spare = const { Spare::new(None) };
    static MAILBOXES: Spare = const { Spare::new(None) };
}

/// Runs the history of leases that bytes are.
///
/// # Panics
/// If production answers anything else than the specification, or an invariant does not hold.
pub fn leases(bytes: &[u8]) {
    history::<SqlLeases>(bytes, &LEASES);
}

/// Runs the history of mailboxes that bytes are.
///
/// # Panics
/// As [`leases`].
pub fn mailboxes(bytes: &[u8]) {
    history::<SqlMailboxes>(bytes, &MAILBOXES);
}

/// The history that a script tells, on the production of its service.
///
/// # Errors
/// What is wrong with the script.
///
/// # Panics
/// As [`leases`].
pub fn script<P: Production>(text: &str) -> Result<(), String> {
    let database = Database::in_memory().map_err(|error| error.to_string())?;
    Pair::new(Sql::<P>::new(database), Loads::default()).tell(text).map(drop)
}

/// Histories begin one after the other in one database: to open one, and to prepare its statements, takes
/// longer than most histories. Where the tables are there already, what a history finds depends on its
/// bytes alone.
fn history<P: Production>(bytes: &[u8], spare: &'static LocalKey<Spare>) {
    let is_new = bytes.len().is_multiple_of(NEW);
    let large = u8::from(bytes.len().is_multiple_of(LARGE));
    let database = if is_new {
        Database::in_memory().expect("SQLite has memory")
    } else {
        spare.take().unwrap_or_else(Sql::<P>::database)
    };
    let loads = Loads { some: 4, many: large, long: 2 * large, longs: large };
    let mut pair = Pair::new(Sql::<P>::new(database), loads);
    // Whoever replays a file is shown the script that it was.
    pair.prints = !cfg!(fuzzing);
    for operation in Operation::all(bytes).take(LONGEST) {
        pair.operate(&operation);
    }
    let Sql { mut database, is_spoilt, .. } = pair.machine;
    if !is_new && !is_spoilt && large == 0 {
        clear(&mut database);
        spare.set(Some(database));
    }
}
