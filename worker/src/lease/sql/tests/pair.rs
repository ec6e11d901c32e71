//! The machine and the reference model side by side.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::lease::Handled;
use crate::lease::sql::SqlLeases;
use crate::lease::sql::load::Loader;
use crate::machine::Machine;
use crate::native::sqlite::Database;
use crate::sql::Load;

/// The machine with its database and the platform's alarm, and the model that judges it.
pub(super) struct Pair {
    pub model: LeaseMachine,
    pub leases: SqlLeases,
    pub database: Database,
    pending_alarm: Option<HostTime>,
    events: usize,
}

impl Pair {
    pub fn new() -> Self {
        Self {
            model: LeaseMachine::default(),
            leases: SqlLeases::wake(None, Vec::new()),
            database: Database::in_memory().unwrap(),
            pending_alarm: None,
            events: 0,
        }
    }

    /// The object loses its memory.
    pub fn evict(&mut self) {
        self.leases = SqlLeases::wake(self.pending_alarm, Vec::new());
    }

    /// One event on both, compared in everything that can be seen.
    pub fn event(&mut self, host: HostTime, event: &Event<Command>) -> LeaseStep {
        self.event_with_failure(host, event, None)
    }

    /// The same, where the statement of this number fails at first and the event is tried again after
    /// a rollback.
    pub fn event_with_failure(
        &mut self,
        host: HostTime,
        event: &Event<Command>,
        failing_statement: Option<u64>,
    ) -> LeaseStep {
        let place = format!("event {}, {event:?} at {host:?}", self.events);
        self.events += 1;
        let before = self.model.clone();
        let expected = self.model.handle(host, event);
        if matches!(event, Event::Alarm) {
            self.pending_alarm = None;
        }
        let handled = self.handle(host, event, failing_statement);
        self.pending_alarm = handled.alarm.or(self.pending_alarm);
        assert_eq!(handled.step, expected, "{place}");
        assert_eq!(self.leases.next_alarm(), self.model.next_alarm(), "after {place}");
        self.check_rows(&before, &handled, &place);
        self.check_alarm(host, &place);
        expected
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
            let tried = self.leases.handle(&mut self.database, host, event);
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
        let handled = self.leases.handle(&mut self.database, host, event).unwrap();
        assert_eq!(handled.rows, self.database.take_rows(), "the rows at the seam");
        handled
    }

    /// Memory is what waking reads: an eviction here would change nothing.
    pub fn check_memory(&mut self) {
        let loaded = Loader::new(Vec::new()).finish(&mut self.database).unwrap();
        let machine = self.leases.memory().expect("it is awake");
        assert_eq!(*machine, loaded, "after event {}", self.events);
    }

    /// The budget of `spec/rules/leases.md#rows`, but for the first write, which creates the tables.
    fn check_rows(&self, before: &LeaseMachine, handled: &Handled, place: &str) {
        let after = &self.model;
        if before.sequence == 0 {
            return;
        }
        let claims = |machine: &LeaseMachine| {
            machine.leases.len() + machine.queue.len() + machine.remembered.len()
        };
        let collected = claims(before).saturating_sub(claims(after));
        let is_grant = |notice: &Notice| matches!(notice, Notice::Granted { .. });
        let granted = handled.step.pushes.iter().filter(|push| is_grant(&push.notice)).count();
        let lapsed = before.leases.values().any(|lease| lease.expires_at <= after.clock.floor)
            || before.queue.values().any(|ticket| ticket.deadline <= after.clock.floor);
        let reanchored = before.clock.offset != after.clock.offset;
        let most = u64::from(handled.step.wrote)
            + u64::from(lapsed || reanchored)
            + u64::try_from(granted + collected).unwrap();
        assert!(handled.rows <= most, "{} rows where {most} are allowed: {place}", handled.rows);
        assert_eq!(handled.rows > 0, handled.step.wrote, "{place}");
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
