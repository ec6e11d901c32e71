//! Histories made by hand, one entry at a time: what shows that each invariant can fail.

pub mod lease;
pub mod mailbox;

use std::marker::PhantomData;

use mailbus_spec::machine::Event;
use mailbus_spec::service::{AnswerOf, StepOf};
use mailbus_spec::{AgentId, Commit, HostTime, Ordinal, Reply, Step, Timestamp};

use crate::clock::{SkewedClock, TrueTime};
use crate::judge::history::{Entry, Happened, History, Recorded, Residue};
use crate::judge::invariants::{Check, Invariant, Tally};
use crate::judge::observer::{Observer, walk};

const START_MS: u64 = 1_767_225_600_000;

/// A history of one object under construction. Times are in ms from its start; names are single words.
#[derive(Clone, Debug)]
pub struct Example<O> {
    history: History,
    sequence: u64,
    observer: PhantomData<O>,
}

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn ordinal(number: u64) -> Ordinal {
    Ordinal::new(number).unwrap()
}

fn host(at_ms: u64) -> HostTime {
    HostTime(START_MS + at_ms)
}

fn time(at_ms: u64) -> Timestamp {
    Timestamp::from_ms(START_MS + at_ms).unwrap()
}

type CommandOf<O> = <<O as Observer>::Service as mailbus_spec::StateMachine>::Command;
type PushOf<O> = <<O as Observer>::Service as mailbus_spec::StateMachine>::Push;

impl<O: Observer + 'static> Example<O> {
    pub fn new() -> Self {
        let object_clock = SkewedClock::new(i64::try_from(START_MS * 1_000).unwrap(), 0);
        let history = History { object_clock, ..History::default() };
        Self { history, sequence: 0, observer: PhantomData }
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// Findings of an invariant about it.
    pub fn check(&self, invariant: impl Invariant<O> + 'static) -> Tally {
        let mut check = Check::new(Box::new(invariant));
        let observer = walk(&self.history, &mut [&mut check]);
        check.finish(&self.history, &observer)
    }

    pub fn event(at_ms: u64, command: CommandOf<O>) -> (HostTime, Event<CommandOf<O>>) {
        (host(at_ms), Event::Command(command))
    }

    pub fn entry(
        mut self,
        at_ms: u64,
        host: HostTime,
        event: Event<CommandOf<O>>,
        step: StepOf<O::Service>,
    ) -> Self {
        let at = TrueTime::from_ms(at_ms);
        self.push(Entry::Event(Happened { at, host, event, step }));
        self
    }

    pub fn restored(mut self, at_ms: u64, back_to: usize) -> Self {
        self.push(Entry::Restored { at: TrueTime::from_ms(at_ms), back_to });
        self
    }

    /// Adds what storage holds in the end.
    pub fn left(mut self, residue: Residue) -> Self {
        self.history.residue = Some(residue);
        self
    }

    fn push(&mut self, entry: Entry<O::Service>) {
        O::Service::record_mut(&mut self.history).entries.push(entry);
    }

    fn answered(
        self,
        at_ms: u64,
        command: CommandOf<O>,
        answer: AnswerOf<O::Service>,
        pushes: Vec<PushOf<O>>,
    ) -> Self {
        let sequence = self.sequence + 1;
        let commit = Commit { sequence, now: time(at_ms), generation: 1 };
        let step = Step { reply: Some(Reply { answer, commit }), pushes, wrote: true };
        let example = self.entry(at_ms, host(at_ms), Event::Command(command), step);
        Self { sequence, ..example }
    }
}
