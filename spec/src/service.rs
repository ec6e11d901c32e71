//! Services: the kinds of objects, and what all of them have.

use core::fmt::{Debug, Display};
use core::hash::Hash;

use crate::invariant::Invariant;
use crate::machine::{Commit, Reply, StateMachine, Step};
use crate::time::{Clock, Timestamp};

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

    /// Every invariant of the service, in the order of its page.
    const INVARIANTS: &'static [Invariant<Self>];

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
