use std::collections::BTreeSet;

use mailbus_spec::HostTime;
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseStep, Outcome};
use mailbus_spec::machine::Event;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::history::{Action, NOON, Op, Past, history, moved};
use super::pair::Pair;
use crate::storage::Storage;

/// A history as it goes on.
struct Story {
    pair: Pair,
    host: HostTime,
    past: Past,
}

impl Story {
    fn new() -> Self {
        Self { pair: Pair::new(), host: HostTime(NOON), past: Past::default() }
    }

    fn tell(&mut self, op: &Op) -> (Event<Command>, LeaseStep) {
        let (host, onwards) = moved(self.host, op.clock_ms);
        self.host = onwards;
        let event = match &op.action {
            Action::Alarm => Event::Alarm,
            Action::Command(ask) => Event::Command(ask.command(&self.past)),
        };
        if op.evicted {
            self.pair.evict();
        }
        let step = self.pair.event_with_failure(host, &event, op.failing_statement);
        self.note(&event, &step);
        (event, step)
    }

    fn note(&mut self, event: &Event<Command>, step: &LeaseStep) {
        if let Event::Command(Command::Acquire(asked)) = event {
            self.past.asked.push(asked.clone());
            let answer = step.reply.as_ref().map(|reply| &reply.answer);
            if let Some(Ok(Outcome::Granted { token, .. })) = answer {
                self.past.granted.push((*token, asked.holder().clone()));
            }
        }
        for push in &step.pushes {
            if let Notice::Granted { token, .. } = &push.notice {
                self.past.granted.push((*token, push.to.clone()));
            }
        }
        self.past.granted.dedup();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_answered_as_the_model_answers_it(history in history(140)) {
        let mut story = Story::new();
        for op in &history {
            story.tell(op);
            story.pair.check_memory();
        }
    }
}

fn some_histories(count: usize) -> Vec<Vec<Op>> {
    let mut runner = TestRunner::deterministic();
    let strategy = history(140);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// What an event was and came to, without its numbers.
fn labels(event: &Event<Command>, step: &LeaseStep) -> Vec<String> {
    let name = |debug: String| debug.split([' ', '{', '(']).next().unwrap_or_default().to_owned();
    let asked = match event {
        Event::Command(command) => command.name(),
        Event::Alarm => "alarm",
    };
    let answer = step.reply.as_ref().map_or("nobody".to_owned(), |reply| match &reply.answer {
        Ok(outcome) => name(format!("{outcome:?}")),
        Err(rejection) => name(format!("{rejection:?}")),
    });
    let wrote = if step.wrote { ", wrote" } else { "" };
    let mut labels = vec![format!("{asked}: {answer}{wrote}")];
    labels.extend(
        step.pushes.iter().map(|push| "push: ".to_owned() + &name(format!("{:?}", push.notice))),
    );
    labels
}

#[test]
fn the_histories_reach_every_kind_of_answer() {
    let mut reached = BTreeSet::new();
    for history in some_histories(400) {
        let mut story = Story::new();
        for op in &history {
            let (event, step) = story.tell(op);
            reached.extend(labels(&event, &step));
        }
    }
    let expected = "acquire: Granted|acquire: Granted, wrote|acquire: Queued|acquire: Queued, wrote|acquire: Over|\
        acquire: Over, wrote|acquire: Held|acquire: Held, wrote|acquire: Deadlock|\
        acquire: Conflict|acquire: Clock|renew: Renewed|renew: Renewed, wrote|renew: Lost|\
        release: Released|release: Released, wrote|release: Lost|release: Lost, wrote|\
        cancel: Cancelled|cancel: Cancelled, wrote|force-release: Released|\
        force-release: Released, wrote|force-release: Lost|recover: Recovered, wrote|\
        status: Free|status: Held|list: Leases|verify: Current|verify: Stale|alarm: nobody|\
        alarm: nobody, wrote|push: Granted|push: Lapsed|push: Forced";
    for label in expected.split('|') {
        assert!(reached.contains(label), "no `{label}` among {reached:?}");
    }
}

#[test]
#[should_panic(expected = "event ")]
fn a_claim_that_the_storage_loses_is_noticed() {
    for history in some_histories(50) {
        let mut story = Story::new();
        let (first, second) = history.split_at(history.len() / 2);
        first.iter().for_each(|op| drop(story.tell(op)));
        if !story.pair.model.leases.is_empty() {
            let newest = "DELETE FROM claim WHERE token = (SELECT max(token) FROM claim)";
            story.pair.database.execute(newest, &[]).unwrap();
            story.pair.evict();
        }
        second.iter().for_each(|op| drop(story.tell(op)));
    }
}
