//! Mailboxes under test.
//!
//! A session is a peer: its name is its epoch. Sockets are opened and closed by commands, so that every
//! push has somebody to hear it.
//!
//! | file | what it says |
//! |---|---|
//! | `parse`, `body` | commands out of the words of a script, and messages |
//! | `print` | commands, answers and pushes as scripts show them |
//! | `hints` | what commands and answers name, when time alone changes something, and what it may cost |
//! | `generate` | random commands from a small world |
//! | [`ledger`] | what many agents saw at once, held against what mailboxes promise end to end |

mod body;
mod generate;
mod hints;
pub mod ledger;
mod parse;
mod print;

use std::collections::BTreeSet;

use rand::Rng;

use super::notation::{EXACT_START, Epoch};
use super::subject::{AnswerOf, Generate, Hints, Load, Pace, Sessions, StepOf, Text};
use mailbus_spec::mailbox::{Ask, Command, Connection, MailboxMachine, Outcome, Push};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::Timestamp;

impl Text for MailboxMachine {
    fn parse_peer(text: &str) -> Result<Connection, String> {
        parse::connection(text, Epoch(EXACT_START))
    }

    fn spell_peer(peer: &Connection, epoch: Epoch) -> String {
        print::session(peer, epoch)
    }

    fn parse_command(words: &[&str], epoch: Epoch) -> Result<Command, String> {
        parse::command(words, epoch)
    }

    fn spell_command(command: &Command, epoch: Epoch) -> String {
        print::command(command, epoch)
    }

    fn spell_answer(answer: &AnswerOf<Self>, epoch: Epoch) -> String {
        print::answer(answer, epoch)
    }

    fn spell_push(push: &Push, epoch: Epoch) -> String {
        print::notice(&push.notice, epoch)
    }
}

impl Generate for MailboxMachine {
    fn generate(&self, random: &mut impl Rng, pace: Pace) -> Command {
        generate::command(self, random, pace)
    }

    fn flood(&self, random: &mut impl Rng, load: Load) -> Vec<Command> {
        generate::flood(self, random, load)
    }

    fn peers_of_the_small_world() -> Vec<Connection> {
        Vec::new()
    }

    fn is_sayable(&self, command: &Command) -> bool {
        hints::is_sayable(self, command)
    }
}

impl Hints for MailboxMachine {
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
        generate::everybody_listed()
    }

    fn with_ordinals(command: &Command, replace: &mut dyn FnMut(Ordinal) -> Ordinal) -> Command {
        hints::with_ordinals(command, replace)
    }

    fn peer_with_ordinals(
        peer: &Connection,
        replace: &mut dyn FnMut(Ordinal) -> Ordinal,
    ) -> Connection {
        hints::peer_with_ordinals(peer, replace)
    }

    fn ordinals_in_answer(answer: &AnswerOf<Self>) -> Vec<Ordinal> {
        hints::ordinals_in_answer(answer)
    }

    fn turning_points(&self) -> BTreeSet<Timestamp> {
        hints::turning_points(self)
    }

    fn row_budget(before: &Self, step: &StepOf<Self>, after: &Self) -> u64 {
        hints::row_budget(before, step, after)
    }
}

impl Sessions for MailboxMachine {
    const HAS_SESSIONS: bool = true;

    fn speaker(command: &Command) -> Option<&Connection> {
        command.over.as_ref()
    }

    fn sessions(&self) -> Vec<Connection> {
        hints::sessions(self)
    }

    fn closing(peer: &Connection) -> Option<Command> {
        Some(Command::alone(Ask::Disconnect { connection: peer.clone() }))
    }

    fn break_sessions(&mut self) {
        Self::break_sessions(self);
    }
}
