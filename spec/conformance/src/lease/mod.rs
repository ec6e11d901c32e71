//! Leases under test.
//!
//! | file | what it says |
//! |---|---|
//! | `phrase` | commands as scripts write them |
//! | `answer` | answers and pushes as scripts show them |
//! | `evidence` | what answers give away, and when time alone changes something |
//! | `propose` | random commands from a small world |
//! | `agent` | a client for concurrent runs |

mod agent;
mod answer;
mod evidence;
mod phrase;
mod propose;

pub use agent::Agent;

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use super::notation::Epoch;
use super::subject::{AnswerOf, Pace, Shown, StepOf, Subject};
use mailbus_spec::id::Holder;
use mailbus_spec::lease::{Command, LeaseMachine, Outcome, Push};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::{Clock, Timestamp};

impl Subject for LeaseMachine {
    type Party = Holder;

    const NAME: &'static str = "lease";

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn position(&self) -> (u64, u64) {
        (self.generation, self.sequence)
    }

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
        propose::everything_listed()
    }

    fn addressee(push: &Push) -> &Holder {
        &push.to
    }

    fn speaker(command: &Command) -> Option<&Holder> {
        match command {
            Command::Acquire(acquire) => Some(acquire.holder()),
            Command::Renew { holder, .. }
            | Command::Release { holder, .. }
            | Command::Cancel { holder, .. } => Some(holder),
            _ => None,
        }
    }

    fn parse_party(text: &str) -> Result<Holder, String> {
        phrase::holder(text)
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

    fn shown_in_answer(answer: &AnswerOf<Self>) -> Vec<Shown<Holder>> {
        evidence::shown_in_answer(answer)
    }

    fn shown_in_push(push: &Push) -> Vec<Shown<Holder>> {
        evidence::shown_in_push(push)
    }

    fn durations(&self, hidden: Option<&Command>) -> BTreeSet<u64> {
        evidence::durations(self, hidden)
    }

    fn affected(&self, hidden: Option<&Command>) -> Vec<Holder> {
        let speaker = hidden.and_then(Self::speaker).cloned();
        let waiting = self.queue.values().map(|ticket| ticket.holder.clone());
        speaker.into_iter().chain(waiting).collect()
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

    fn parties_of_the_small_world() -> Vec<Holder> {
        propose::holders()
    }
}
