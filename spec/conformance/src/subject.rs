//! Subjects: services as runners need them. How their commands and answers are written, how random ones
//! are drawn, and what an answer gives away about events that nobody saw.
//!
//! Leases are the first, mailboxes the second; another kind is another implementation beside them.

use std::collections::BTreeSet;

use rand::Rng;

use super::notation::Epoch;
use mailbus_spec::Service;
use mailbus_spec::invariant::Specified;
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::Timestamp;

pub use mailbus_spec::service::{AnswerOf, ReplyOf, StepOf};

/// Service that can be put under test.
pub trait Subject: Specified + Text + Generate + Hints + Sessions {}

impl<S: Specified + Text + Generate + Hints + Sessions> Subject for S {}

/// Service with a text form, which scripts and reports are written in.
pub trait Text: Service {
    /// Reads a peer.
    ///
    /// # Errors
    /// What is wrong with the text.
    fn parse_peer(text: &str) -> Result<Self::Peer, String>;

    /// A peer as [`Text::parse_peer`] reads it.
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
}

/// Service of which random commands can be drawn.
pub trait Generate: Service {
    /// A random command for an object in this state, from a small world of names.
    fn generate(&self, random: &mut impl Rng, pace: Pace) -> Self::Command;

    /// Random commands that come at once and fill what no few commands fill: `Load::Some` or more of
    /// them, or long ones. None where nothing fills.
    fn flood(&self, _random: &mut impl Rng, _load: Load) -> Vec<Self::Command> {
        Vec::new()
    }

    /// The peers of that world.
    fn peers_of_the_small_world() -> Vec<Self::Peer>;

    /// True if a client has a way to send this to an object in this state. What cannot be sent is left out
    /// of a case.
    fn is_sayable(&self, _command: &Self::Command) -> bool {
        true
    }
}

/// Service whose answers give away what an event did that nobody saw.
pub trait Hints: Service {
    /// The largest ordinal issued, or not to be issued any more.
    fn last_ordinal(&self) -> Ordinal;

    /// True if an answer mostly comes from an event that wrote. A hint: it decides what is tried first.
    fn usually_writes(answer: &AnswerOf<Self>) -> bool;

    /// A question that changes nothing but what settling changes.
    fn probe() -> Self::Command;

    /// The command with every ordinal in it replaced.
    fn with_ordinals(
        command: &Self::Command,
        replace: &mut dyn FnMut(Ordinal) -> Ordinal,
    ) -> Self::Command;

    /// The command with the generation that it names replaced.
    fn with_generation(
        command: &Self::Command,
        _replace: &mut dyn FnMut(u64) -> u64,
    ) -> Self::Command {
        command.clone()
    }

    /// The peer with every ordinal in it replaced.
    fn peer_with_ordinals(
        peer: &Self::Peer,
        _replace: &mut dyn FnMut(Ordinal) -> Ordinal,
    ) -> Self::Peer {
        peer.clone()
    }

    /// Instants in an answer that were fixed by some event's time, always in the same order for the
    /// same kind of answer.
    fn shown_in_answer(_answer: &AnswerOf<Self>) -> Vec<Shown<Self::Peer>> {
        Vec::new()
    }

    /// The same of a push.
    fn shown_in_push(_push: &Self::Push) -> Vec<Shown<Self::Peer>> {
        Vec::new()
    }

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
    fn durations(&self, _hidden: Option<&Self::Command>) -> BTreeSet<u64> {
        BTreeSet::new()
    }

    /// Agents whose events a hidden event on this state may be: its speaker, and those of whom
    /// settling might grant something.
    fn affected(&self, _hidden: Option<&Self::Command>) -> Vec<Self::Peer> {
        Vec::new()
    }

    /// The instants at which time alone changes something in this state.
    fn turning_points(&self) -> BTreeSet<Timestamp>;

    /// Number of rows that an event may write, and how many alarms it may set (`wrote` decides zero).
    fn row_budget(before: &Self, step: &StepOf<Self>, after: &Self) -> u64;
}

/// Service with sessions, if it has any: commands begin and end what pushes go to.
pub trait Sessions: Service {
    /// True if it has. Then every push has a socket to go to, a closed socket is an event, and no two
    /// clients use one session.
    const HAS_SESSIONS: bool = false;

    /// Speaker of a command, if there is one.
    fn speaker(command: &Self::Command) -> Option<&Self::Peer>;

    /// Agents whose sessions are open.
    fn sessions(&self) -> Vec<Self::Peer> {
        Vec::new()
    }

    /// The command that the platform makes of a socket that was closed.
    fn closing(_peer: &Self::Peer) -> Option<Self::Command> {
        None
    }

    /// Effect of a kill of the object: its storage is left, and no session.
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
    /// Sequence of the commit that the event made.
    pub sequence: Option<u64>,
}

/// Pace of a random history: how long things take in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Seconds and minutes: for exact time.
    Long,
    /// Milliseconds: for a system on a real clock.
    Short,
}

/// Load that comes at once in a random history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// About twenty events.
    Some,
    /// More than one event may push, or the usual window holds.
    Many,
    /// One that is about as long as it may be.
    Long,
    /// As many of those as fill what holds the most.
    Longs,
}
