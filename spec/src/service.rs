//! Services: the kinds of objects, and what all of them have: among it the course of an event.

use alloc::vec::Vec;
use core::fmt::{Debug, Display};
use core::hash::Hash;

use crate::machine::{Commit, Event, Reply, StateMachine, Step};
use crate::time::{Clock, HostTime, Observation, Timestamp};

/// Reply to one command of a service.
pub type ReplyOf<S> = Reply<<S as StateMachine>::Outcome, <S as StateMachine>::Rejection>;
/// Answer in such a reply.
pub type AnswerOf<S> = Result<<S as StateMachine>::Outcome, <S as StateMachine>::Rejection>;
/// Step of one event on a service.
pub type StepOf<S> =
    Step<<S as StateMachine>::Outcome, <S as StateMachine>::Rejection, <S as StateMachine>::Push>;

/// Kind of object, as its reference machine, which begins as an object that was never used.
pub trait Service:
    StateMachine<
        Command: Clone + Debug + PartialEq,
        Outcome: Clone + Debug + PartialEq,
        Rejection: Clone + Debug + PartialEq,
        Push: Clone + Debug + PartialEq,
    > + Default
    + Debug
    + Eq
    + Hash
    + 'static
{
    /// Peer that a push goes to, over its sockets.
    type Peer: Clone + Debug + Display + Ord;

    /// Name of the service: the folder of whatever there is one of for each.
    const NAME: &'static str;

    /// Clock of the object.
    fn clock(&self) -> &Clock;

    /// Generation and sequence of the last commit.
    fn position(&self) -> (u64, u64);

    /// Commit of a reply given at `now`.
    fn commit(&self, now: Timestamp) -> Commit {
        let (generation, sequence) = self.position();
        Commit { sequence, now, generation }
    }

    /// Addressee of a push.
    fn addressee(push: &Self::Push) -> &Self::Peer;
}

/// Transitions of a service: what its events do between what all events do alike.
pub(crate) trait Transitions: Service {
    /// Effects that an event has gathered so far.
    type Turn: Into<Gathered<Self>>;

    /// First part of every event.
    fn begin(&mut self, seen: Observation) -> Self::Turn;

    /// Second part of an event that is a command.
    fn command(&mut self, turn: &mut Self::Turn, command: &Self::Command) -> AnswerOf<Self>;

    /// Second part of an event that is an alarm: what it does that no other event does.
    fn collect(&mut self, turn: &mut Self::Turn);

    /// Last part of every event.
    fn end(&mut self, turn: &mut Self::Turn) {
        let _ = turn;
    }

    /// Refusal of a command at a host time that cannot be.
    fn implausible(host: HostTime) -> Self::Rejection;

    /// Clock, generation and sequence, to be written.
    fn numbers(&mut self) -> (&mut Clock, &mut u64, &mut u64);
}

/// Effects that an event has gathered in the end.
pub(crate) struct Gathered<S: Service> {
    /// The clock as read for the event, or as a recovery has raised it.
    pub seen: Observation,
    /// Pushes, in order.
    pub pushes: Vec<S::Push>,
    /// True if something has to become durable.
    pub wrote: bool,
}

/// One event: observe the clock, do what the service does, and if it wrote, move the sequence.
pub(crate) fn handle<S: Transitions>(
    machine: &mut S,
    host: HostTime,
    event: &Event<S::Command>,
) -> StepOf<S> {
    let seen = match machine.clock().observe(host) {
        Ok(seen) => seen,
        Err(refused) => {
            let commit = machine.commit(machine.clock().floor);
            let refusal = || Reply { answer: Err(S::implausible(refused.0)), commit };
            let reply = matches!(event, Event::Command(_)).then(refusal);
            return Step { reply, pushes: Vec::new(), wrote: false };
        }
    };
    let mut turn = machine.begin(seen);
    let answer = match event {
        Event::Command(command) => Some(machine.command(&mut turn, command)),
        Event::Alarm => {
            machine.collect(&mut turn);
            None
        }
    };
    machine.end(&mut turn);
    let Gathered { seen, pushes, wrote } = turn.into();
    if wrote {
        let (clock, generation, sequence) = machine.numbers();
        *sequence = sequence.saturating_add(1);
        *clock = clock.advanced_to(&seen);
        if *generation == 0 {
            *generation = seen.now.ms().max(1);
        }
    }
    let reply = answer.map(|answer| Reply { answer, commit: machine.commit(seen.now) });
    Step { reply, pushes, wrote }
}
