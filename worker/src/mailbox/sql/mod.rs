//! The mailbox machine over SQLite: written apart from the specification, and checked against it.
//!
//! A message is one row, whoever it is for: an agent's row says which of them were addressed to it, by
//! its patterns and the ranges of `seq` that they are for, and which are not over. What is pushed writes
//! nothing: the socket keeps how far the pushes have come. Every event is decided in memory, where all of
//! a message is known but what was said, and in a few reads; then it writes. What was said is read when
//! it is pushed or listed.
//!
//! # What an agent's row says
//!
//! * `high` and `open`: up to `high` pending is what `open` lists. Above it the log says what is
//!   pending: what was sent to the agent, or published while a pattern of it matched, by somebody else,
//!   and not refused by its inbox. So a message that is delivered and settled in order is never listed,
//!   and an agent that settles nothing is not written either.
//! * `forgotten`: a row outlives its agent as long as the log has messages that it would be owed again,
//!   or would have refused, if nothing said that this is over.
//!
//! # What is in memory
//!
//! 32 bytes a message and 16 for its id, 8 for each agent that it is pending for and that was not yet
//! written about, some 60 for what `open` lists, and the newest 1 000 dead letters of an agent. A log of
//! 1 000 000 messages is some 60 MB; a workspace in which, besides, a thousand inboxes are full comes
//! close to what the platform has.
//!
//! # The code
//!
//! | file | what it does |
//! |---|---|
//! | `mailbox.sql` | the tables |
//! | `rows`, `varint` | what is known to columns and back |
//! | `ledger`, `log`, `state` | the object's numbers, its messages, all of it |
//! | `agent`, `inbox`, `letters`, `live`, `subscriptions` | one agent |
//! | `load` | memory out of the rows and the sockets, on waking |
//! | `turn` | one event: reads, gathered writes, pushes |
//! | `accept`, `settle`, `sessions`, `query`, `admin` | what commands do |
//! | `push` | what is pushed after each |
//! | `collect` | what time does |

mod accept;
mod admin;
mod agent;
mod collect;
mod inbox;
mod ledger;
mod letters;
mod live;
mod load;
mod log;
mod push;
mod query;
mod rows;
mod sessions;
mod settle;
mod state;
mod subscriptions;
mod turn;
mod varint;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxStep, Outcome, Rejection};
use mailbus_spec::time::ImplausibleClock;
use mailbus_spec::{HostTime, Reply, Timestamp};

use self::sessions::Asked;
use self::state::Machine;
use self::turn::{Answer, Stop, Turn};
use crate::mailbox::{Handled, Mailboxes, Session};
use crate::sql::Alarm;
use crate::storage::{Storage, StorageError};

/// The mailbox machine over SQLite.
#[derive(Debug)]
pub struct SqlMailboxes {
    /// Absent before the first event, and after one that failed.
    machine: Option<Machine>,
    alarm: Alarm,
    /// What sockets kept when it woke, until the first event.
    sessions: Vec<Session>,
}

impl SqlMailboxes {
    /// When the object wants to be woken next, in object time; nothing before the first event.
    pub fn next_alarm(&mut self) -> Option<Timestamp> {
        self.machine.as_mut().and_then(Machine::next_alarm)
    }
}

impl Mailboxes for SqlMailboxes {
    fn wake(pending_alarm: Option<HostTime>, sessions: Vec<Session>) -> Self {
        Self { machine: None, alarm: Alarm::pending(pending_alarm), sessions }
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
            None => {
                let sessions = std::mem::take(&mut self.sessions);
                (Machine::load(storage, sessions)?, self.alarm.on_waking(host))
            }
        };
        if matches!(event, Event::Alarm) {
            alarm.rang();
        }
        let handled = match machine.ledger.clock.observe(host) {
            Ok(seen) => {
                let mut handled = machine.event(Turn::new(storage, seen), event)?;
                let next = machine.next_alarm().map(|at| machine.ledger.clock.host_at(at));
                handled.alarm = alarm.rearm(host, next);
                handled
            }
            Err(refused) => Handled {
                step: machine.refuse(storage, refused, event)?,
                rows: 0,
                alarm: alarm.put_off(host, machine.next_alarm().is_some()),
                sessions: Vec::new(),
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
    ) -> Result<Handled, StorageError> {
        for over in std::mem::take(&mut self.closings) {
            turn.push(&over.to.agent, over.to.epoch, over.notice);
        }
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
        self.expire_live(&mut turn);
        self.tell_losses(&mut turn);
        self.push_due(&mut turn)?;
        let now = turn.now();
        let done = turn.finish(self)?;
        let reply = answer.map(|answer| Reply { answer, commit: self.ledger.commit(now) });
        let sessions = done.sessions.iter();
        let sessions = sessions.filter_map(|name| self.agents.get(name)?.session(name)).collect();
        let step = MailboxStep { reply, pushes: done.pushes, wrote: done.wrote };
        Ok(Handled { step, rows: done.rows, alarm: None, sessions })
    }

    fn command(&mut self, turn: &mut Turn<'_>, command: &Command) -> Answer {
        let Command { over, ask } = command;
        if let Some(over) = over
            && self.live(over).is_none()
            && !matches!(ask, Ask::Disconnect { .. })
        {
            return Err(Rejection::Replaced.into());
        }
        let over = over.as_ref();
        match ask {
            Ask::Connect { agent, session, window, types, last_seen } => {
                let (window, types) = (*window, types.as_ref());
                let asked = Asked { session, window, types, last_seen: *last_seen };
                self.connect(turn, agent, &asked)
            }
            Ask::Disconnect { connection } => Ok(self.disconnect(turn, connection)),
            Ask::Subscribe { agent, types } => self.subscribe(turn, agent, types),
            Ask::Unsubscribe { agent, types } => Ok(self.unsubscribe(turn, agent, types)),
            Ask::Publish { message } => self.accept(turn, None, message),
            Ask::Send { to, message } => self.accept(turn, Some(to), message),
            Ask::Ack { agent, what } => self.ack(turn, over, agent, what),
            Ask::Nack { agent, seq, delay } => Ok(self.nack(turn, agent, *seq, *delay)),
            Ask::Working { agent, seq } => Ok(self.working(turn, over, agent, *seq)),
            Ask::Inbox { agent, after, limit } => self.inbox(turn, agent, *after, *limit),
            Ask::Agents { after, limit } => Ok(self.list_agents(after.as_ref(), *limit)),
            Ask::Heartbeat { .. } => Ok(Outcome::Heard),
            Ask::DeadLetters { agent, after, limit } => {
                self.list_dead_letters(turn, agent, *after, *limit)
            }
            Ask::Redrive { agent, seqs } => self.redrive(turn, agent, seqs),
            Ask::Forget { agent } => Ok(self.forget(turn, agent)),
            Ask::Recover { at_least } => Ok(self.recover(turn, *at_least)),
        }
    }

    /// The step of an event whose host has a clock that cannot be.
    fn refuse(
        &self,
        storage: &mut dyn Storage,
        refused: ImplausibleClock,
        event: &Event<Command>,
    ) -> Result<MailboxStep, StorageError> {
        storage.query(if self.has_tables { rows::TOUCH } else { rows::FIND_TABLES }, &[])?;
        let commit = self.ledger.commit(self.ledger.clock.floor);
        let reply = match event {
            Event::Command(_) => Some(Reply { answer: Err(Rejection::Clock(refused.0)), commit }),
            Event::Alarm => None,
        };
        Ok(MailboxStep { reply, pushes: Vec::new(), wrote: false })
    }
}
