//! Service under test, as runners need it: how its commands and answers are written, and what an answer
//! gives away about events that nobody saw.
//!
//! Leases are the first, mailboxes the second; another kind is another implementation beside them.

use core::fmt::{Debug, Display};
use core::hash::Hash;
use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use super::notation::Epoch;
use mailbus_spec::machine::{Reply, StateMachine, Step};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::{Clock, Timestamp};

/// The reply to one command of a service.
pub type ReplyOf<S> = Reply<<S as StateMachine>::Outcome, <S as StateMachine>::Rejection>;
/// The answer in such a reply.
pub type AnswerOf<S> = Result<<S as StateMachine>::Outcome, <S as StateMachine>::Rejection>;
/// Step of one event on a service.
pub type StepOf<S> =
    Step<<S as StateMachine>::Outcome, <S as StateMachine>::Rejection, <S as StateMachine>::Push>;

/// A kind of object that can be put under test: its reference machine, which begins as an object
/// that was never used, and the words to speak about it.
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
{
    /// Peer that a push goes to, over its sockets.
    type Peer: Clone + Debug + Display + Ord;

    /// Its name: the folder of its scripts.
    const NAME: &'static str;

    /// True if commands begin and end the sessions that pushes go to. Then every push has a socket to go
    /// to, a closed socket is an event, and no two clients use one session.
    const HAS_SESSIONS: bool = false;

    /// The object's clock.
    fn clock(&self) -> &Clock;

    /// The generation and the sequence of the last commit.
    fn position(&self) -> (u64, u64);

    /// The largest ordinal issued, or not to be issued any more.
    fn last_ordinal(&self) -> Ordinal;

    /// True if an answer mostly comes from an event that wrote. A hint: it decides what is tried first.
    fn usually_writes(answer: &AnswerOf<Self>) -> bool;

    /// A question that changes nothing but what settling changes.
    fn probe() -> Self::Command;

    /// Addressee of a push.
    fn addressee(push: &Self::Push) -> &Self::Peer;

    /// Speaker of a command, if there is one.
    fn speaker(command: &Self::Command) -> Option<&Self::Peer>;

    /// Reads a peer.
    ///
    /// # Errors
    /// What is wrong with the text.
    fn parse_peer(text: &str) -> Result<Self::Peer, String>;

    /// A peer as [`Service::parse_peer`] reads it.
    fn spell_peer(peer: &Self::Peer, _epoch: Epoch) -> String {
        peer.to_string()
    }

    /// Reads a command from its words.
    ///
    /// # Errors
    /// What is wrong with them.
    fn parse_command(words: &[&str], epoch: Epoch) -> Result<Self::Command, String>;

    /// A command as a script writes it.
    fn spell_command(command: &Self::Command, epoch: Epoch) -> String;

    /// An answer as a script shows it, on one line.
    fn spell_answer(answer: &AnswerOf<Self>, epoch: Epoch) -> String;

    /// A push as a script shows it, without its addressee, on one line.
    fn spell_push(push: &Self::Push, epoch: Epoch) -> String;

    /// The command with every ordinal in it replaced.
    fn with_ordinals(
        command: &Self::Command,
        replace: &mut dyn FnMut(Ordinal) -> Ordinal,
    ) -> Self::Command;

    /// The peer with every ordinal in it replaced.
    fn peer_with_ordinals(
        peer: &Self::Peer,
        _replace: &mut dyn FnMut(Ordinal) -> Ordinal,
    ) -> Self::Peer {
        peer.clone()
    }

    /// What an answer shows that was fixed by some event's time, always in the same order for the same
    /// kind of answer.
    fn shown_in_answer(answer: &AnswerOf<Self>) -> Vec<Shown<Self::Peer>>;

    /// The same of a push.
    fn shown_in_push(push: &Self::Push) -> Vec<Shown<Self::Peer>>;

    /// The ordinals an answer shows.
    fn ordinals_in_answer(answer: &AnswerOf<Self>) -> Vec<Ordinal> {
        Self::shown_in_answer(answer).into_iter().filter_map(|shown| shown.ordinal).collect()
    }

    /// The ordinals a push shows.
    fn ordinals_in_push(push: &Self::Push) -> Vec<Ordinal> {
        Self::shown_in_push(push).into_iter().filter_map(|shown| shown.ordinal).collect()
    }

    /// The durations, in milliseconds, by which a hidden event on this state would set deadlines: the
    /// command's own (`None` is the alarm) and those of what settling might grant.
    fn durations(&self, hidden: Option<&Self::Command>) -> BTreeSet<u64>;

    /// Whose events a hidden event on this state may be: its speaker's, and those of whom settling might
    /// grant something.
    fn affected(&self, hidden: Option<&Self::Command>) -> Vec<Self::Peer>;

    /// The instants at which time alone changes something in this state.
    fn turning_points(&self) -> BTreeSet<Timestamp>;

    /// Number of rows that an event may write, and how many alarms it may set (`wrote` decides zero).
    fn row_budget(before: &Self, step: &StepOf<Self>, after: &Self) -> u64;

    /// A random command for an object in this state, from a small world of names.
    fn generate(&self, random: &mut ChaCha8Rng, pace: Pace) -> Self::Command;

    /// The peers of that world.
    fn peers_of_the_small_world() -> Vec<Self::Peer>;

    /// Agents whose sessions are open.
    fn sessions(&self) -> Vec<Self::Peer> {
        Vec::new()
    }

    /// The command that the platform makes of a socket that was closed.
    fn closing(_peer: &Self::Peer) -> Option<Self::Command> {
        None
    }

    /// True if a client has a way to send this to an object in this state. What cannot be sent is left out
    /// of a case.
    fn is_sayable(&self, _command: &Self::Command) -> bool {
        true
    }

    /// What is left in memory when the object is killed: its storage, and no session.
    fn break_sessions(&mut self) {}
}

/// Hint that an answer gives away about an event of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<P> {
    /// Agent of the event; `None` is who asked.
    pub peer: Option<P>,
    /// An ordinal that the event issued: it is anchored in the event's host time.
    pub ordinal: Option<Ordinal>,
    /// An instant that is the event's time plus a duration that was asked for.
    pub deadline: Option<Timestamp>,
}

/// How long things take in a random history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Seconds and minutes: for exact time.
    Long,
    /// Milliseconds: for a system on a real clock.
    Short,
}
