//! Mailboxes under test.
//!
//! A session is a party: its name is its epoch. Sockets are opened and closed by commands, so that every
//! push has somebody to hear it.
//!
//! | file | what it says |
//! |---|---|
//! | `phrase`, `body` | commands and messages as scripts write them |
//! | `answer` | answers and pushes as scripts show them |
//! | `evidence` | what commands and answers name, when time alone changes something, and what it may cost |
//! | `propose` | random commands from a small world |
//! | [`ledger`] | what many agents saw at once, held against what mailboxes promise end to end |

mod answer;
mod body;
mod evidence;
pub mod ledger;
mod phrase;
mod propose;

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use super::notation::{EXACT_START, Epoch};
use super::subject::{AnswerOf, Pace, Shown, StepOf, Subject};
use mailbus_spec::mailbox::{Ask, Command, Connection, MailboxMachine, Outcome, Push};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::{Clock, Timestamp};

impl Subject for MailboxMachine {
    type Party = Connection;

    const NAME: &'static str = "mailbox";

    const HAS_SESSIONS: bool = true;

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn position(&self) -> (u64, u64) {
        (self.generation, self.sequence)
    }

    fn last_ordinal(&self) -> Ordinal {
        self.last_seq
    }

    fn usually_writes(answer: &AnswerOf<Self>) -> bool {
        matches!(
            answer,
            Ok(Outcome::Connected { .. }
                | Outcome::Subscribed { .. }
                | Outcome::Accepted { .. }
                | Outcome::Settled { .. }
                | Outcome::Returned(_)
                | Outcome::Redriven { .. }
                | Outcome::Forgotten { .. }
                | Outcome::Recovered)
        )
    }

    fn probe() -> Command {
        propose::everybody_listed()
    }

    fn addressee(push: &Push) -> &Connection {
        &push.to
    }

    fn speaker(command: &Command) -> Option<&Connection> {
        command.over.as_ref()
    }

    fn parse_party(text: &str) -> Result<Connection, String> {
        phrase::connection(text, Epoch(EXACT_START))
    }

    fn spell_party(party: &Connection, epoch: Epoch) -> String {
        phrase::spell_connection(party, epoch)
    }

    fn parse_command(words: &[&str], epoch: Epoch) -> Result<Command, String> {
        phrase::parse(words, epoch)
    }

    fn spell_command(command: &Command, epoch: Epoch) -> String {
        phrase::spell(command, epoch)
    }

    fn spell_answer(answer: &AnswerOf<Self>, epoch: Epoch) -> String {
        answer::spell(answer, epoch)
    }

    fn spell_push(push: &Push, epoch: Epoch) -> String {
        answer::spell_notice(&push.notice, epoch)
    }

    fn with_ordinals(command: &Command, replace: &mut dyn FnMut(Ordinal) -> Ordinal) -> Command {
        evidence::with_ordinals(command, replace)
    }

    fn party_with_ordinals(
        party: &Connection,
        replace: &mut dyn FnMut(Ordinal) -> Ordinal,
    ) -> Connection {
        evidence::party_with_ordinals(party, replace)
    }

    fn shown_in_answer(_answer: &AnswerOf<Self>) -> Vec<Shown<Connection>> {
        Vec::new()
    }

    fn shown_in_push(_push: &Push) -> Vec<Shown<Connection>> {
        Vec::new()
    }

    fn ordinals_in_answer(answer: &AnswerOf<Self>) -> Vec<Ordinal> {
        evidence::ordinals_in_answer(answer)
    }

    fn durations(&self, _hidden: Option<&Command>) -> BTreeSet<u64> {
        BTreeSet::new()
    }

    fn affected(&self, _hidden: Option<&Command>) -> Vec<Connection> {
        Vec::new()
    }

    fn turning_points(&self) -> BTreeSet<Timestamp> {
        evidence::turning_points(self)
    }

    fn row_budget(before: &Self, step: &StepOf<Self>, after: &Self) -> u64 {
        evidence::row_budget(before, step, after)
    }

    fn propose(&self, random: &mut ChaCha8Rng, pace: Pace) -> Command {
        propose::command(self, random, pace)
    }

    fn parties_of_the_small_world() -> Vec<Connection> {
        Vec::new()
    }

    fn sessions(&self) -> Vec<Connection> {
        evidence::sessions(self)
    }

    fn closing(party: &Connection) -> Option<Command> {
        Some(Command::alone(Ask::Disconnect { connection: party.clone() }))
    }

    fn is_sayable(&self, command: &Command) -> bool {
        evidence::is_sayable(self, command)
    }

    fn break_sessions(&mut self) {
        Self::break_sessions(self);
    }
}
