//! The machine and the reference model side by side.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_conformance::differential::Loads;
use mailbus_spec::invariant::Transition;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Agent;
use mailbus_spec::mailbox::{Connection, MailboxMachine, Notice};
use mailbus_spec::{AgentId, Ordinal};

use super::storage::{Counting, WithoutRuns};
use crate::machine::Handled;
use crate::mailbox::Session;
use crate::mailbox::sql::load::Loader;
use crate::mailbox::sql::log::Log;
use crate::mailbox::sql::state::MailboxMemory;
use crate::native::sqlite::Database;
use crate::sql::Load;
use crate::sql::tests::{self, Sql, Tested};
use crate::storage::{Storage, Value};

/// Most messages of a run in a small world.
pub(super) const FEW: usize = 4;
/// Rows that the table of runs and its triggers cost.
const RUN_TABLE_ROWS: u64 = 6;
/// Most runs that one event writes, and that a round of collection does.
const MOST_RUNS: [usize; 2] = [1, 8];

/// The machine with its database and its sockets, and the model that judges it.
pub(super) type Pair = tests::Pair<MailboxMemory>;

/// Rows that an event found, and the sessions that it told their sockets to keep.
#[derive(Default)]
pub(crate) struct Found {
    /// Rows of agents that are forgotten.
    tombstones: u64,
    /// Runs, if there is a table of them.
    runs: Option<Runs>,
    told: Vec<Connection>,
}

pub(super) fn pair() -> Pair {
    pair_of_runs(FEW)
}

/// A pair whose runs have at most so many messages.
pub(super) fn pair_of_runs(run: usize) -> Pair {
    tests::pair(run, Loads::default())
}

/// Writes all runs that are due, as events would one by one; the object loses its memory.
pub(super) fn write_runs(pair: &mut Pair) {
    let Sql { database, run, .. } = &mut pair.machine;
    let mut machine = Loader::in_runs_of(*run, Vec::new()).finish(database).unwrap();
    machine.write_runs(database, usize::MAX).unwrap();
    pair.evict();
}

/// The table of runs: for each where it ends and what it tells, if it does.
type Runs = BTreeMap<u64, (u64, Option<Vec<u8>>)>;

impl Tested for MailboxMemory {
    type Found = Found;

    fn found(database: &mut Database) -> Found {
        Found { tombstones: tombstones(database), runs: runs(database), told: Vec::new() }
    }

    fn loader(run: usize, sessions: Vec<Session>) -> Loader {
        Loader::in_runs_of(run, sessions)
    }

    fn note(sql: &mut Sql<Self>, handled: &Handled<MailboxMachine, Session>) {
        for push in &handled.step.pushes {
            if matches!(push.notice, Notice::Closed(_)) {
                sql.sockets.retain(|socket| socket.connection() != push.to);
            }
        }
        for session in &handled.kept {
            let kept = serde_json::to_string(session).unwrap();
            assert!(kept.len() < 16_384);
            let again: Session = serde_json::from_str(&kept).unwrap();
            assert_eq!(&again, session);
            sql.found.told.push(session.connection());
            sql.sockets.retain(|socket| socket.connection() != session.connection());
            sql.sockets.push(again);
        }
    }

    fn look(
        sql: &mut Sql<Self>,
        transition: &Transition<'_, MailboxMachine>,
        rows: u64,
        place: &str,
    ) {
        let found = std::mem::take(&mut sql.found);
        for connection in &found.told {
            assert!(transition.after.is_live(connection), "{connection} is not live, {place}");
        }
        let dropped = found.tombstones.saturating_sub(tombstones(&mut sql.database));
        let of_runs = rows_of_runs(&mut sql.database, transition, found.runs, place);
        check_rows(transition, rows, dropped.saturating_add(of_runs), place);
    }

    /// And waking makes of the runs what it makes of the rows they stand for, and reads fewer.
    fn check_memory(sql: &mut Sql<Self>, model: &MailboxMachine, place: &str) {
        let (sessions, run) = (sql.sockets.clone(), sql.run);
        let load = |storage: &mut dyn Storage| {
            Loader::in_runs_of(run, sessions.clone()).finish(storage).unwrap()
        };
        let mut counting = Counting { database: &mut sql.database, rows: 0 };
        let loaded = load(&mut counting);
        let read = counting.rows;
        let mut by_rows = load(&mut WithoutRuns(&mut sql.database));
        by_rows.has_runs = loaded.has_runs;
        assert!(by_rows == loaded, "{by_rows:#?} is not {loaded:#?} {place}");
        let Some(machine) = sql.machine.memory() else { return };
        assert_eq!(machine.header, loaded.header, "{place}");
        for (name, agent) in &machine.agents {
            assert_eq!(Some(agent), loaded.agents.get(name), "{name} {place}");
        }
        assert!(*machine == loaded, "{machine:#?} is not {loaded:#?} {place}");
        assert_eq!(due(&machine.log), due(&loaded.log), "{place}");
        check_read(&mut sql.database, model, read, place);
    }
}

fn runs(database: &mut Database) -> Option<Runs> {
    let table = "SELECT 1 FROM sqlite_master WHERE name = 'run'";
    if database.query(table, &[]).unwrap().is_empty() {
        return None;
    }
    let rows = database.query("SELECT first_seq, last_seq, messages FROM run", &[]);
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

/// Number of rows that are of agents that are forgotten.
fn tombstones(database: &mut Database) -> u64 {
    if database.query("SELECT 1 FROM sqlite_master WHERE name = 'agent'", &[]).unwrap().is_empty() {
        return 0;
    }
    let found = database.query("SELECT 1 FROM agent WHERE known = 0", &[]).unwrap();
    found.len() as u64
}

/// One row a run, one for each message that no run tells of, and the rows of numbers, agents and dead
/// letters.
fn check_read(database: &mut Database, model: &MailboxMachine, read: u64, place: &str) {
    let (told, runs) = runs(database).map_or((0, 0), |runs| {
        let log = &model.log.entries;
        let is_in =
            |first: u64, last: u64| move |seq: &&Ordinal| (first..=last).contains(&seq.get());
        let told = runs.iter().filter(|(_, (_, messages))| messages.is_some());
        let told = told.map(|(first, (last, _))| log.keys().filter(is_in(*first, *last)).count());
        (told.sum(), runs.len())
    });
    let untold = model.log.entries.len().saturating_sub(told);
    let failed = model.agents.values().map(|agent| agent.failed.len());
    let beside = 3 + model.agents.len() as u64 + failed.sum::<usize>() as u64;
    let beside = beside + tombstones(database);
    let most = (untold + runs) as u64 + beside;
    assert!(read <= most, "{read} rows where {most} are allowed, {place}");
}

/// The rows that an event may write for runs: where a message was deleted or changed its run tells
/// nothing any more, and is written anew or goes; and one that is complete is written.
fn rows_of_runs(
    database: &mut Database,
    transition: &Transition<'_, MailboxMachine>,
    found: Option<Runs>,
    place: &str,
) -> u64 {
    let is_round = *transition.event == Event::Alarm;
    let Some(after) = runs(database) else { return 0 };
    let mut rows = if found.is_some() { 0 } else { RUN_TABLE_ROWS };
    let before_runs = found.unwrap_or_default();
    for (first, old) in &before_runs {
        let new = after.get(first);
        if new == Some(old) {
            continue;
        }
        rows += u64::from(new.is_none());
        if old.1.is_some() {
            let changed = transition.before.log.entries.iter().any(|(seq, logged)| {
                let now = transition.after.log.entries.get(seq);
                (*first..=old.0).contains(&seq.get())
                    && now.is_none_or(|now| now.refused != logged.refused)
            });
            assert!(changed, "a run that nothing happened to is changed: {place}");
            rows += 1;
        }
    }
    let written =
        after.iter().filter(|(first, new)| new.1.is_some() && before_runs.get(first) != Some(new));
    let written = written.count();
    assert!(written <= MOST_RUNS[usize::from(is_round)], "{written} runs: {place}");
    rows + written as u64
}

/// Run that is due, by its bounds if it told before. One that never told may begin elsewhere
/// after waking: messages deleted before it was due leave its segment short, and waking fills segments anew.
fn due(log: &Log) -> Option<Option<(Ordinal, Ordinal)>> {
    log.due_run().map(|run| (run.0 <= log.covered()).then_some(run))
}

/// The budget of rows of one event, and what goes with it `besides`: rows of the forgotten and
/// runs; but for the first write, which creates the tables.
fn check_rows(transition: &Transition<'_, MailboxMachine>, rows: u64, besides: u64, place: &str) {
    let (before, after) = (transition.before, transition.after);
    if before.sequence == 0 {
        return;
    }
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
    let meta = *transition.event == Event::Alarm
        || before.clock.offset != after.clock.offset
        || before.generation != after.generation;
    let forgets = usize::from(before.agents.len() > after.agents.len());
    let shown = messages + agents + dead + refusals;
    // An agent's row that is written again in the millisecond in which it was written shows in no state.
    let again = meta && shown == 0 && before.clock.floor == after.clock.floor;
    let meta = meta || shown == 0;
    let most = (shown + usize::from(meta) + usize::from(again) + forgets) as u64;
    let most = most + besides;
    assert!(rows <= most, "{rows} rows where {most} are allowed: {place}");
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
