//! The machine and the reference model side by side.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Agent;
use mailbus_spec::mailbox::{Command, Connection, MailboxMachine, MailboxStep, Notice};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine};

use super::storage::{Counting, WithoutRuns};
use crate::machine::Machine;
use crate::mailbox::sql::SqlMailboxes;
use crate::mailbox::sql::load::Loader;
use crate::mailbox::sql::log::Log;
use crate::mailbox::{Handled, Session};
use crate::native::sqlite::Database;
use crate::sql::Load;
use crate::storage::{Storage, Value};

/// Most messages of a run in a small world.
const FEW: usize = 4;
/// What the table of runs and its triggers cost.
const RUN_TABLE_ROWS: u64 = 6;
/// Most runs that one event writes, and that a round of collection does.
const MOST_RUNS: [usize; 2] = [1, 8];

/// The machine with its database, its sockets and the platform's alarm, and the model that judges it.
pub(super) struct Pair {
    pub model: MailboxMachine,
    pub mailboxes: SqlMailboxes,
    pub database: Database,
    /// What open sockets keep.
    pub sockets: BTreeMap<Connection, Session>,
    pending_alarm: Option<HostTime>,
    events: usize,
    /// Most messages of a run.
    run: usize,
}

/// The table of runs: for each where it ends and what it tells, if it does.
type Runs = BTreeMap<u64, (u64, Option<Vec<u8>>)>;

impl Pair {
    pub fn new() -> Self {
        Self::in_runs_of(FEW)
    }

    pub fn in_runs_of(run: usize) -> Self {
        let mut pair = Self {
            model: MailboxMachine::default(),
            mailboxes: SqlMailboxes::wake(None, Vec::new()),
            database: Database::in_memory().unwrap(),
            sockets: BTreeMap::new(),
            pending_alarm: None,
            events: 0,
            run,
        };
        pair.evict();
        pair
    }

    fn sessions(&self) -> Vec<Session> {
        self.sockets.values().cloned().collect()
    }

    /// The object loses its memory; its sockets stay.
    pub fn evict(&mut self) {
        let loader = Loader::in_runs_of(self.run, self.sessions());
        self.mailboxes = SqlMailboxes::asleep(self.pending_alarm, loader);
    }

    /// Writes all runs that are due, as events would one by one; the object loses its memory.
    pub fn write_runs(&mut self) {
        let mut machine =
            Loader::in_runs_of(self.run, Vec::new()).finish(&mut self.database).unwrap();
        machine.write_runs(&mut self.database, usize::MAX).unwrap();
        self.evict();
    }

    fn runs(&mut self) -> Option<Runs> {
        let table = "SELECT 1 FROM sqlite_master WHERE name = 'run'";
        if self.database.query(table, &[]).unwrap().is_empty() {
            return None;
        }
        let rows = self.database.query("SELECT first_seq, last_seq, messages FROM run", &[]);
        let number = |value: &Value| match value {
            Value::Integer(number) => u64::try_from(*number).unwrap(),
            other => panic!("{other:?}"),
        };
        let run = |row: Vec<Value>| {
            let messages = match &row[2] {
                Value::Blob(messages) => Some(messages.clone()),
                _ => None,
            };
            (number(&row[0]), (number(&row[1]), messages))
        };
        Some(rows.unwrap().into_iter().map(run).collect())
    }

    /// The object loses its memory and its sockets.
    pub fn crash(&mut self) {
        self.sockets.clear();
        self.model.break_sessions();
        self.evict();
    }

    /// One event on both, compared in its step alone.
    pub fn quickly(&mut self, host: HostTime, event: &Event<Command>) {
        let expected = self.model.handle(host, event);
        let handled = self.mailboxes.handle(&mut self.database, host, event).unwrap();
        self.pending_alarm = handled.alarm.or(self.pending_alarm);
        assert_same(&handled.step, &expected, "event in between");
        self.note_sockets(&handled);
    }

    /// One event on both, compared in everything that can be seen.
    pub fn event(&mut self, host: HostTime, event: &Event<Command>) -> MailboxStep {
        self.event_with_failure(host, event, None)
    }

    /// The same, where the statement of this number fails at first and the event is tried again after
    /// a rollback.
    pub fn event_with_failure(
        &mut self,
        host: HostTime,
        event: &Event<Command>,
        failing_statement: Option<u64>,
    ) -> MailboxStep {
        let place = format!("event {}, {} at {host:?}", self.events, brief(event));
        self.events += 1;
        let before = self.model.clone();
        let (tombstones, runs) = (self.tombstones(), self.runs());
        let expected = self.model.handle(host, event);
        if matches!(event, Event::Alarm) {
            self.pending_alarm = None;
        }
        let handled = self.handle(host, event, failing_statement);
        self.pending_alarm = handled.alarm.or(self.pending_alarm);
        assert_same(&handled.step, &expected, &place);
        assert_eq!(self.mailboxes.next_alarm(), self.model.next_alarm(), "alarm after {place}");
        self.note_sockets(&handled);
        let dropped = tombstones.saturating_sub(self.tombstones());
        let of_runs = self.rows_of_runs(&before, runs, matches!(event, Event::Alarm), &place);
        self.check_rows(&before, &handled, event, dropped.saturating_add(of_runs), &place);
        self.check_alarm(host, &place);
        expected
    }

    /// Number of rows that are of agents that are forgotten.
    fn tombstones(&mut self) -> u64 {
        if self
            .database
            .query("SELECT 1 FROM sqlite_master WHERE name = 'agent'", &[])
            .unwrap()
            .is_empty()
        {
            return 0;
        }
        let found = self.database.query("SELECT 1 FROM agent WHERE known = 0", &[]).unwrap();
        found.len() as u64
    }

    fn handle(
        &mut self,
        host: HostTime,
        event: &Event<Command>,
        failing_statement: Option<u64>,
    ) -> Handled {
        if failing_statement.is_some() {
            let before = self.database.bookmark().unwrap();
            self.database.faults().fail_at = failing_statement;
            let tried = self.mailboxes.handle(&mut self.database, host, event);
            self.database.faults().fail_at = None;
            match tried {
                Ok(handled) => return handled,
                Err(_) => {
                    self.database.restore(&before).unwrap();
                    self.evict();
                }
            }
        }
        self.database.take_rows();
        let handled = self.mailboxes.handle(&mut self.database, host, event).unwrap();
        assert_eq!(handled.rows, self.database.take_rows(), "the rows at the seam");
        handled
    }

    fn note_sockets(&mut self, handled: &Handled) {
        for push in &handled.step.pushes {
            if matches!(push.notice, Notice::Closed(_)) {
                self.sockets.remove(&push.to);
            }
        }
        for session in &handled.kept {
            assert!(self.model.is_live(&session.connection()), "{session:?} is not live");
            let kept = serde_json::to_string(session).unwrap();
            assert!(kept.len() < 16_384);
            let again: Session = serde_json::from_str(&kept).unwrap();
            assert_eq!(&again, session);
            self.sockets.insert(session.connection(), again);
        }
    }

    /// Memory is what waking makes of the rows and the sockets: an eviction here would change nothing. And
    /// waking makes of the runs what it makes of the rows they stand for, and reads fewer.
    pub fn check_memory(&mut self) {
        let sessions = self.sessions();
        let load = |storage: &mut dyn Storage| {
            Loader::in_runs_of(self.run, sessions.clone()).finish(storage).unwrap()
        };
        let mut counting = Counting { database: &mut self.database, rows: 0 };
        let loaded = load(&mut counting);
        let read = counting.rows;
        let mut by_rows = load(&mut WithoutRuns(&mut self.database));
        by_rows.has_runs = loaded.has_runs;
        assert!(by_rows == loaded, "{by_rows:#?} is not {loaded:#?} after event {}", self.events);
        let Some(machine) = self.mailboxes.memory() else { return };
        assert_eq!(machine.header, loaded.header, "after event {}", self.events);
        for (name, agent) in &machine.agents {
            assert_eq!(Some(agent), loaded.agents.get(name), "{name} after event {}", self.events);
        }
        assert!(*machine == loaded, "{machine:#?} is not {loaded:#?} after event {}", self.events);
        assert_eq!(due(&machine.log), due(&loaded.log), "after event {}", self.events);
        self.check_read(read);
    }

    /// One row a run, one for each message that no run tells of, and the rows of numbers, agents and dead
    /// letters.
    fn check_read(&mut self, read: u64) {
        let (told, runs) = self.runs().map_or((0, 0), |runs| {
            let log = &self.model.log.entries;
            let is_in =
                |first: u64, last: u64| move |seq: &&Ordinal| (first..=last).contains(&seq.get());
            let told = runs.iter().filter(|(_, (_, messages))| messages.is_some());
            let told =
                told.map(|(first, (last, _))| log.keys().filter(is_in(*first, *last)).count());
            (told.sum(), runs.len())
        });
        let untold = self.model.log.entries.len().saturating_sub(told);
        let failed = self.model.agents.values().map(|agent| agent.failed.len());
        let beside = 3 + self.model.agents.len() as u64 + failed.sum::<usize>() as u64;
        let beside = beside + self.tombstones();
        let most = (untold + runs) as u64 + beside;
        assert!(read <= most, "{read} rows where {most} are allowed after event {}", self.events);
    }

    /// The rows that an event may write for runs: where a message was deleted or changed its run tells
    /// nothing any more, and is written anew or goes; and one that is complete is written.
    fn rows_of_runs(
        &mut self,
        before: &MailboxMachine,
        runs: Option<Runs>,
        is_round: bool,
        place: &str,
    ) -> u64 {
        let Some(after) = self.runs() else { return 0 };
        let mut rows = if runs.is_some() { 0 } else { RUN_TABLE_ROWS };
        let before_runs = runs.unwrap_or_default();
        for (first, old) in &before_runs {
            let new = after.get(first);
            if new == Some(old) {
                continue;
            }
            rows += u64::from(new.is_none());
            if old.1.is_some() {
                let changed = before.log.entries.iter().any(|(seq, logged)| {
                    let now = self.model.log.entries.get(seq);
                    (*first..=old.0).contains(&seq.get())
                        && now.is_none_or(|now| now.refused != logged.refused)
                });
                assert!(changed, "a run that nothing happened to is changed: {place}");
                rows += 1;
            }
        }
        let written = after
            .iter()
            .filter(|(first, new)| new.1.is_some() && before_runs.get(first) != Some(new));
        let written = written.count();
        assert!(written <= MOST_RUNS[usize::from(is_round)], "{written} runs: {place}");
        rows + written as u64
    }

    /// The budget of rows of one event, and what goes with it `besides`: rows of the forgotten and
    /// runs; but for the first write, which creates the tables.
    fn check_rows(
        &self,
        before: &MailboxMachine,
        handled: &Handled,
        event: &Event<Command>,
        besides: u64,
        place: &str,
    ) {
        assert_eq!(handled.rows > 0, handled.step.wrote, "{place}");
        if before.sequence == 0 {
            return;
        }
        let after = &self.model;
        let seqs = |model: &MailboxMachine| model.log.entries.keys().copied().collect();
        let (old, new): (BTreeSet<Ordinal>, BTreeSet<Ordinal>) = (seqs(before), seqs(after));
        let messages = old.symmetric_difference(&new).count();
        let refusals = before
            .log
            .entries
            .iter()
            .filter(|(seq, logged)| {
                let now = after.log.entries.get(seq);
                now.is_some_and(|now| now.refused.len() < logged.refused.len())
            })
            .count();
        let names: BTreeSet<&AgentId> = before.agents.keys().chain(after.agents.keys()).collect();
        let nobody = Agent::default();
        let (mut agents, mut dead) = (0, 0);
        for name in names {
            let one = |model: &'_ MailboxMachine| model.agents.get(name).cloned();
            let (old, new) = (one(before), one(after));
            let (old, new) = (old.as_ref().unwrap_or(&nobody), new.as_ref().unwrap_or(&nobody));
            agents += usize::from(is_written(old, new));
            let seqs = |agent: &Agent| agent.failed.keys().copied().collect::<BTreeSet<_>>();
            dead += seqs(old).symmetric_difference(&seqs(new)).count();
        }
        let meta = matches!(event, Event::Alarm)
            || before.clock.offset != after.clock.offset
            || before.generation != after.generation
            || messages + agents + dead + refusals == 0;
        let forgets = usize::from(before.agents.len() > after.agents.len());
        let most = (messages + agents + dead + refusals + usize::from(meta) + forgets) as u64;
        let most = most + besides;
        assert!(handled.rows <= most, "{} rows where {most} are allowed: {place}", handled.rows);
    }

    /// The platform's alarm rings in time, unless the host's clock cannot be believed.
    fn check_alarm(&self, host: HostTime, place: &str) {
        if self.model.clock.observe(host).is_err() {
            return;
        }
        if let Some(next) = self.model.next_alarm() {
            let next = self.model.clock.host_at(next).max(host);
            let pending = self.pending_alarm.expect("an alarm is set");
            assert!(pending <= next, "the alarm is at {pending:?}, due at {next:?}: {place}");
        }
    }
}

/// Run that is due, by its bounds if it told before. One that never told may begin elsewhere
/// after waking: messages deleted before it was due leave its segment short, and waking fills segments anew.
fn due(log: &Log) -> Option<Option<(Ordinal, Ordinal)>> {
    log.due_run().map(|run| (run.0 <= log.covered()).then_some(run))
}

/// True if the event had to write the agent's row. What only arrived is said by the log.
fn is_written(old: &Agent, new: &Agent) -> bool {
    let changed = |(seq, open): (&Ordinal, &_)| new.inbox.open.get(seq) != Some(open);
    old.registration != new.registration
        || old.inbox.open.iter().any(changed)
        || new
            .inbox
            .open
            .iter()
            .any(|(seq, open)| open.redriven && !old.inbox.open.contains_key(seq))
}

/// Messages are long: what differs is told, not everything.
fn assert_same(found: &MailboxStep, expected: &MailboxStep, place: &str) {
    if found == expected {
        return;
    }
    let cut = |text: String| text.chars().take(2_000).collect::<String>();
    if found.reply != expected.reply {
        let (found, expected) = (format!("{:?}", found.reply), format!("{:?}", expected.reply));
        // From a little before the first difference on.
        let same = found.bytes().zip(expected.bytes()).take_while(|(found, right)| found == right);
        let begin = same.count().saturating_sub(300);
        let tail = |text: String| text.chars().skip(begin).collect::<String>();
        let (found, expected) = (tail(found), tail(expected));
        panic!("{place}: replied\n{}\nwhere\n{}\nis right", cut(found), cut(expected));
    }
    let pushes = |step: &MailboxStep| {
        let told = step.pushes.iter().map(|push| match &push.notice {
            Notice::Message { seq, attempt, redriven, .. } => {
                format!("{}: {seq}, attempt {attempt}, redriven {redriven}", push.to)
            }
            other => cut(format!("{}: {other:?}", push.to)),
        });
        told.collect::<Vec<_>>().join("\n")
    };
    let (told, right) = (pushes(found), pushes(expected));
    panic!(
        "{place}: wrote {}, {}; pushed\n{told}\nwhere\n{right}\nis right",
        found.wrote, expected.wrote
    );
}

fn brief(event: &Event<Command>) -> String {
    format!("{event:?}").chars().take(400).collect()
}
