//! The lease machine over SQLite: written apart from the specification, and checked against it.
//!
//! Every event is decided in memory and in a few reads, then written: one claim row, that of the
//! command, which carries the object's numbers with it. What time ends writes no row of its own: the
//! clock that the event writes says that it is over. Live claims are indexed in memory; requests that
//! are over are looked up by their key; an event that needs neither reads something all the same, so
//! that a replaced object cannot answer from memory.
//!
//! | file | what it does |
//! |---|---|
//! | `lease.sql` | the tables |
//! | `rows`, `columns` | claims to columns and back |
//! | `ledger`, `live`, `paths`, `remembered`, `state` | what is in memory |
//! | `load` | memory out of the rows, on waking |
//! | `turn` | one event: reads, gathered writes, pushes |
//! | `settle` | what time does |
//! | `acquire`, `keep`, `query`, `admin`, `waits` | what commands do |
//! | `alarm` | when to be woken |

mod acquire;
mod admin;
mod alarm;
mod columns;
mod ended;
mod keep;
mod ledger;
mod live;
mod load;
mod paths;
mod query;
mod remembered;
mod rows;
mod settle;
mod state;
mod turn;
mod waits;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use mailbus_spec::lease::{Command, LeaseStep, Rejection};
use mailbus_spec::machine::Event;
use mailbus_spec::path::InvalidPaths;
use mailbus_spec::time::ImplausibleClock;
use mailbus_spec::{HostTime, Reply, Timestamp};

use self::alarm::Alarm;
use self::state::Machine;
use self::turn::{Answer, Stop, Turn};
use crate::lease::{Handled, Leases};
use crate::storage::{Storage, StorageError};

/// The lease machine over SQLite.
#[derive(Debug)]
pub struct SqlLeases {
    /// Absent before the first event, and after one that failed.
    machine: Option<Machine>,
    alarm: Alarm,
}

impl SqlLeases {
    /// When the object wants to be woken next, in object time; nothing before the first event.
    #[must_use]
    pub fn next_alarm(&self) -> Option<Timestamp> {
        self.machine.as_ref().and_then(Machine::next_alarm)
    }
}

impl Leases for SqlLeases {
    fn wake(pending_alarm: Option<HostTime>) -> Self {
        Self { machine: None, alarm: Alarm::pending(pending_alarm) }
    }

    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        host: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        // Taken out: after a failure its memory may be ahead of the storage.
        let (mut machine, mut alarm) = match self.machine.take() {
            Some(machine) => (machine, self.alarm),
            None => (Machine::load(storage)?, self.alarm.on_waking(host)),
        };
        if matches!(event, Event::Alarm) {
            alarm.rang();
        }
        let handled = match machine.ledger.clock.observe(host) {
            Ok(seen) => {
                let floor = machine.ledger.clock.floor;
                let (step, rows) = machine.event(Turn::new(storage, seen, floor), event)?;
                let next = machine.next_alarm().map(|at| machine.ledger.clock.host_at(at));
                Handled { step, rows, alarm: alarm.rearm(host, next) }
            }
            Err(refused) => Handled {
                step: machine.refuse(storage, refused, event)?,
                rows: 0,
                alarm: alarm.put_off(host, machine.next_alarm().is_some()),
            },
        };
        self.machine = Some(machine);
        self.alarm = alarm;
        Ok(handled)
    }
}

impl Machine {
    fn event(
        &mut self,
        mut turn: Turn<'_>,
        event: &Event<Command>,
    ) -> Result<(LeaseStep, u64), StorageError> {
        self.settle(&mut turn);
        let answer = match event {
            Event::Command(command) => match self.command(&mut turn, command) {
                Ok(outcome) => Some(Ok(outcome)),
                Err(Stop::Rejected(rejection)) => Some(Err(rejection)),
                Err(Stop::Failed(error)) => return Err(error),
            },
            Event::Alarm => {
                self.collect(&mut turn);
                None
            }
        };
        let now = turn.now();
        let done = turn.finish(&mut self.ledger, &mut self.has_tables)?;
        let reply = answer.map(|answer| Reply { answer, commit: self.ledger.commit(now) });
        Ok((LeaseStep { reply, pushes: done.pushes, wrote: done.wrote }, done.rows))
    }

    fn command(&mut self, turn: &mut Turn<'_>, command: &Command) -> Answer {
        match command {
            Command::Acquire(acquire) => self.acquire(turn, acquire),
            Command::Renew { holder, token, ttl } => self.renew(turn, holder, *token, *ttl),
            Command::Release { holder, target } => self.release(turn, holder, target),
            Command::Cancel { holder, request } => self.cancel(turn, holder, request),
            Command::Status { path } => self.status(path),
            Command::List { prefix, after, limit } => Ok(self.list(prefix, after.as_ref(), *limit)),
            Command::Verify { path, token } => Ok(self.verify(path, *token)),
            Command::ForceRelease { token, reason, drain } => {
                self.force_release(turn, *token, reason, *drain)
            }
            Command::Recover { at_least } => Ok(self.recover(turn, *at_least)),
        }
    }

    /// The step of an event whose host has a clock that cannot be.
    fn refuse(
        &self,
        storage: &mut dyn Storage,
        refused: ImplausibleClock,
        event: &Event<Command>,
    ) -> Result<LeaseStep, StorageError> {
        storage.query(if self.has_tables { rows::TOUCH } else { rows::FIND_TABLES }, &[])?;
        let commit = self.ledger.commit(self.ledger.clock.floor);
        let reply = match event {
            Event::Command(_) => Some(Reply { answer: Err(Rejection::Clock(refused.0)), commit }),
            Event::Alarm => None,
        };
        Ok(LeaseStep { reply, pushes: Vec::new(), wrote: false })
    }
}

impl From<InvalidPaths> for StorageError {
    fn from(_: InvalidPaths) -> Self {
        Self("a live claim has no paths".to_owned())
    }
}
