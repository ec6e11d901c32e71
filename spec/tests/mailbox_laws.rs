//! Metamorphic laws of the mailbox machine, on random histories: what must not change when something
//! that should not matter is changed. They need no model, so they hold for any implementation; here
//! they are asked of the reference model itself, together with every invariant of every step.
//!
//! A history is a list of steps, each legal in every state, so proptest shrinks it freely. Places and
//! epochs in commands are those of the replies so far, by number.

use std::collections::BTreeSet;

use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, CloseReason, Command, Fate, Notice, Outcome, Rejection};
use proptest::prelude::*;

#[path = "mailbox_laws/run.rs"]
mod run;

use run::{ALL_MS, Answer, Deed, LONG_MS, Mail, Moment, Run, SHORT_MS, deed, history, own_deed};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The alarm law: as long as nothing has to wait, or has become too old, no answer and no push
    /// depends on the alarm.
    #[test]
    fn while_nothing_ends_nothing_depends_on_the_alarm(
        history in history(&SHORT_MS),
        rings in proptest::collection::vec(0_u8..3, 60),
    ) {
        let (mut never, mut whenever) = (Run::new(), Run::new());
        for (moment, rings) in history.iter().zip(rings) {
            let moment = Moment { deed: at_once(&moment.deed), ..moment.clone() };
            let expected = never.live(&moment);
            whenever.host_ms += moment.gap_ms / 2;
            for _ in 0..rings {
                let step = whenever.event(&Event::Alarm);
                prop_assert!(step.pushes.is_empty(), "{:?}", step.pushes);
            }
            let rest = Moment { gap_ms: moment.gap_ms - moment.gap_ms / 2, ..moment };
            prop_assert_eq!(expected, whenever.live(&rest));
            prop_assert_eq!(&never.pushes, &whenever.pushes);
        }
    }

    /// What is accepted, and as what, never depends on the alarm: memory ends by time alone.
    #[test]
    fn what_is_accepted_does_not_depend_on_the_alarm(history in history(&LONG_MS)) {
        let (mut never, mut on_time) = (Run::new(), Run::new());
        for moment in &history {
            let expected = never.live(moment);
            on_time.ring_until(moment.gap_ms);
            let answer = on_time.act(&moment.deed);
            if matches!(moment.deed, Deed::Publish(_) | Deed::Send { .. } | Deed::Subscribe { .. }) {
                prop_assert_eq!(expected, answer);
            }
        }
    }

    /// An alarm that is on time comes to an end: nothing is left that wants one at once.
    #[test]
    fn alarms_on_time_come_to_rest(history in history(&ALL_MS)) {
        let mut run = Run::new();
        for moment in &history {
            run.ring_until(moment.gap_ms);
            run.act(&moment.deed);
        }
        // Nobody comes back: in the end everything is forgotten, whoever still has a session excepted.
        run.machine.break_sessions();
        run.ring_until(3 * limits::RETENTION_MS);
        prop_assert!(run.machine.log.entries.is_empty());
        prop_assert!(run.machine.agents.is_empty(), "{:?}", run.machine.agents);
    }

    /// Nothing depends on what agents are called, but for their order.
    #[test]
    fn renaming_agents_renames_answers_and_nothing_else(history in history(&ALL_MS)) {
        let (mut one, mut other) = (Run::new(), Run::new());
        other.names = ["eve", "fay", "gus", "hal"];
        for moment in &history {
            let (reply, renamed) = (one.live(moment), other.live(moment));
            let back = |text: String| {
                text.replace("\"eve\"", "\"ada\"").replace("\"fay\"", "\"bob\"")
                    .replace("\"gus\"", "\"cyd\"").replace("\"hal\"", "\"dan\"")
            };
            prop_assert_eq!(format!("{reply:?}"), back(format!("{renamed:?}")));
            prop_assert_eq!(format!("{:?}", one.pushes), back(format!("{:?}", other.pushes)));
        }
    }

    /// What two agents do about their own mail may change places.
    #[test]
    fn commands_of_different_agents_commute(
        begin in history(&LONG_MS),
        left in own_deed(0..2),
        right in own_deed(2..4),
    ) {
        let mut forth = Run::new();
        for moment in &begin {
            forth.live(moment);
        }
        let mut back = forth.clone();
        // What time ends is over for both.
        forth.ask_nothing();
        back.ask_nothing();
        let first = (forth.act(&left), forth.act(&right));
        let (second, third) = (back.act(&right), back.act(&left));
        prop_assert_eq!(first, (third, second));
        prop_assert_eq!(forth.machine, back.machine);
    }

    /// A refused command might as well have been a question.
    #[test]
    fn a_refused_command_changes_nothing(history in history(&ALL_MS)) {
        let (mut asked, mut never_asked) = (Run::new(), Run::new());
        for moment in &history {
            let answer = asked.live(moment);
            if answer.as_ref().is_some_and(Result::is_err) {
                never_asked.host_ms += moment.gap_ms;
                never_asked.ask_nothing();
            } else {
                prop_assert_eq!(answer, never_asked.live(moment));
            }
            prop_assert_eq!(&asked.machine, &never_asked.machine);
        }
    }

    /// Reading twice gives the same twice, and moves nobody's mail.
    #[test]
    fn a_question_changes_nothing(history in history(&ALL_MS), who in 0..4_usize) {
        let mut run = Run::new();
        for moment in &history {
            run.live(moment);
        }
        run.ask_nothing();
        let settled = run.machine.clone();
        for deed in [Deed::Inbox { who, after: 2, limit: 3 }, Deed::DeadLetters { who }] {
            let first = run.act(&deed);
            prop_assert_eq!(first, run.act(&deed));
        }
        // What one event did not push, the next may.
        prop_assert_eq!(settled.log, run.machine.log);
    }

    /// A message that is sent again is the first one, and an ack that is repeated settles nothing.
    #[test]
    fn repetitions_change_nothing(history in history(&ALL_MS)) {
        let mut run = Run::new();
        for moment in &history {
            run.host_ms += moment.gap_ms;
            // What time ends in this event is over for both.
            run.ask_nothing();
            let first = run.act(&moment.deed);
            let (before, again) = match (&moment.deed, &first) {
                (Deed::Publish(mail) | Deed::Send { mail, .. }, Some(Ok(_))) if mail.id.is_some() => {
                    (run.machine.clone(), run.act(&moment.deed))
                }
                (Deed::Ack { .. } | Deed::AckId { .. } | Deed::AckGap { .. }, Some(Ok(_))) => {
                    (run.machine.clone(), run.act(&moment.deed))
                }
                _ => continue,
            };
            match (first, again) {
                (Some(Ok(Outcome::Accepted { seq, .. } | Outcome::Duplicate { seq })), again) => {
                    prop_assert_eq!(again, Some(Ok(Outcome::Duplicate { seq })));
                }
                (Some(Ok(Outcome::Settled { .. })), Some(Ok(Outcome::Settled { settled, .. }))) => {
                    prop_assert_eq!(settled, 0);
                }
                (first, again) => prop_assert_eq!(first, again),
            }
            prop_assert_eq!(before, run.machine.clone());
        }
    }

    /// A crash costs sessions and nothing else: what was pending is pending.
    #[test]
    fn a_crash_loses_sessions_alone(history in history(&SHORT_MS), who in 0..4_usize) {
        let mut run = Run::new();
        for moment in &history {
            run.live(moment);
        }
        let inbox = Deed::Inbox { who, after: 60, limit: 1_000 };
        let before = run.act(&inbox);
        run.act(&Deed::Crash);
        prop_assert_eq!(before, run.act(&inbox));
    }
}

/// The same deed, with nothing that has to wait.
fn at_once(deed: &Deed) -> Deed {
    match deed.clone() {
        Deed::Nack { who, seq, .. } => Deed::Nack { who, seq, delay: 0 },
        other => other,
    }
}

/// The alarm law can fail, and does where it is not claimed: what was given back for later is pushed by
/// whichever event comes first.
#[test]
fn what_waits_for_its_time_depends_on_the_alarm() {
    let mail = Mail { from: 1, id: None, kind: 0, ack_required: false, ephemeral: false, size: 2 };
    let answers = [true, false].map(|rings| {
        let mut run = Run::new();
        run.act(&Deed::Connect { who: 0, session: 1, window: 1, types: None, seen: 0 });
        run.act(&Deed::Send { to: 0, mail: mail.clone() });
        run.act(&Deed::Nack { who: 0, seq: 0, delay: 2 });
        if rings {
            run.ring_until(1_000);
        } else {
            run.host_ms += 1_000;
        }
        run.act(&Deed::Nack { who: 0, seq: 0, delay: 0 }).unwrap()
    });
    let [rung, silent] = answers;
    assert!(matches!(rung, Ok(Outcome::Returned(Fate::Due { .. }))), "{rung:?}");
    assert_eq!(silent, Ok(Outcome::Returned(Fate::Unknown)));
}

/// The laws are asked of histories in which what they speak of happens.
#[test]
fn random_histories_do_all_there_is_to_do() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for number in 0..1_500 {
        let mut run = Run::new();
        let gaps_ms: &[u64] = if number % 2 == 0 { &ALL_MS } else { &SHORT_MS };
        for moment in history(gaps_ms).new_tree(&mut runner).unwrap().current() {
            run.ring_until(moment.gap_ms);
            let answer = run.act(&moment.deed);
            seen.extend(answer.as_ref().map(answered));
            seen.extend(run.pushes.iter().map(|push| pushed(&push.notice)));
        }
    }
    let expected = [
        "connected",
        "resumed with a gap",
        "accepted",
        "duplicate",
        "conflict",
        "sent",
        "settled",
        "settled nothing",
        "due",
        "dead",
        "not in flight",
        "noted",
        "inbox",
        "letters",
        "redriven",
        "forgotten",
        "replaced",
        "pushed",
        "pushed again",
        "pushed redriven",
        "ephemeral",
        "gap",
        "closed Replaced",
        "closed TakenOver",
        "closed Reopen",
        "closed Disconnected",
        "closed Forgotten",
    ];
    let missing: Vec<_> = expected.iter().filter(|name| !seen.contains(**name)).collect();
    assert!(missing.is_empty(), "no history ever had {missing:?}");
}

fn answered(answer: &Answer) -> &'static str {
    match answer {
        Ok(Outcome::Connected { gap: Some(_), .. }) => "resumed with a gap",
        Ok(Outcome::Connected { .. }) => "connected",
        Ok(Outcome::Accepted { .. }) => "accepted",
        Ok(Outcome::Duplicate { .. }) => "duplicate",
        Ok(Outcome::Sent) => "sent",
        Ok(Outcome::Settled { settled: 0, .. }) => "settled nothing",
        Ok(Outcome::Settled { .. }) => "settled",
        Ok(Outcome::Returned(Fate::Due { .. })) => "due",
        Ok(Outcome::Returned(Fate::Dead)) => "dead",
        Ok(Outcome::Returned(Fate::Unknown)) => "not in flight",
        Ok(Outcome::Noted { known: true }) => "noted",
        Ok(Outcome::Inbox { .. }) => "inbox",
        Ok(Outcome::DeadLetters { letters, .. }) if !letters.is_empty() => "letters",
        Ok(Outcome::Redriven { redriven: 1.., .. }) => "redriven",
        Ok(Outcome::Forgotten { known: true }) => "forgotten",
        Ok(_) => "other",
        Err(Rejection::Conflict) => "conflict",
        Err(Rejection::Replaced) => "replaced",
        Err(_) => "refused",
    }
}

fn pushed(notice: &Notice) -> &'static str {
    match notice {
        Notice::Message { redriven: true, .. } => "pushed redriven",
        Notice::Message { attempt: 1, .. } => "pushed",
        Notice::Message { .. } => "pushed again",
        Notice::Ephemeral { .. } => "ephemeral",
        Notice::Gap(_) => "gap",
        Notice::Closed(CloseReason::Replaced) => "closed Replaced",
        Notice::Closed(CloseReason::TakenOver) => "closed TakenOver",
        Notice::Closed(CloseReason::Reopen) => "closed Reopen",
        Notice::Closed(CloseReason::Crowded) => "closed Crowded",
        Notice::Closed(CloseReason::Disconnected) => "closed Disconnected",
        Notice::Closed(CloseReason::Forgotten) => "closed Forgotten",
    }
}

/// Every command is asked by somebody of his own, or by an admin.
#[test]
fn a_command_names_who_asks() {
    let run = Run::new();
    let deed = deed().prop_map(move |deed| run.command(&deed));
    proptest!(|(command in deed)| {
        if let Some(Command { ask, .. }) = command {
            let is_admins = matches!(ask, Ask::Forget { .. });
            prop_assert_eq!(ask.agent().is_none(), is_admins);
        }
    });
}

/// A name that never connected has an inbox with an end, too, and dead letters; nobody may redrive them
/// before it is somebody's name.
#[test]
fn dead_letters_of_a_stranger_wait_until_it_is_known() {
    let mail =
        |size| Mail { from: 0, id: None, kind: 0, ack_required: false, ephemeral: false, size };
    let mut run = Run::new();
    let most = (limits::INBOX_BYTES / limits::MESSAGE_MAX_BYTES as u64) as usize;
    for number in 0..most {
        // The last one outlives the others.
        run.host_ms += if number + 1 == most { 1_000 } else { 0 };
        run.act(&Deed::Send { to: 1, mail: mail(limits::MESSAGE_MAX_BYTES) });
    }
    let refused = run.act(&Deed::Send { to: 1, mail: mail(2) }).unwrap();
    assert!(
        matches!(&refused, Ok(Outcome::Accepted { refused, .. }) if refused.len() == 1),
        "{refused:?}"
    );
    run.host_ms += limits::RETENTION_MS - 1_000;
    run.event(&Event::Alarm);
    let redrive = Command::alone(Ask::Redrive { agent: run.name(1), seqs: vec![run.seq(0)] });
    let redriven = run.execute(None, redrive.clone()).unwrap();
    assert_eq!(redriven, Outcome::Redriven { redriven: 0, unknown: 0, refused: 1 });
    let mut known = run.clone();
    known.act(&Deed::Connect { who: 1, session: 1, window: 3, types: None, seen: 0 });
    let redriven = known.execute(None, redrive.clone()).unwrap();
    assert_eq!(redriven, Outcome::Redriven { redriven: 1, unknown: 0, refused: 0 });
    // Once its mail is gone the name is nobody's.
    run.host_ms += limits::COLLECTION_MS;
    run.event(&Event::Alarm);
    assert_eq!(run.machine.agents.len(), 0);
    let redriven = run.execute(None, redrive).unwrap();
    assert_eq!(redriven, Outcome::Redriven { redriven: 0, unknown: 1, refused: 0 });
}
