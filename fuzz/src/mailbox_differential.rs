//! Any bytes as a history of the mailbox object: production answers what the specification answers,
//! through evictions, crashes, restores and failing statements.

mod ask;
mod draw;

use std::collections::BTreeMap;
use std::fmt;

use arbitrary::{Arbitrary, Unstructured};
use mailbus_spec::invariant::Transition;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, Connection, MailboxMachine, MailboxStep, Notice, Outcome,
};
use mailbus_spec::{HostTime, Ordinal, StateMachine};
use mailbus_worker::machine::Machine;
use mailbus_worker::mailbox::{Handled, Session, SqlMailboxes};
use mailbus_worker::native::sqlite::{Bookmark, Database};
use mailbus_worker::storage::StorageError;

use crate::spare::{Spare, with_database};
use draw::{Budget, Fate, Happening};

const NOON: u64 = 1_800_000_000_000;
/// Most events of a history, where a burst is one.
const LONGEST: usize = 200;
/// The last events of a burst, before which it is looked at now and then alone.
const LOOKED_AT: usize = 20;

thread_local! {
    static SPARE: Spare = const { Spare::new(None) };
}

/// Runs the history on both.
///
/// # Panics
/// If production answers anything else than the specification, or an invariant does not hold.
pub fn run(bytes: &[u8]) {
    with_database(bytes.len(), &SPARE, make_tables, |database| {
        let mut input = Unstructured::new(bytes);
        let mut story = Story::new(database, Budget::of(bytes.len()));
        for _ in 0..LONGEST {
            if input.is_empty() {
                break;
            }
            let Ok(happening) = Happening::arbitrary(&mut input) else { break };
            story.happens(&happening);
        }
        story.spare_database()
    });
}

fn make_tables(database: &mut Database) {
    let recover = Command::alone(Ask::Recover { at_least: Ordinal::ZERO });
    let mut production = SqlMailboxes::wake(None, Vec::new());
    let made = production.handle(database, HostTime(NOON), &Event::Command(recover));
    made.expect("a database in memory can be written");
}

/// The model, production, and what surrounds an object: its database, its sockets and its alarm.
struct Story {
    host: u64,
    model: MailboxMachine,
    production: SqlMailboxes,
    database: Database,
    /// What open sockets keep, as the text that they keep.
    sockets: BTreeMap<Connection, String>,
    pending: Option<HostTime>,
    /// Every session there ever was, in order.
    connected: Vec<Connection>,
    kept: Option<Kept>,
    events: usize,
    budget: Budget,
    /// True if the database was put back, or became large.
    is_spoilt: bool,
}

/// A state to come back to.
struct Kept {
    model: MailboxMachine,
    database: Bookmark,
    pending: Option<HostTime>,
}

impl Story {
    fn new(database: Database, budget: Budget) -> Self {
        Self {
            host: NOON,
            model: MailboxMachine::default(),
            production: SqlMailboxes::wake(None, Vec::new()),
            database,
            sockets: BTreeMap::new(),
            pending: None,
            connected: Vec::new(),
            kept: None,
            events: 0,
            budget,
            is_spoilt: false,
        }
    }

    /// The database, if another history can go on in it.
    fn spare_database(self) -> Option<Database> {
        (!self.is_spoilt).then_some(self.database)
    }

    fn happens(&mut self, happening: &Happening) {
        let load = self.budget.take(happening);
        self.is_spoilt |= load.is_long();
        let at = happening.clock(self.host);
        // A clock that cannot be is a matter of one event.
        if HostTime(at).is_plausible() {
            self.host = at;
        }
        let mut failing = None;
        match happening.fate() {
            Fate::GoesOn => {}
            Fate::Evicted => self.evict(),
            Fate::Crashed => self.crash(),
            Fate::StatementFails(number) => failing = Some(number),
            Fate::Kept => self.keep(),
            Fate::Restored => self.restore(),
        }
        let mut last = None;
        for number in 0..load.messages() {
            let event = happening.event(&self.model, &self.connected, (load, number));
            // Most of a burst is alike, and to look takes as long as there is much to look at.
            let looks = number % LOOKED_AT == 0 || number + LOOKED_AT >= load.messages();
            let before = looks.then(|| self.model.clone());
            let step = self.event(HostTime(at), &event, failing.take());
            if let Some(before) = before
                && last.replace(shape(&step)) != Some(shape(&step))
            {
                self.look(&before, HostTime(at), &event, &step);
            }
        }
    }

    /// The object loses its memory; its sockets stay.
    fn evict(&mut self) {
        let sessions = self.sockets.values().map(|kept| serde_json::from_str::<Session>(kept));
        let sessions: Result<Vec<Session>, _> = sessions.collect();
        let sessions = sessions.expect("what a socket keeps is read again");
        self.production = SqlMailboxes::wake(self.pending, sessions);
    }

    /// The object loses its memory and its sockets.
    fn crash(&mut self) {
        self.sockets.clear();
        self.model.break_sessions();
        self.evict();
    }

    fn keep(&mut self) {
        let database = self.database.bookmark().expect("a database in memory can be read");
        let (model, pending) = (self.model.clone(), self.pending);
        self.kept = Some(Kept { model, database, pending });
    }

    /// The storage and the alarm are put back; a platform's restore drops the sockets too.
    fn restore(&mut self) {
        if let Some(kept) = &self.kept {
            self.is_spoilt = true;
            self.database.restore(&kept.database).expect("a database in memory can be written");
            (self.model, self.pending) = (kept.model.clone(), kept.pending);
        }
        self.crash();
    }

    /// One event on both.
    fn event(
        &mut self,
        host: HostTime,
        event: &Event<Command>,
        failing: Option<u64>,
    ) -> MailboxStep {
        let place = Place { number: self.events, host, event };
        self.events += 1;
        let step = self.model.handle(host, event);
        let Handled { step: found, rows, alarm, kept: sessions } =
            self.handle(host, event, failing);
        assert_same(&found, &step, &place);
        assert_eq!(rows > 0, step.wrote, "{rows} rows, {place}");
        self.pending = alarm.or(self.pending);
        self.note(event, &step, &sessions, &place);
        step
    }

    /// Holds alarm and invariants against what the last event did.
    fn look(
        &mut self,
        before: &MailboxMachine,
        host: HostTime,
        event: &Event<Command>,
        step: &MailboxStep,
    ) {
        let place = Place { number: self.events - 1, host, event };
        self.check_alarm(host, &place);
        let transition = Transition { before, host, event, step, after: &self.model };
        if let Err((name, why)) = transition.check(None) {
            panic!("{name}: {why}, {place}");
        }
    }

    /// Production's part. The statement of the number `failing` fails; then the event is undone, the
    /// object wakes anew, and the event comes again.
    fn handle(&mut self, host: HostTime, event: &Event<Command>, failing: Option<u64>) -> Handled {
        if *event == Event::Alarm {
            self.pending = None;
        }
        if failing.is_some() {
            self.database.faults().fail_at = failing;
            let tried = self.transact(host, event);
            self.database.faults().fail_at = None;
            if let Ok(handled) = tried {
                return handled;
            }
            self.evict();
        }
        let handled = self.transact(host, event);
        handled.unwrap_or_else(|error| panic!("event {}: {error}", self.events))
    }

    fn transact(
        &mut self,
        host: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        let Self { database, production, .. } = self;
        database.transact(|storage| production.handle(storage, host, event))
    }

    /// Does to the sockets what the event did, and remembers who came.
    fn note(
        &mut self,
        event: &Event<Command>,
        step: &MailboxStep,
        sessions: &[Session],
        place: &Place<'_>,
    ) {
        for push in &step.pushes {
            if matches!(push.notice, Notice::Closed(_)) {
                self.sockets.remove(&push.to);
            }
        }
        for session in sessions {
            let connection = session.connection();
            assert!(self.model.is_live(&connection), "{connection} is not live, {place}");
            let kept = serde_json::to_string(session).expect("a session is written");
            self.sockets.insert(connection, kept);
        }
        let answer = step.reply.as_ref().and_then(|reply| reply.answer.as_ref().ok());
        if let (Event::Command(command), Some(Outcome::Connected { epoch, .. })) = (event, answer)
            && let Some(agent) = command.ask.agent()
        {
            self.connected.push(Connection { agent: agent.clone(), epoch: *epoch });
        }
    }

    /// The platform's alarm rings in time, unless the host's clock cannot be believed.
    fn check_alarm(&mut self, host: HostTime, place: &Place<'_>) {
        let next = self.model.next_alarm();
        assert_eq!(self.production.next_alarm(), next, "the alarm that is wanted, {place}");
        let (Ok(_), Some(next)) = (self.model.clock.observe(host), next) else { return };
        let due = self.model.clock.host_at(next).max(host);
        let pending = self.pending.unwrap_or_else(|| panic!("no alarm is set, {place}"));
        assert!(pending <= due, "the alarm is set to {}, due at {}, {place}", pending.0, due.0);
    }
}

/// Shape of a step, which tells those of a burst apart: how much it pushes, and whom it reaches.
fn shape(step: &MailboxStep) -> (usize, bool, Option<(u64, usize)>) {
    let answer = step.reply.as_ref().map(|reply| &reply.answer);
    let accepted = match answer {
        Some(Ok(Outcome::Accepted { recipients, refused, .. })) => {
            Some((*recipients, refused.len()))
        }
        _ => None,
    };
    (step.pushes.len(), step.wrote, accepted)
}

/// Event that it was, for people.
struct Place<'a> {
    number: usize,
    host: HostTime,
    event: &'a Event<Command>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} at {}: {}", self.number, self.host.0, brief(self.event))
    }
}

/// Messages are long: of a difference the beginning is told.
fn assert_same(found: &MailboxStep, expected: &MailboxStep, place: &Place<'_>) {
    assert_eq!(found.wrote, expected.wrote, "whether it wrote, {place}");
    if found.reply != expected.reply {
        let (found, right) = (brief(&found.reply), brief(&expected.reply));
        panic!("production replied {found} where {right} is right, {place}");
    }
    let mut both = found.pushes.iter().zip(&expected.pushes).enumerate();
    if let Some((number, (found, right))) = both.find(|(_, (found, right))| found != right) {
        let (found, right) = (brief(found), brief(right));
        panic!("push {number} is {found} where {right} is right, {place}");
    }
    assert_eq!(found.pushes.len(), expected.pushes.len(), "how many pushes, {place}");
}

fn brief(value: &impl fmt::Debug) -> String {
    format!("{value:?}").chars().take(600).collect()
}
