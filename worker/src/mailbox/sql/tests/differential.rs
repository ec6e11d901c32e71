use std::collections::BTreeSet;

use mailbus_conformance::differential::{Loads, Operation};
use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, DeadReason, MailboxStep, Notice, Outcome, Rejection};
use proptest::prelude::*;

use super::pair::{FEW, Pair};
use crate::sql::tests::{cases, histories, pair, some_histories};
use crate::storage::Storage;

/// Loads of a history of short messages.
const SHORT: Loads = Loads { some: 4, many: 1, long: 1, longs: 0 };
/// Loads of a history in which windows, pages, inboxes and what one event pushes are bounded in bytes too.
const LONG: Loads = Loads { some: 2, many: 0, long: 40, longs: 2 };

fn check(loads: Loads, history: &[Operation]) {
    go_on(&mut pair(FEW, loads), history);
}

fn go_on(pair: &mut Pair, history: &[Operation]) {
    for operation in history {
        pair.operate(operation);
        pair.check_memory();
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_history_is_answered_as_the_model_answers_it(history in histories(170)) {
        check(SHORT, &history);
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn so_is_a_history_of_long_messages(history in histories(100)) {
        check(LONG, &history);
    }

    /// Refusals, presumptions in a full inbox, and redrives that find no room. Its agent connects before, in
    /// between, or never.
    #[test]
    fn so_is_a_history_that_begins_with_a_full_inbox(
        opened in 0..3usize,
        window in prop::sample::select(vec!["", " window=1,100", " window=3,300", " window=256,4194304"]),
        history in histories(70),
    ) {
        let open = format!("open bob{window}");
        let sends = "times 24 send ann bob a bytes=1000000\ntimes 11 send ann bob b ackRequired bytes=999999";
        let mut script = [sends, sends, ""];
        script[opened] = &open;
        let mut pair = pair(FEW, LONG);
        pair.tell(&[&script[..], &[sends]].concat().join("\n")).unwrap();
        go_on(&mut pair, &history);
    }
}

/// Labels of an event and of its result, without its numbers.
fn labels(event: &Event<Command>, step: &MailboxStep) -> Vec<String> {
    let asked = match event {
        Event::Command(command) => command.ask.name(),
        Event::Alarm => "alarm",
    };
    let answer = match step.reply.as_ref().map(|reply| &reply.answer) {
        None => "nobody".to_owned(),
        Some(Ok(outcome)) => came_to(outcome),
        Some(Err(Rejection::Clock(_))) => "Clock".to_owned(),
        Some(Err(Rejection::Ahead { .. })) => "Ahead".to_owned(),
        Some(Err(Rejection::UnknownAgent { .. })) => "UnknownAgent".to_owned(),
        Some(Err(rejection)) => format!("{rejection:?}"),
    };
    let wrote = if step.wrote { ", wrote" } else { "" };
    let mut labels = vec![format!("{asked}: {answer}{wrote}")];
    labels.extend(step.pushes.iter().map(|push| match &push.notice {
        Notice::Message { attempt: 1, redriven: false, .. } => "push: first".to_owned(),
        Notice::Message { redriven: false, .. } => "push: again".to_owned(),
        Notice::Message { .. } => "push: redriven".to_owned(),
        Notice::Ephemeral { .. } => "push: ephemeral".to_owned(),
        Notice::Gap(_) => "push: gap".to_owned(),
        Notice::Closed(reason) => format!("push: {reason:?}"),
    }));
    if step.pushes.len() as u64 >= limits::PUSH_BUDGET_MESSAGES {
        labels.push("push: as many as an event may".to_owned());
    }
    labels
}

fn came_to(outcome: &Outcome) -> String {
    let with = |name: &str, details: &[(&str, bool)]| {
        let said = details.iter().filter(|(_, is_so)| *is_so);
        let said: Vec<&str> = said.map(|(detail, _)| *detail).collect();
        [name, &said.join(" ")].join(" ").trim_end().to_owned()
    };
    match outcome {
        Outcome::Connected { resumed, gap, refused, .. } => with(
            "Connected",
            &[("resumed", *resumed), ("gap", gap.is_some()), ("refused", *refused > 0)],
        ),
        Outcome::Accepted { refused, .. } => with("Accepted", &[("refused", !refused.is_empty())]),
        Outcome::Settled { settled, unknown } => {
            with("Settled", &[("some", *settled > 0), ("unknown", *unknown > 0)])
        }
        Outcome::Returned(fate) => format!("Returned {fate:?}").chars().take(12).collect(),
        Outcome::Inbox { messages, .. } => {
            let redriven = messages.iter().any(|pending| pending.redriven);
            with("Inbox", &[("redriven", redriven)])
        }
        Outcome::DeadLetters { letters, more } => {
            let has = |reason| letters.iter().any(|letter| letter.reason == reason);
            let (failed, refused) = (has(DeadReason::Failed), has(DeadReason::Refused));
            with("DeadLetters", &[("failed", failed), ("refused", refused), ("more", *more)])
        }
        Outcome::Redriven { redriven, unknown, refused } => with(
            "Redriven",
            &[("some", *redriven > 0), ("unknown", *unknown > 0), ("refused", *refused > 0)],
        ),
        Outcome::Noted { known } => with("Noted", &[("known", *known)]),
        Outcome::Forgotten { known } => with("Forgotten", &[("known", *known)]),
        other => format!("{other:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
    }
}

fn reach(pair: &mut Pair, history: &[Operation], reached: &mut BTreeSet<String>) {
    for (event, step) in history.iter().flat_map(|operation| pair.operate(operation)) {
        reached.extend(labels(&event, &step));
    }
}

#[test]
fn the_histories_reach_every_kind_of_answer() {
    let mut reached = BTreeSet::new();
    for (loads, histories) in [(SHORT, some_histories(200, 170)), (LONG, some_histories(32, 100))] {
        for history in histories {
            reach(&mut pair(FEW, loads), &history, &mut reached);
        }
    }
    // By chance alone hardly any inbox is full when something is published, or is read after a redrive.
    let full = "subscribe bob *\ntimes 65 publish ann a bytes=1048576".to_owned();
    let mut redriven = "open bob/1 window\npublish ann a\n".to_owned();
    for run in ["#0s", "#0s.1", "#0s.2", "#0s.3", "#0s.4"] {
        redriven += &format!("bob{run}: working #0s\nclose bob{run}\nopen bob/1 window\n");
    }
    redriven += "redrive bob #0s\ninbox bob";
    for told in [full, redriven] {
        let mut pair: Pair = pair(FEW, LONG);
        let steps = pair.tell(&told).unwrap();
        reached.extend(steps.iter().flat_map(|(event, step)| labels(event, step)));
    }
    let expected = "connect: Connected, wrote|connect: Connected resumed, wrote|\
        connect: Connected resumed gap, wrote|connect: Connected resumed refused, wrote|\
        connect: Ahead|connect: Clock|disconnect: Disconnected|disconnect: Disconnected, wrote|\
        subscribe: Subscribed|subscribe: Subscribed, wrote|subscribe: Replaced|\
        unsubscribe: Subscribed|unsubscribe: Subscribed, wrote|publish: Accepted, wrote|\
        publish: Accepted refused, wrote|publish: Sent|publish: Duplicate|publish: Conflict|\
        send: Accepted, wrote|send: Accepted refused, wrote|send: Sent|send: Duplicate|\
        send: Conflict|send: UnknownAgent|send: Limit(UnknownNameMessages)|ack: Settled|ack: Settled unknown|\
        ack: Settled some, wrote|ack: Settled some unknown, wrote|nack: Returned Due, wrote|\
        nack: Returned Dea, wrote|nack: Returned Unk|working: Noted|working: Noted known|\
        inbox: Inbox|inbox: Inbox redriven|inbox: Ahead|agents: Agents|heartbeat: Heard|\
        dead-letters: DeadLetters|dead-letters: DeadLetters failed|\
        dead-letters: DeadLetters refused|redrive: Redriven unknown|\
        redrive: Redriven some, wrote|redrive: Redriven refused|forget: Forgotten|\
        forget: Forgotten known, wrote|recover: Recovered, wrote|alarm: nobody|\
        alarm: nobody, wrote|push: first|push: again|push: redriven|push: ephemeral|push: gap|\
        push: Replaced|push: TakenOver|push: Reopen|push: Crowded|push: Disconnected|\
        push: Forgotten|push: as many as an event may";
    let missing: Vec<&str> =
        expected.split('|').filter(|label| !reached.contains(*label)).collect();
    assert!(missing.is_empty(), "no {missing:#?} among {reached:#?}");
}

fn damaged(damage: &'static str) {
    for history in some_histories(50, 170) {
        let mut pair: Pair = pair(FEW, SHORT);
        let (first, second) = history.split_at(history.len() / 2);
        first.iter().for_each(|operation| drop(pair.operate(operation)));
        if pair.model().sequence > 0 {
            pair.machine.database.execute(damage, &[]).unwrap();
            pair.evict();
        }
        second.iter().for_each(|operation| drop(pair.operate(operation)));
    }
}

#[test]
#[should_panic(expected = "event ")]
fn an_agent_that_the_storage_loses_is_noticed() {
    damaged("DELETE FROM agent");
}

#[test]
#[should_panic(expected = "event ")]
fn a_message_that_the_storage_loses_is_noticed() {
    damaged("DELETE FROM log WHERE seq = (SELECT max(seq) FROM log)");
}

#[test]
#[should_panic(expected = "event ")]
fn a_settlement_that_the_storage_forgets_is_noticed() {
    damaged("UPDATE agent SET high = 0, open = x''");
}

#[test]
#[should_panic(expected = "event ")]
fn a_dead_letter_that_the_storage_loses_is_noticed() {
    damaged("DELETE FROM dead");
}

/// A session that ends in the millisecond of the write before it, under a clock that is anchored anew, writes
/// its agent's row as it was.
#[test]
fn a_row_that_is_written_again_as_it_was_is_within_the_budget() {
    let mut pair: Pair = pair(FEW, SHORT);
    let script = "open bob window types=\nsend ann bob a\nsend ann bob a\nhost +1m30s\n\
        nack bob #0s.1 delay=1d\nhost -1m\nclose bob#0s";
    pair.tell(script).unwrap();
    assert_eq!(pair.model().clock.offset, 150_000);
}
