//! The machine and the reference model side by side.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Agent;
use mailbus_spec::mailbox::{Command, Connection, MailboxMachine, MailboxStep, Notice};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine};

use crate::mailbox::sql::SqlMailboxes;
use crate::mailbox::sql::state::Machine;
use crate::mailbox::{Handled, Mailboxes, Session};
use crate::native::sqlite::Database;
use crate::storage::Storage;

/// The machine with its database, its sockets and the platform's alarm, and the model that judges it.
pub(super) struct Pair {
    pub model: MailboxMachine,
    pub mailboxes: SqlMailboxes,
    pub database: Database,
    /// What open sockets keep.
    pub sockets: BTreeMap<Connection, Session>,
    pending_alarm: Option<HostTime>,
    events: usize,
}

impl Pair {
    pub fn new() -> Self {
        Self {
            model: MailboxMachine::default(),
            mailboxes: SqlMailboxes::wake(None, Vec::new()),
            database: Database::in_memory().unwrap(),
            sockets: BTreeMap::new(),
            pending_alarm: None,
            events: 0,
        }
    }

    fn sessions(&self) -> Vec<Session> {
        self.sockets.values().cloned().collect()
    }

    /// The object loses its memory; its sockets stay.
    pub fn evict(&mut self) {
        self.mailboxes = SqlMailboxes::wake(self.pending_alarm, self.sessions());
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
        let tombstones = self.tombstones();
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
        self.check_rows(&before, &handled, event, dropped, &place);
        self.check_alarm(host, &place);
        expected
    }

    /// How many rows are of agents that are forgotten.
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
        for session in &handled.sessions {
            assert!(self.model.is_live(&session.connection()), "{session:?} is not live");
            let kept = serde_json::to_string(session).unwrap();
            assert!(kept.len() < 16_384);
            let again: Session = serde_json::from_str(&kept).unwrap();
            assert_eq!(&again, session);
            self.sockets.insert(session.connection(), again);
        }
    }

    /// Memory is what waking makes of the rows and the sockets: an eviction here would change nothing.
    pub fn check_memory(&mut self) {
        let sessions = self.sessions();
        let loaded = Machine::load(&mut self.database, sessions).unwrap();
        let Some(machine) = &self.mailboxes.machine else { return };
        assert_eq!(machine.ledger, loaded.ledger, "after event {}", self.events);
        for (name, agent) in &machine.agents {
            assert_eq!(Some(agent), loaded.agents.get(name), "{name} after event {}", self.events);
        }
        assert!(*machine == loaded, "{machine:#?} is not {loaded:#?} after event {}", self.events);
    }

    /// The budget of MAILBOXES.md, "Production", but for the first write, which creates the tables.
    fn check_rows(
        &self,
        before: &MailboxMachine,
        handled: &Handled,
        event: &Event<Command>,
        dropped_tombstones: u64,
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
        let most = most + dropped_tombstones;
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

/// Whether the event had to write the agent's row. What only arrived is said by the log.
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
