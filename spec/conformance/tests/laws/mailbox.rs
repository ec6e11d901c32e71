//! Laws of mailboxes.

use std::collections::BTreeSet;

use mailbus_conformance::differential::Operation;
use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, Delay, Fate, MailboxMachine, MessageId, Outcome, Rejection, Settled,
};
use mailbus_spec::{AgentId, Ordinal};
use proptest::prelude::*;

use super::{Lawful, Moment, assert_reached, cases, history, operation};

type Run = super::Run<MailboxMachine>;
type Answer = Result<Outcome, Rejection>;

const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;
/// Far below every span that the object counts.
const SHORT_MS: &[u64] = &[0, 0, 1, 1_000];
/// Gaps up to that after which agents are forgotten, not beyond.
const LONG_MS: &[u64] = &[0, 0, 0, 1, 1_000, MINUTE, 2 * MINUTE, 11 * MINUTE];
const ALL_MS: &[u64] = MailboxMachine::GAPS_MS;

impl Lawful for MailboxMachine {
    const GAPS_MS: &'static [u64] =
        &[0, 0, 0, 0, 1, 1_000, 2 * MINUTE, 10 * MINUTE, 10 * MINUTE, DAY, 7 * DAY];
    const NAMES: &'static [(&'static str, &'static str)] =
        &[("ann", "eve"), ("bob", "fay"), ("cid", "gus"), ("dan", "hal")];
}

impl Run {
    fn answer(&mut self, command: &Command) -> Answer {
        self.execute(command).answer
    }

    /// The moment's command, at its time.
    fn live(&mut self, Moment { gap_ms, operation }: &Moment) {
        self.pass(*gap_ms);
        self.execute(&self.command(operation));
    }
}

/// The same command, with nothing that has to wait.
fn at_once(mut command: Command) -> Command {
    if let Ask::Nack { delay, .. } = &mut command.ask {
        *delay = Delay::NONE;
    }
    command
}

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn name() -> impl Strategy<Value = AgentId> {
    prop::sample::select(MailboxMachine::NAMES).prop_map(|(name, _)| agent(name))
}

/// A command of one of these about his own mail.
fn own(run: &Run, operation: &Operation, agents: &[&str]) -> Command {
    let is_own = |command: &Command| match &command.ask {
        Ask::Publish { .. } | Ask::Send { .. } | Ask::Forget { .. } | Ask::Agents { .. } => false,
        ask => ask.agent().is_some_and(|agent| agents.contains(&agent.as_str())),
    };
    let command = run.command_where(operation, is_own);
    if is_own(&command) {
        command
    } else {
        Command::alone(Ask::Heartbeat { agent: agent(agents[0]) })
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// The alarm law: as long as nothing has to wait, or has become too old, no answer and no push
    /// depends on the alarm.
    #[test]
    fn while_nothing_ends_nothing_depends_on_the_alarm(
        history in history(SHORT_MS),
        rings in prop::collection::vec(0_u8..3, 100),
    ) {
        let (mut never, mut whenever) = (Run::new(), Run::new());
        for (Moment { gap_ms, operation }, rings) in history.iter().zip(rings) {
            never.pass(*gap_ms);
            let command = at_once(never.command(operation));
            let expected = never.step(&command);
            whenever.pass(gap_ms / 2);
            for _ in 0..rings {
                let step = whenever.event(&Event::Alarm);
                prop_assert!(step.pushes.is_empty(), "{:?}", step.pushes);
            }
            whenever.pass(gap_ms - gap_ms / 2);
            let step = whenever.step(&command);
            prop_assert_eq!(expected.reply.map(|reply| reply.answer), step.reply.map(|reply| reply.answer));
            prop_assert_eq!(expected.pushes, step.pushes);
        }
    }

    /// Acceptance, and the form of it, never depend on the alarm: memory ends by time alone.
    #[test]
    fn what_is_accepted_does_not_depend_on_the_alarm(history in history(LONG_MS)) {
        let (mut never, mut on_time) = (Run::new(), Run::new());
        for Moment { gap_ms, operation } in &history {
            never.pass(*gap_ms);
            let command = never.command(operation);
            let expected = never.answer(&command);
            on_time.ring_until(*gap_ms);
            let answer = on_time.answer(&command);
            let accepts = matches!(
                command.ask,
                Ask::Publish { .. } | Ask::Send { .. } | Ask::Subscribe { .. }
            );
            if accepts {
                prop_assert_eq!(expected, answer);
            }
        }
    }

    /// An alarm that is on time comes to an end: nothing is left that wants one at once.
    #[test]
    fn alarms_on_time_come_to_rest(history in history(ALL_MS)) {
        let mut run = Run::new();
        for Moment { gap_ms, operation } in &history {
            run.ring_until(*gap_ms);
            run.execute(&run.command(operation));
        }
        // Nobody comes back: in the end everything is forgotten, whoever still has a session excepted.
        run.machine.break_sessions();
        run.ring_until(limits::RETENTION_MS + limits::LOSSES_MS + limits::SIGHT_MS);
        prop_assert!(run.machine.log.entries.is_empty());
        prop_assert!(run.machine.agents.is_empty(), "{:?}", run.machine.agents);
    }

    /// Commands of two agents about their own mail may change places.
    #[test]
    fn commands_of_different_agents_commute(
        begin in history(LONG_MS),
        left in operation(),
        right in operation(),
    ) {
        let mut forth = Run::new();
        for moment in &begin {
            forth.live(moment);
        }
        // What time ends is over for both.
        forth.ask_nothing();
        let mut back = forth.clone();
        let (left, right) = (own(&forth, &left, &["ann", "bob"]), own(&forth, &right, &["cid", "dan"]));
        let first = (forth.answer(&left), forth.answer(&right));
        let (second, third) = (back.answer(&right), back.answer(&left));
        prop_assert_eq!(first, (third, second));
        prop_assert_eq!(forth.machine, back.machine);
    }

    /// A refused command might as well have been a question.
    #[test]
    fn a_refused_command_changes_nothing(history in history(ALL_MS)) {
        let (mut asked, mut never_asked) = (Run::new(), Run::new());
        for Moment { gap_ms, operation } in &history {
            asked.pass(*gap_ms);
            never_asked.pass(*gap_ms);
            let command = asked.command(operation);
            let answer = asked.answer(&command);
            if answer.is_err() {
                never_asked.ask_nothing();
            } else {
                prop_assert_eq!(answer, never_asked.answer(&command));
            }
            prop_assert_eq!(&asked.machine, &never_asked.machine);
        }
    }

    /// Reading twice gives the same twice, moves nobody's mail, and writes no more than that the reader is
    /// there: once a day.
    #[test]
    fn a_question_changes_nothing(history in history(ALL_MS), agent in name()) {
        let mut run = Run::new();
        for moment in &history {
            run.live(moment);
        }
        run.ask_nothing();
        let settled = run.machine.clone();
        let after = run.machine.log.entries.keys().rev().nth(2).copied().unwrap_or_default();
        let inbox = Ask::Inbox { agent: agent.clone(), after, limit: 3 };
        let letters =
            Ask::DeadLetters { agent: agent.clone(), after: Default::default(), limit: 10 };
        for ask in [inbox, letters] {
            let command = Command::alone(ask);
            prop_assert_eq!(run.answer(&command), run.answer(&command));
        }
        // What one event did not push, the next may.
        prop_assert_eq!(settled.log, run.machine.log);
        let now = run.machine.clock.observe(run.host).unwrap().now;
        for (name, before) in settled.agents {
            let known = before.registration.map(|mut known| {
                let is_old = known.written_at.plus_ms(limits::SIGHT_MS) <= now;
                known.written_at = if name == agent && is_old { now } else { known.written_at };
                known
            });
            prop_assert_eq!(&known, &run.machine.agents[&name].registration);
        }
    }

    /// A message that is sent again is the first one, and an ack that is repeated settles nothing.
    #[test]
    fn repetitions_change_nothing(history in history(ALL_MS)) {
        let mut run = Run::new();
        for Moment { gap_ms, operation } in &history {
            run.pass(*gap_ms);
            // What time ends in this event is over for both.
            run.ask_nothing();
            let command = run.command(operation);
            let first = run.answer(&command);
            let repeats = match &command.ask {
                Ask::Publish { message } | Ask::Send { message, .. } => message.id.is_some(),
                // A second one by id settles what was not shown.
                Ask::Ack { what, .. } => !matches!(what, Settled::Id(_)),
                _ => false,
            };
            if !repeats || first.is_err() {
                continue;
            }
            let before = run.machine.clone();
            match (first, run.answer(&command)) {
                (
                    Ok(
                        Outcome::Accepted { seq, recipients: told, refused, .. }
                        | Outcome::Duplicate { seq, recipients: Some(told), refused },
                    ),
                    again,
                ) => {
                    let recipients = Some(told);
                    prop_assert_eq!(again, Ok(Outcome::Duplicate { seq, recipients, refused }));
                }
                (Ok(Outcome::Settled { .. }), Ok(Outcome::Settled { settled, .. })) => {
                    prop_assert_eq!(settled, 0);
                }
                (first, again) => prop_assert_eq!(first, again),
            }
            prop_assert_eq!(before, run.machine.clone());
        }
    }

    /// Acks by id settle each message once: what was ever pushed of it, and the rest when nothing is left that
    /// was.
    #[test]
    fn acks_by_id_settle_what_was_shown_and_then_the_rest(
        history in history(SHORT_MS),
        to in name(),
    ) {
        let mut run = Run::new();
        for moment in &history {
            run.live(moment);
        }
        for (from, _) in MailboxMachine::NAMES {
            run.say(&format!("send {from} {to} a id=same"));
        }
        let what = Settled::Id(MessageId::new("same").unwrap());
        let ack = Command::alone(Ask::Ack { agent: to.clone(), what });
        let named = |run: &Run| -> BTreeSet<Ordinal> {
            let entries = run.machine.log.entries.iter();
            let same = entries.filter(|(_, logged)| {
                logged.message.id.as_ref().is_some_and(|id| id.as_str() == "same")
            });
            let open = &run.machine.agents[&to].inbox.open;
            same.map(|(seq, _)| *seq).filter(|seq| open.contains_key(seq)).collect()
        };
        loop {
            let pending = named(&run);
            let agent = &run.machine.agents[&to];
            let shown: BTreeSet<Ordinal> =
                pending.iter().copied().filter(|seq| agent.was_pushed(*seq)).collect();
            let meant = if shown.is_empty() { &pending } else { &shown };
            let settled = meant.len() as u64;
            prop_assert_eq!(run.answer(&ack), Ok(Outcome::Settled { settled, unknown: 0 }));
            if pending.is_empty() {
                break;
            }
            prop_assert_eq!(named(&run), &pending - meant);
        }
    }

    /// A crash costs sessions and nothing else: what was pending is pending.
    #[test]
    fn a_crash_loses_sessions_alone(history in history(SHORT_MS), agent in name()) {
        let mut run = Run::new();
        for moment in &history {
            run.live(moment);
        }
        let inbox = Command::alone(Ask::Inbox { agent, after: Default::default(), limit: 1_000 });
        let before = run.answer(&inbox);
        run.machine.break_sessions();
        prop_assert_eq!(before, run.answer(&inbox));
    }

    /// Every command is asked by somebody of his own, or by an admin.
    #[test]
    fn a_command_names_who_asks(operation in operation()) {
        let Command { ask, .. } = Run::new().command(&operation);
        let is_admins = matches!(ask, Ask::Forget { .. } | Ask::Agents { .. });
        prop_assert_eq!(ask.agent().is_none(), is_admins);
    }
}

/// The alarm law can fail, and does where it is not claimed: what was given back for later is pushed by
/// whichever event comes first.
#[test]
fn what_waits_for_its_time_depends_on_the_alarm() {
    let answers = [true, false].map(|rings| {
        let mut run = Run::new();
        run.say("open ann/1 window=1,1000");
        run.say("send bob ann a");
        run.say("nack ann #0s delay=1s");
        if rings {
            run.ring_until(1_000);
        } else {
            run.pass(1_000);
        }
        run.say("nack ann #0s").answer
    });
    let [rung, silent] = answers;
    assert!(matches!(rung, Ok(Outcome::Returned(Fate::Due { .. }))), "{rung:?}");
    assert_eq!(silent, Ok(Outcome::Returned(Fate::Unknown)));
}

#[test]
fn random_histories_do_all_there_is_to_do() {
    assert_reached::<MailboxMachine>(
        5_000,
        &[
            "connected as new",
            "connected again",
            "accepted",
            "duplicate",
            "refused: the id stands for something else",
            "sent",
            "settled 0",
            "settled 1",
            "returned: due",
            "returned: given up",
            "returned: not in flight",
            "noted",
            "inbox",
            "failed after 5 attempts",
            "redriven 1",
            "forgotten",
            "refused: replaced",
            ", attempt 2",
            ", redriven",
            "lost",
            "closed",
        ],
    );
}

/// A name that never connected has an inbox with an end, too, and dead letters; nobody may redrive them
/// before it is somebody's name.
#[test]
fn dead_letters_of_a_stranger_wait_until_it_is_known() {
    let mut run = Run::new();
    let most = limits::INBOX_BYTES / limits::MESSAGE_MAX_BYTES as u64;
    let long = format!("send ann bob a bytes={}", limits::MESSAGE_MAX_BYTES);
    for _ in 1..most {
        run.say(&long);
    }
    // The last one outlives the others.
    run.pass(1_000);
    run.say(&long);
    let refused = run.say("send ann bob a").answer;
    assert!(
        matches!(&refused, Ok(Outcome::Accepted { refused, .. }) if refused.len() == 1),
        "{refused:?}"
    );
    run.pass(limits::RETENTION_MS - 1_000);
    run.event(&Event::Alarm);
    let seq = run.machine.last_seq;
    let redrive = Command::alone(Ask::Redrive { agent: agent("bob"), seqs: vec![seq] });
    let redriven = run.answer(&redrive).unwrap();
    assert_eq!(redriven, Outcome::Redriven { redriven: 0, unknown: 0, refused: 1 });
    let mut known = run.clone();
    known.say("open bob/1 window=100,10000");
    let redriven = known.answer(&redrive).unwrap();
    assert_eq!(redriven, Outcome::Redriven { redriven: 1, unknown: 0, refused: 0 });
    // Once its mail is gone the name is nobody's.
    run.pass(limits::COLLECTION_MS);
    run.event(&Event::Alarm);
    assert_eq!(run.machine.agents.len(), 0);
    let redriven = run.answer(&redrive).unwrap();
    assert_eq!(redriven, Outcome::Redriven { redriven: 0, unknown: 1, refused: 0 });
}
