use std::collections::BTreeSet;

use mailbus_spec::lease::{Command, LeaseStep};
use mailbus_spec::machine::Event;
use proptest::prelude::*;

use super::pair::pair;
use crate::sql::tests::{cases, histories, some_histories};
use crate::storage::Storage;

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_history_is_answered_as_the_model_answers_it(history in histories(170)) {
        let mut pair = pair();
        for operation in &history {
            pair.operate(operation);
            pair.check_memory();
        }
    }
}

/// Labels of an event and of its result, without its numbers.
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
    for history in some_histories(400, 170) {
        let mut pair = pair();
        for (event, step) in history.iter().flat_map(|operation| pair.operate(operation)) {
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
    for history in some_histories(50, 170) {
        let mut pair = pair();
        let (first, second) = history.split_at(history.len() / 2);
        first.iter().for_each(|operation| drop(pair.operate(operation)));
        if !pair.model().leases.is_empty() {
            let newest = "DELETE FROM claim WHERE token = (SELECT max(token) FROM claim)";
            pair.machine.database.execute(newest, &[]).unwrap();
            pair.evict();
        }
        second.iter().for_each(|operation| drop(pair.operate(operation)));
    }
}
