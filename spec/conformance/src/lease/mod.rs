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

use std::collections::BTreeSet;

use rand::Rng;

use super::notation::Epoch;
use super::subject::{AnswerOf, Generate, Hints, Pace, Sessions, Shown, StepOf, Text};
use mailbus_spec::id::Holder;
use mailbus_spec::lease::{Command, LeaseMachine, Outcome, Push};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::Timestamp;

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

impl Generate for LeaseMachine {
    fn generate(&self, random: &mut impl Rng, pace: Pace) -> Command {
        generate::command(self, random, pace)
    }

    fn peers_of_the_small_world() -> Vec<Holder> {
        generate::holders()
    }
}

impl Hints for LeaseMachine {
    fn last_ordinal(&self) -> Ordinal {
        self.last_token
    }

    fn usually_writes(answer: &AnswerOf<Self>) -> bool {
        matches!(
            answer,
            Ok(Outcome::Granted { .. }
                | Outcome::Queued { .. }
                | Outcome::Renewed { .. }
                | Outcome::Released
                | Outcome::Cancelled
                | Outcome::Recovered)
        )
    }

    fn probe() -> Command {
        generate::everything_listed()
    }

    fn with_ordinals(command: &Command, replace: &mut dyn FnMut(Ordinal) -> Ordinal) -> Command {
        hints::with_ordinals(command, replace)
    }

    fn shown_in_answer(answer: &AnswerOf<Self>) -> Vec<Shown<Holder>> {
        hints::shown_in_answer(answer)
    }

    fn shown_in_push(push: &Push) -> Vec<Shown<Holder>> {
        hints::shown_in_push(push)
    }

    fn durations(&self, hidden: Option<&Command>) -> BTreeSet<u64> {
        hints::durations(self, hidden)
    }

    fn affected(&self, hidden: Option<&Command>) -> Vec<Holder> {
        let speaker = hidden.and_then(Self::speaker).cloned();
        let waiting = self.queue.values().map(|ticket| ticket.holder.clone());
        speaker.into_iter().chain(waiting).collect()
    }

    fn turning_points(&self) -> BTreeSet<Timestamp> {
        hints::turning_points(self)
    }

    fn row_budget(before: &Self, step: &StepOf<Self>, after: &Self) -> u64 {
        hints::row_budget(before, step, after)
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
