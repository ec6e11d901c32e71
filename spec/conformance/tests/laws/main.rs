//! Metamorphic laws of both machines, on random histories: what must not change when something that should
//! not matter is changed. They need no model, so they hold for any implementation; here they are asked of
//! the reference models, together with every invariant of every step.
//!
//! A history is drawn from the grammar of all random histories, so proptest shrinks it freely.
//!
//! | file | laws |
//! |---|---|
//! | this one | of both: names do not matter, and a question is none the second time |
//! | `lease` | alarms, questions, refusals and repetitions of leases; disjoint commands commute |
//! | `mailbox` | the same of mailboxes; a crash costs sessions alone |

mod lease;
mod mailbox;

use std::collections::BTreeSet;

use mailbus_conformance::differential::Operation;
use mailbus_conformance::{EXACT_START, Epoch, ReplyOf, StepOf, Subject};
use mailbus_spec::HostTime;
use mailbus_spec::invariant::Transition;
use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::MailboxMachine;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};

/// Start that instants and ordinals are written by.
const EPOCH: Epoch = Epoch(EXACT_START);

/// One event, and how long after the one before.
#[derive(Clone, Debug)]
struct Moment {
    gap_ms: u64,
    operation: Operation,
}

/// As many cases, the same in every run: whoever wants others has the fuzzer.
fn cases(cases: u32) -> ProptestConfig {
    let failure_persistence = None;
    let rng_seed = RngSeed::Fixed(1);
    ProptestConfig { cases, failure_persistence, rng_seed, ..ProptestConfig::default() }
}

fn operation() -> impl Strategy<Value = Operation> {
    prop::array::uniform16(any::<u8>()).prop_map(Operation)
}

fn history(gaps_ms: &'static [u64]) -> impl Strategy<Value = Vec<Moment>> {
    let moment = (prop::sample::select(gaps_ms), operation());
    let moment = moment.prop_map(|(gap_ms, operation)| Moment { gap_ms, operation });
    prop::collection::vec(moment, 1..100)
}

/// A service with what laws need of it besides.
trait Lawful: Subject {
    /// Lengths of time between two events in which everything ends sometimes.
    const GAPS_MS: &'static [u64];
    /// Names of the small world, and others of the same length and order.
    const NAMES: &'static [(&'static str, &'static str)];

    /// True for what raises the object's clock beyond its host's: it is no matter of these laws.
    fn carries_the_clock(_command: &Self::Command) -> bool {
        false
    }
}

/// The machine with its host's clock.
#[derive(Clone, Debug)]
struct Run<S: Lawful> {
    machine: S,
    host: HostTime,
}

impl<S: Lawful> Run<S> {
    fn new() -> Self {
        Self { machine: S::default(), host: EXACT_START }
    }

    /// The command that somebody gives now.
    fn command(&self, operation: &Operation) -> S::Command {
        self.command_where(operation, |_| true)
    }

    /// The same, of those for which this holds.
    fn command_where(
        &self,
        operation: &Operation,
        mut holds: impl FnMut(&S::Command) -> bool,
    ) -> S::Command {
        let mut drawn = operation.commands(&self.machine).take(100);
        drawn
            .find(|command| !S::carries_the_clock(command) && holds(command))
            .unwrap_or_else(S::probe)
    }

    /// One event now; every invariant is checked on it.
    fn event(&mut self, event: &Event<S::Command>) -> StepOf<S> {
        let (before, host) = (self.machine.clone(), self.host);
        let step = self.machine.handle(host, event);
        let after = &self.machine;
        Transition { before: &before, host, event, step: &step, after }.check(None).unwrap();
        step
    }

    /// One command now, its answer and its pushes.
    fn step(&mut self, command: &S::Command) -> StepOf<S> {
        self.event(&Event::Command(command.clone()))
    }

    /// The same, its reply alone.
    fn execute(&mut self, command: &S::Command) -> ReplyOf<S> {
        self.step(command).reply.unwrap()
    }

    /// The command of a script's line.
    fn say(&mut self, line: &str) -> ReplyOf<S> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.execute(&S::parse_command(&words, EPOCH).unwrap())
    }

    /// Lets time end what it ends.
    fn ask_nothing(&mut self) {
        self.execute(&S::probe());
    }

    fn pass(&mut self, ms: u64) {
        self.host.0 += ms;
    }

    /// Rings the alarm at every instant it is due before `gap_ms` from now have passed.
    fn ring_until(&mut self, gap_ms: u64) {
        let end = self.host.0 + gap_ms;
        while let Some(due) = self.machine.next_alarm() {
            let at = self.machine.clock().host_at(due).max(self.host);
            if at.0 > end {
                break;
            }
            self.host = at;
            self.event(&Event::Alarm);
        }
        self.host.0 = end;
    }
}

/// A text with names in it replaced.
fn renamed(
    text: &str,
    names: impl Iterator<Item = (&'static str, &'static str)> + Clone,
) -> String {
    let word = |word: &str| {
        let found = names.clone().find(|(name, _)| *name == word);
        found.map_or(word.to_owned(), |(_, other)| other.to_owned())
    };
    let mut renamed = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let letters = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        renamed.push_str(&word(&rest[..letters]));
        let (others, after) =
            rest[letters..].split_at(rest[letters..].chars().next().map_or(0, char::len_utf8));
        renamed.push_str(others);
        rest = after;
    }
    renamed
}

/// Nothing depends on what agents are called, but for their order.
fn renaming_agents_renames_answers_and_nothing_else<S: Lawful>(history: &[Moment]) {
    let (mut one, mut other) = (Run::<S>::new(), Run::<S>::new());
    let (forth, back) =
        (S::NAMES.iter().copied(), S::NAMES.iter().map(|(one, other)| (*other, *one)));
    for Moment { gap_ms, operation } in history {
        one.pass(*gap_ms);
        other.pass(*gap_ms);
        let command = one.command(operation);
        let text = renamed(&S::spell_command(&command, EPOCH), forth.clone());
        let words: Vec<&str> = text.split_whitespace().collect();
        let step = other.step(&S::parse_command(&words, EPOCH).unwrap());
        let step = renamed(&format!("{step:?}"), back.clone());
        assert_eq!(format!("{:?}", one.step(&command)), step);
    }
}

/// Two questions in one instant have one answer and one commit.
fn reading_twice_reads_the_same<S: Lawful>(history: &[Moment]) {
    let mut run = Run::<S>::new();
    for Moment { gap_ms, operation } in history {
        run.pass(*gap_ms);
        run.execute(&run.command(operation));
        let first = run.execute(&S::probe());
        let after = run.machine.clone();
        assert_eq!(first, run.execute(&S::probe()));
        assert_eq!(after, run.machine);
    }
}

/// Answers and pushes of so many histories: the laws are asked of histories in which what they
/// speak of happens.
fn answers<S: Lawful>(histories: usize) -> BTreeSet<String> {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..histories {
        let mut run = Run::<S>::new();
        for moment in history(S::GAPS_MS).new_tree(&mut runner).unwrap().current() {
            run.ring_until(moment.gap_ms);
            let step = run.step(&run.command(&moment.operation));
            let answer = step.reply.map(|reply| S::spell_answer(&reply.answer, EPOCH));
            let pushes = step.pushes.iter().map(|push| S::spell_push(push, EPOCH));
            seen.extend(answer.into_iter().chain(pushes));
        }
    }
    seen
}

/// Fails unless each of these is in an answer or a push.
fn assert_reached<S: Lawful>(histories: usize, expected: &[&str]) {
    let seen = answers::<S>(histories);
    let is_missing = |text: &&&str| !seen.iter().any(|answer| answer.contains(**text));
    let missing: Vec<_> = expected.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "no history ever had {missing:?}");
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn names_do_not_matter_to_leases(history in history(LeaseMachine::GAPS_MS)) {
        renaming_agents_renames_answers_and_nothing_else::<LeaseMachine>(&history);
    }

    #[test]
    fn names_do_not_matter_to_mailboxes(history in history(MailboxMachine::GAPS_MS)) {
        renaming_agents_renames_answers_and_nothing_else::<MailboxMachine>(&history);
    }

    #[test]
    fn leases_read_twice_read_the_same(history in history(LeaseMachine::GAPS_MS)) {
        reading_twice_reads_the_same::<LeaseMachine>(&history);
    }

    #[test]
    fn mailboxes_read_twice_read_the_same(history in history(MailboxMachine::GAPS_MS)) {
        reading_twice_reads_the_same::<MailboxMachine>(&history);
    }
}
