use std::collections::BTreeSet;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, DeadReason, Delay, MailboxStep, Notice, Outcome, Rejection,
};
use mailbus_spec::{HostTime, limits};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::history::{Action, NOON, ObjectFate, Op, World, history, moved};
use super::pair::Pair;
use super::wish::{Draft, Past, Wish, agent};
use crate::storage::Storage;

/// A history as it goes on.
pub(super) struct Story {
    pub pair: Pair,
    host: HostTime,
    past: Past,
    reached: BTreeSet<String>,
}

impl Story {
    pub fn new() -> Self {
        Self {
            pair: Pair::new(),
            host: HostTime(NOON),
            past: Past::default(),
            reached: BTreeSet::new(),
        }
    }

    pub fn tell(&mut self, op: &Op) {
        let (host, onwards) = moved(self.host, op.clock_ms);
        self.host = onwards;
        match op.fate {
            ObjectFate::GoesOn => {}
            ObjectFate::Evicted => self.pair.evict(),
            ObjectFate::Crashed => self.pair.crash(),
        }
        match &op.action {
            Action::Alarm => self.event(host, &Event::Alarm, op.failing_statement),
            Action::Command(wish, over) => {
                let command = self.past.command(wish, *over);
                self.event(host, &Event::Command(command), op.failing_statement);
            }
            Action::Kill { agent: of, back } => {
                let seq = self.past.pushed(*of, *back);
                for _ in 0..limits::MAX_DELIVERIES {
                    let ask = Ask::Nack { agent: agent(*of), seq, delay: Delay::NONE };
                    self.event(host, &Event::Command(Command::alone(ask)), None);
                }
            }
            Action::Crowd { agent: of, count } => {
                for _ in 0..*count {
                    let connect = connect(*of, 9);
                    let command = self.past.command(&connect, 0);
                    self.event(host, &Event::Command(command), None);
                }
            }
            Action::Burst { to, count } => {
                for number in 0..*count {
                    let draft = Draft {
                        from: 0,
                        to: Some(*to),
                        id: 9,
                        kind: number,
                        payload: 0,
                        ack_required: number % 7 == 0,
                        ephemeral: false,
                        long: false,
                    };
                    let command = self.past.command(&Wish::Message(draft), 0);
                    self.event(host, &Event::Command(command), None);
                }
            }
        }
    }

    /// Sends long messages to an agent that connects before, in between, or not at all.
    fn fill(&mut self, to: usize, window: usize, connects: usize, acks: &[bool]) {
        let connect = connect(to, window);
        for (number, ack_required) in acks.iter().enumerate() {
            if number == connects * 33 {
                let command = self.past.command(&connect, 0);
                self.event(self.host, &Event::Command(command), None);
            }
            let draft = Draft {
                from: 0,
                to: Some(to),
                id: 9,
                kind: 0,
                payload: 0,
                ack_required: *ack_required,
                ephemeral: false,
                long: true,
            };
            let command = self.past.command(&Wish::Message(draft), 0);
            self.event(self.host, &Event::Command(command), None);
        }
        self.look_through_dead_letters(to);
    }

    /// Asks for the agent's dead letters, and for a second chance for some of them.
    fn look_through_dead_letters(&mut self, of: usize) {
        let wishes = [
            Wish::DeadLetters { agent: of, after: None, limit: 1_000 },
            Wish::Redrive { agent: of, backs: vec![0, 2, 5] },
            Wish::Inbox { agent: of, after: Some(0), limit: 3 },
        ];
        for wish in wishes {
            let command = self.past.command(&wish, 0);
            self.event(self.host, &Event::Command(command), None);
        }
    }

    pub fn event(&mut self, host: HostTime, event: &Event<Command>, failing: Option<u64>) {
        let step = self.pair.event_with_failure(host, event, failing);
        let command = match event {
            Event::Command(command) => Some(command),
            Event::Alarm => None,
        };
        let answer = step.reply.as_ref().and_then(|reply| reply.answer.as_ref().ok());
        self.past.note(command, answer, &step.pushes);
        self.reached.extend(labels(event, &step));
    }
}

fn connect(agent: usize, window: usize) -> Wish {
    Wish::Connect { agent, session: 0, window, types: None, last_seen: None }
}

const SMALL: World = World { long: 0.02, bursts: 1 };
const LONG: World = World { long: 0.7, bursts: 0 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_answered_as_the_model_answers_it(history in history(SMALL, 140)) {
        let mut story = Story::new();
        for op in &history {
            story.tell(op);
            story.pair.check_memory();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Windows, pages and what one event pushes are bounded in bytes too.
    #[test]
    fn so_is_a_history_of_long_messages(history in history(LONG, 60)) {
        let mut story = Story::new();
        for op in &history {
            story.tell(op);
            story.pair.check_memory();
        }
    }

    /// Refusals, presumptions in a full inbox, and redrives that find no room.
    #[test]
    fn so_is_a_history_that_begins_with_a_full_inbox(
        window in 0..6usize,
        first in 0..3usize,
        acks in prop::collection::vec(prop::bool::weighted(0.3), 70),
        history in history(LONG, 60),
    ) {
        let mut story = Story::new();
        story.fill(1, window, first, &acks);
        for op in &history {
            story.tell(op);
            story.pair.check_memory();
        }
        story.look_through_dead_letters(1);
        story.pair.check_memory();
    }
}

fn some_histories(world: World, count: usize, most: usize) -> Vec<Vec<Op>> {
    let mut runner = TestRunner::deterministic();
    let strategy = history(world, most);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// What an event was and came to, without its numbers.
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

#[test]
fn the_histories_reach_every_kind_of_answer() {
    let mut reached = BTreeSet::new();
    for history in some_histories(SMALL, 300, 140) {
        let mut story = Story::new();
        history.iter().for_each(|op| story.tell(op));
        reached.append(&mut story.reached);
    }
    for (number, history) in some_histories(LONG, 24, 60).iter().enumerate() {
        let mut story = Story::new();
        let acks: Vec<bool> = (0..70).map(|message| (message + number) % 3 == 0).collect();
        story.fill(1, number % 6, number % 3, &acks);
        history.iter().for_each(|op| story.tell(op));
        story.look_through_dead_letters(1);
        reached.append(&mut story.reached);
    }
    let expected = "connect: Connected, wrote|connect: Connected resumed, wrote|\
        connect: Connected resumed gap, wrote|connect: Connected resumed refused, wrote|\
        connect: Ahead|connect: Clock|disconnect: Disconnected|disconnect: Disconnected, wrote|\
        subscribe: Subscribed|subscribe: Subscribed, wrote|subscribe: Replaced|\
        unsubscribe: Subscribed|unsubscribe: Subscribed, wrote|publish: Accepted, wrote|\
        publish: Accepted refused, wrote|publish: Sent|publish: Duplicate|publish: Conflict|\
        send: Accepted, wrote|send: Accepted refused, wrote|send: Sent|send: Duplicate|\
        send: Conflict|send: Limit(UnknownNameMessages)|ack: Settled|ack: Settled unknown|\
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
    for history in some_histories(SMALL, 50, 140) {
        let mut story = Story::new();
        let (first, second) = history.split_at(history.len() / 2);
        first.iter().for_each(|op| story.tell(op));
        if story.pair.model.sequence > 0 {
            story.pair.database.execute(damage, &[]).unwrap();
            story.pair.evict();
        }
        second.iter().for_each(|op| story.tell(op));
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
