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

use super::notation::{EXACT_START, Epoch};
use super::subject::{AnswerOf, Sessions, Text};
use mailbus_spec::mailbox::{Ask, Command, Connection, MailboxMachine, Push};

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
