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
//! # What waking reads
//!
//! Not the log, but its *runs* (`run.sql`): once 1 024 messages are not told of by a run, the event that
//! writes anyway writes one more row, which says what waking needs of them. The newest messages, fewer than
//! that, are read row by row. So 100 000 pending messages are some 98 rows and at most 1 023, where they were
//! 100 000; and it is done in pieces of at most four runs or 256 messages, between which a shell may serve
//! others ([`Object::prepare`](crate::object::Object::prepare)).
//!
//! Two triggers keep a run from saying what is not so, whichever program deletes or changes a message of
//! it: it tells nothing from then on, and its messages are read row by row until a later event writes it
//! anew. A log without runs is read row by row and gets them the same way: at most one an event, eight a
//! round of collection, none in a read.
//!
//! What an event may write for runs, besides the rows of what it changes (messages, agents, numbers):
//!
//! | event | rows |
//! |---|---|
//! | any that writes | 1 where 1 024 messages are told of by no run; so 1 for 1 024 accepted ones |
//! | a round of collection | for each run that it deletes from: 1 as it tells nothing any more, 1 as it goes; and up to 8 are written anew |
//! | a redrive of what a full inbox refused | 1 for each run that has such a message |
//! | the first run of all | its table |
//!
//! A run is some 20 bytes a message; one of messages that a thousand inboxes refused ends early, and stays
//! below 700 KB. A run of which one message is left is one row, as that message would be: there are never
//! more rows to read than messages.
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
//! | `mailbox.sql`, `run.sql` | the tables |
//! | `rows`, `encoding` | what is known to columns and back |
//! | `header`, `log`, `state` | the object's numbers, its messages, all of it |
//! | `agent`, `inbox`, `dead_letters`, `session`, `subscriptions` | one agent |
//! | `load`, `addressed` | memory out of the rows and the sockets, on waking |
//! | `runs` | what waking reads instead of messages |
//! | `turn` | one event: reads, gathered writes, pushes |
//! | `accept`, `settle`, `sessions`, `query`, `admin` | what commands do |
//! | `push` | what is pushed after each |
//! | `collect` | what time does |

mod accept;
mod addressed;
mod admin;
mod agent;
mod collect;
mod dead_letters;
mod encoding;
mod header;
mod inbox;
mod load;
mod log;
mod push;
mod query;
mod rows;
mod runs;
mod session;
mod sessions;
mod settle;
mod state;
mod subscriptions;
mod turn;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxStep, Outcome, Rejection};
use mailbus_spec::time::ImplausibleClock;
use mailbus_spec::{HostTime, Reply, Timestamp};

use self::load::Loader;
use self::runs::RUN_MESSAGES;
use self::sessions::Asked;
use self::state::Machine;
use self::turn::{Answer, Stop, Turn};
use crate::mailbox::{Handled, Mailboxes, Session};
use crate::object::Waking;
use crate::sql::Alarm;
use crate::storage::{Storage, StorageError};

/// The mailbox machine over SQLite.
#[derive(Debug)]
pub struct SqlMailboxes {
    memory: Memory,
    alarm: Alarm,
    /// True if it has handled an event since it woke.
    has_begun: bool,
}

/// What the machine has of its memory.
#[derive(Debug)]
enum Memory {
    Waking(Box<Loader>),
    Awake(Box<Machine>),
    /// What failed has left a part, or more than the storage has.
    Lost,
}

impl SqlMailboxes {
    /// Time at which the object wants to be woken next, in object time; nothing before the first event.
    pub fn next_alarm(&mut self) -> Option<Timestamp> {
        match &mut self.memory {
            Memory::Awake(machine) => machine.next_alarm(),
            Memory::Waking(_) | Memory::Lost => None,
        }
    }

    fn asleep(alarm: Alarm, loader: Loader) -> Self {
        Self { memory: Memory::Waking(Box::new(loader)), alarm, has_begun: false }
    }

    /// Takes the memory out, for it to be put back when all has gone well.
    fn take(&mut self) -> Memory {
        std::mem::replace(&mut self.memory, Memory::Lost)
    }
}

/// What is asked of a machine that has failed before.
fn lost() -> StorageError {
    StorageError("the object has failed before and has no memory".to_owned())
}

impl Mailboxes for SqlMailboxes {
    fn wake(pending_alarm: Option<HostTime>, sessions: Vec<Session>) -> Self {
        Self::asleep(Alarm::pending(pending_alarm), Loader::new(sessions, RUN_MESSAGES))
    }

    fn prepare<S: Storage>(&mut self, storage: &mut S) -> Result<Waking, StorageError> {
        let (waking, memory) = match self.take() {
            Memory::Waking(mut loader) => match loader.piece(storage)? {
                Waking::More => (Waking::More, Memory::Waking(loader)),
                Waking::Ready => (Waking::Ready, Memory::Awake(loader.finish(storage)?.into())),
            },
            Memory::Awake(machine) => (Waking::Ready, Memory::Awake(machine)),
            Memory::Lost => return Err(lost()),
        };
        self.memory = memory;
        Ok(waking)
    }

    fn footprint(&self) -> u64 {
        match &self.memory {
            Memory::Waking(loader) => loader.footprint(),
            Memory::Awake(machine) => machine.footprint(),
            Memory::Lost => 0,
        }
    }

    fn is_blank(&self, now: HostTime) -> bool {
        matches!(&self.memory, Memory::Awake(machine) if machine.is_blank(now))
    }

    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        now: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        let mut machine = match self.take() {
            Memory::Awake(machine) => machine,
            Memory::Waking(mut loader) => loader.finish(storage)?.into(),
            Memory::Lost => return Err(lost()),
        };
        let mut alarm = if self.has_begun { self.alarm } else { self.alarm.on_waking(now) };
        if matches!(event, Event::Alarm) {
            alarm.rang();
        }
        let handled = match machine.header.clock.observe(now) {
            Ok(seen) => {
                let mut handled = machine.event(Turn::new(storage, seen), event)?;
                let next = machine.next_alarm().map(|at| machine.header.clock.host_at(at));
                handled.alarm = alarm.rearm(now, next);
                handled
            }
            Err(refused) => Handled {
                step: machine.refuse(storage, refused, event)?,
                rows: 0,
                alarm: alarm.put_off(now, machine.next_alarm().is_some()),
                sessions: Vec::new(),
            },
        };
        self.memory = Memory::Awake(machine);
        (self.alarm, self.has_begun) = (alarm, true);
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
        let reply = answer.map(|answer| Reply { answer, commit: self.header.commit(now) });
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
        let commit = self.header.commit(self.header.clock.floor);
        let reply = match event {
            Event::Command(_) => Some(Reply { answer: Err(Rejection::Clock(refused.0)), commit }),
            Event::Alarm => None,
        };
        Ok(MailboxStep { reply, pushes: Vec::new(), wrote: false })
    }
}
