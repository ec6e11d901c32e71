//! Shell of every SQL machine: it wakes out of the rows, observes the clock, runs an event as a turn on the
//! memory, and sets the alarm anew.

use std::fmt::Debug;

use mailbus_spec::machine::{Event, Reply, StateMachine, Step};
use mailbus_spec::service::{ReplyOf, StepOf};
use mailbus_spec::time::ImplausibleClock;
use mailbus_spec::{HostTime, Timestamp};

use super::alarm::Alarm;
use super::turn::{Answer, Done, Rows, Stop, Turn};
use crate::machine::{CommandOf, Handled, Machine};
use crate::object::Waking;
use crate::storage::{Storage, StorageError};

/// Memory of one service's machine between two events: what differs from machine to machine.
///
/// Invariant: all of it is in the rows too, or in what sockets keep.
pub trait Memory: Rows + Debug {
    /// Loader of the memory out of the rows.
    type Loader: Load<Memory = Self> + Debug;

    /// About how many bytes of memory it holds.
    fn footprint(&self) -> u64;

    /// True if nobody would miss its rows.
    fn is_empty(&self) -> bool;

    /// Time at which the object wants to be woken next, in object time.
    fn next_alarm(&mut self) -> Option<Timestamp>;

    /// First part of every event.
    fn begin(&mut self, turn: &mut Turn<'_, Self>);

    /// Second part of an event that is a command.
    fn command(
        &mut self,
        turn: &mut Turn<'_, Self>,
        command: &CommandOf<Self::Service>,
    ) -> Answer<Self::Service>;

    /// Second part of an event that is an alarm: its own work.
    fn collect(&mut self, turn: &mut Turn<'_, Self>);

    /// Last part of every event.
    fn end(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), StorageError> {
        let _ = turn;
        Ok(())
    }

    /// The refusal of an event whose host has a clock that cannot be.
    fn implausible(host: HostTime) -> <Self::Service as StateMachine>::Rejection;
}

/// A memory that is read out of the rows, piece by piece.
///
/// Invariant: after a piece that failed it has read a part, and must not be used again.
pub trait Load: Sized {
    /// The memory.
    type Memory: Memory;

    /// A loader that has read nothing yet, of an object whose sockets keep this.
    fn new(kept: Vec<<Self::Memory as Rows>::Kept>) -> Self;

    /// Reads one piece. It writes nothing: on an untouched database there are no tables.
    fn piece(&mut self, storage: &mut dyn Storage) -> Result<Waking, StorageError>;

    /// The memory as far as it is read.
    fn memory(&self) -> &Self::Memory;

    /// The memory, once it is read.
    fn into_memory(self) -> Self::Memory;

    /// Reads all that is left to read.
    fn finish(mut self, storage: &mut dyn Storage) -> Result<Self::Memory, StorageError> {
        while self.piece(storage)? == Waking::More {}
        Ok(self.into_memory())
    }
}

/// A machine over SQLite.
#[derive(Debug)]
pub struct SqlMachine<M: Memory> {
    phase: Phase<M>,
    alarm: Alarm,
    /// True if it has handled an event since it woke.
    has_begun: bool,
}

/// Phase of a machine's life, with what it has of its memory then.
#[derive(Debug)]
enum Phase<M: Memory> {
    Waking(Box<M::Loader>),
    Awake(Box<M>),
    /// Waking or an event has failed, and left a part or more than the storage has.
    Lost,
}

impl<M: Memory> SqlMachine<M> {
    /// A machine that has just woken. It reads nothing yet: the first event will.
    ///
    /// `pending_alarm` is the alarm the platform says is set; `kept` is what the open sockets keep.
    /// Among them may be sessions that are over: the first event closes those.
    #[must_use]
    pub fn wake(pending_alarm: Option<HostTime>, kept: Vec<M::Kept>) -> Self {
        Self::asleep(pending_alarm, M::Loader::new(kept))
    }

    /// Time at which the object wants to be woken next, in object time; nothing before the first event.
    pub fn next_alarm(&mut self) -> Option<Timestamp> {
        self.memory()?.next_alarm()
    }

    /// The memory of a machine that is awake.
    pub(crate) fn memory(&mut self) -> Option<&mut M> {
        match &mut self.phase {
            Phase::Awake(memory) => Some(memory),
            Phase::Waking(_) | Phase::Lost => None,
        }
    }

    /// A machine that wakes by this loader.
    pub(crate) fn asleep(pending_alarm: Option<HostTime>, loader: M::Loader) -> Self {
        let alarm = Alarm::pending(pending_alarm);
        Self { phase: Phase::Waking(Box::new(loader)), alarm, has_begun: false }
    }

    /// Takes the memory out, for it to be put back when all has gone well.
    fn take(&mut self) -> Phase<M> {
        std::mem::replace(&mut self.phase, Phase::Lost)
    }
}

/// The failure of a machine that has failed before.
fn lost() -> StorageError {
    StorageError("the object has failed before and has no memory".to_owned())
}

impl<M: Memory> Machine for SqlMachine<M> {
    type Service = M::Service;
    type Kept = M::Kept;

    fn prepare<T: Storage>(&mut self, storage: &mut T) -> Result<Waking, StorageError> {
        let (waking, phase) = match self.take() {
            Phase::Waking(mut loader) => match loader.piece(storage)? {
                Waking::More => (Waking::More, Phase::Waking(loader)),
                Waking::Ready => (Waking::Ready, Phase::Awake(Box::new(loader.into_memory()))),
            },
            Phase::Awake(memory) => (Waking::Ready, Phase::Awake(memory)),
            Phase::Lost => return Err(lost()),
        };
        self.phase = phase;
        Ok(waking)
    }

    fn footprint(&self) -> u64 {
        match &self.phase {
            Phase::Waking(loader) => loader.memory().footprint(),
            Phase::Awake(memory) => memory.footprint(),
            Phase::Lost => 0,
        }
    }

    fn is_blank(&self, now: HostTime) -> bool {
        matches!(&self.phase, Phase::Awake(memory) if memory.is_empty() && memory.header().is_past(now))
    }

    fn handle<T: Storage>(
        &mut self,
        storage: &mut T,
        now: HostTime,
        event: &Event<CommandOf<M::Service>>,
    ) -> Result<Handled<M::Service, M::Kept>, StorageError> {
        let mut memory = match self.take() {
            Phase::Awake(memory) => memory,
            Phase::Waking(loader) => Box::new(loader.finish(storage)?),
            Phase::Lost => return Err(lost()),
        };
        let mut alarm = if self.has_begun { self.alarm } else { self.alarm.on_waking(now) };
        if matches!(event, Event::Alarm) {
            alarm.rang();
        }
        let handled = match memory.header().clock.observe(now) {
            Ok(seen) => {
                let turn = Turn::new(storage, seen, memory.header());
                let mut handled = run(&mut *memory, turn, event)?;
                let next = memory.next_alarm();
                let next = next.map(|at| memory.header().clock.host_at(at));
                handled.alarm = alarm.rearm(now, next);
                handled
            }
            Err(refused) => {
                storage.query(memory.touch(), &[])?;
                let step = refuse(&*memory, refused, event);
                let alarm = alarm.put_off(now, memory.next_alarm().is_some());
                Handled { step, rows: 0, alarm, kept: Vec::new() }
            }
        };
        self.phase = Phase::Awake(memory);
        (self.alarm, self.has_begun) = (alarm, true);
        Ok(handled)
    }
}

/// Runs one event on the memory; the alarm is left to the caller.
fn run<M: Memory>(
    memory: &mut M,
    mut turn: Turn<'_, M>,
    event: &Event<CommandOf<M::Service>>,
) -> Result<Handled<M::Service, M::Kept>, StorageError> {
    memory.begin(&mut turn);
    let answer = match event {
        Event::Command(command) => match memory.command(&mut turn, command) {
            Ok(outcome) => Some(Ok(outcome)),
            Err(Stop::Rejected(rejection)) => Some(Err(rejection)),
            Err(Stop::Failed(error)) => return Err(error),
        },
        Event::Alarm => {
            memory.collect(&mut turn);
            None
        }
    };
    memory.end(&mut turn)?;
    let now = turn.now();
    let Done { pushes, kept, wrote, rows } = turn.finish(memory)?;
    let reply = answer.map(|answer| Reply { answer, commit: memory.header().commit(now) });
    Ok(Handled { step: Step { reply, pushes, wrote }, rows, alarm: None, kept })
}

/// The step of an event whose host has a clock that cannot be.
fn refuse<M: Memory>(
    memory: &M,
    refused: ImplausibleClock,
    event: &Event<CommandOf<M::Service>>,
) -> StepOf<M::Service> {
    let header = memory.header();
    let reply: Option<ReplyOf<M::Service>> = match event {
        Event::Command(_) => Some(Reply {
            answer: Err(M::implausible(refused.0)),
            commit: header.commit(header.clock.floor),
        }),
        Event::Alarm => None,
    };
    Step { reply, pushes: Vec::new(), wrote: false }
}
