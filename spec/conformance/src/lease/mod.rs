//! Leases under test.
//!
//! | file | what it says |
//! |---|---|
//! | `parse` | commands out of the words of a script |
//! | `print` | commands, answers and pushes as scripts show them |
//! | `hints` | what answers give away, and when time alone changes something |
//! | `generate` | random commands from a small world |
//! | `agent` | a client for concurrent runs |

mod agent;
mod generate;
mod hints;
mod parse;
mod print;

pub use agent::Agent;

use super::notation::Epoch;
use super::subject::{AnswerOf, Sessions, Text};
use mailbus_spec::id::Holder;
use mailbus_spec::lease::{Command, LeaseMachine, Push};

impl Text for LeaseMachine {
    fn parse_peer(text: &str) -> Result<Holder, String> {
        parse::holder(text)
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

impl Sessions for LeaseMachine {
    fn speaker(command: &Command) -> Option<&Holder> {
        match command {
            Command::Acquire(acquire) => Some(acquire.holder()),
            Command::Renew { holder, .. }
            | Command::Release { holder, .. }
            | Command::Cancel { holder, .. } => Some(holder),
            _ => None,
        }
    }
}
