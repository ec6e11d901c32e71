//! Metamorphic laws of the lease machine, on random histories: what must not change when something
//! that should not matter is changed. They need no model, so they hold for any implementation; here
//! they are asked of the reference model itself, together with every invariant of every step.
//!
//! A history is a list of steps, each legal in every state, so proptest shrinks it freely. Tokens in
//! commands are those of the replies so far, by number.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::lease::answer::LimitKind;
use mailbus_spec::lease::{Command, Outcome, Rejection};
use mailbus_spec::machine::Event;
use proptest::prelude::*;

#[path = "laws/run.rs"]
mod run;

use run::{
    BEGIN_MS, Deed, GAPS_MS, Grants, Moment, Run, SETS, TTLS_MS, claims, confined, deed,
    first_path, history,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    /// The alarm law without tickets: alarms on time, late, repeated or never give the same answers.
    #[test]
    fn without_tickets_no_answer_depends_on_alarms(
        history in history(false),
        rings in proptest::collection::vec(0_u8..3, 50),
    ) {
        let (mut never, mut on_time, mut whenever) = (Run::new(), Run::new(), Run::new());
        for (moment, rings) in history.iter().zip(rings) {
            let expected = never.live(moment);
            on_time.ring_until(moment.gap_ms);
            prop_assert_eq!(&expected.answer, &on_time.live(&Moment { gap_ms: 0, ..moment.clone() }).answer);
            let early = moment.gap_ms / 2;
            whenever.host_ms += early;
            for _ in 0..rings {
                whenever.event(&Event::Alarm);
            }
            let rest = Moment { gap_ms: moment.gap_ms - early, ..moment.clone() };
            prop_assert_eq!(&expected.answer, &whenever.live(&rest).answer);
        }
    }

    /// The alarm law with tickets: those that the same events queued in both histories, and that were
    /// granted in both, were granted in the same order where they overlap.
    #[test]
    fn alarms_do_not_reorder_overlapping_tickets(history in history(true)) {
        let (mut never, mut on_time) = (Run::new(), Run::new());
        let (mut granted_never, mut granted_on_time) = (Grants::default(), Grants::default());
        for (index, moment) in history.iter().enumerate() {
            never.live(moment);
            granted_never.look(index, &never.machine);
            on_time.ring_until(moment.gap_ms);
            granted_on_time.look(index, &on_time.machine);
            on_time.live(&Moment { gap_ms: 0, ..moment.clone() });
            granted_on_time.look(index, &on_time.machine);
        }
        let both: Vec<_> = granted_never
            .tokens
            .iter()
            .filter_map(|(ticket, token)| Some((ticket, token, granted_on_time.tokens.get(ticket)?)))
            .collect();
        for (ticket, token, on_time) in &both {
            for (other, second, second_on_time) in &both {
                if ticket.2.overlaps(&other.2) {
                    prop_assert_eq!(token.cmp(second), on_time.cmp(second_on_time));
                }
            }
        }
    }

    /// Nothing depends on what agents are called.
    #[test]
    fn renaming_agents_renames_answers_and_nothing_else(history in history(true)) {
        let (mut one, mut other) = (Run::new(), Run::new());
        other.names = [("zoe", "9"), ("zoe", "8"), ("yan", "9"), ("xin", "")];
        for moment in &history {
            let (reply, renamed) = (one.live(moment), other.live(moment));
            let back = format!("{renamed:?}")
                .replace("\"zoe\"", "\"ada\"").replace("\"yan\"", "\"bob\"").replace("\"xin\"", "\"cyd\"")
                .replace("SessionId(\"9\")", "SessionId(\"1\")").replace("session: \"9\"", "session: \"1\"")
                .replace("SessionId(\"8\")", "SessionId(\"2\")").replace("session: \"8\"", "session: \"2\"");
            prop_assert_eq!(format!("{reply:?}"), back);
        }
    }

    /// Commands of different agents on disjoint paths may change places.
    #[test]
    fn commands_on_disjoint_paths_and_agents_commute(
        pairs in proptest::collection::vec(
            (proptest::sample::select(&GAPS_MS[..]), deed(true), deed(true)), 1..40),
    ) {
        let (mut forth, mut back) = (Run::new(), Run::new());
        let mut told = [(); 2].map(|()| BTreeMap::new());
        for (gap_ms, left, right) in pairs {
            forth.host_ms += gap_ms;
            back.host_ms += gap_ms;
            // ada keeps to `a`, the others to `b` and `c`; each renews and releases its own tokens.
            let left = confined(left, 0..2, &[0]);
            let right = confined(right, 2..4, &[1, 2, 4]);
            let first = forth.own(&left, &mut told[0], 0);
            let second = forth.own(&right, &mut told[0], 1);
            let second_back = back.own(&right, &mut told[1], 1);
            let first_back = back.own(&left, &mut told[1], 0);
            prop_assert_eq!(first, first_back);
            prop_assert_eq!(second, second_back);
            prop_assert_eq!(claims(&forth.machine), claims(&back.machine));
        }
    }

    /// A refused command might as well have been a question.
    #[test]
    fn a_refused_command_changes_nothing(history in history(true)) {
        let (mut asked, mut never_asked) = (Run::new(), Run::new());
        let mut refused = 0;
        for moment in &history {
            let reply = asked.live(moment);
            if reply.answer.is_err() {
                refused += 1;
                never_asked.live(&Moment { gap_ms: moment.gap_ms, deed: Deed::Status { set: 0 } });
            } else {
                prop_assert_eq!(reply.answer, never_asked.live(moment).answer);
            }
            prop_assert_eq!(&asked.machine.leases.values().collect::<Vec<_>>(),
                &never_asked.machine.leases.values().collect::<Vec<_>>(), "after {} refusals", refused);
        }
    }

    /// Two questions in one instant have one answer and one commit.
    #[test]
    fn reading_twice_reads_the_same(history in history(true), set in 0..SETS.len()) {
        let mut run = Run::new();
        for moment in &history {
            run.live(moment);
            let question = || Command::Status { path: first_path(set) };
            let first = run.execute(question());
            let after = run.machine.clone();
            prop_assert_eq!(first, run.execute(question()));
            prop_assert_eq!(after, run.machine.clone());
        }
    }

    /// An event that wrote nothing would have been answered the same at any time since the last
    /// write: what it depends on is written down.
    #[test]
    fn what_writes_nothing_depends_on_nothing_that_time_changes(
        history in history(true),
        share in 0.0_f64..1.0,
    ) {
        let mut run = Run::new();
        for moment in &history {
            run.host_ms += moment.gap_ms;
            let command = run.command(&moment.deed);
            let before = run.clone();
            let reply = run.execute(command.clone());
            if before.machine == run.machine {
                let floor = before.machine.clock.floor.ms().max(BEGIN_MS);
                for earlier in [floor, floor + ((run.host_ms - floor) as f64 * share) as u64] {
                    prop_assert_eq!(&reply.answer, &answer_at(&before, earlier, &command));
                }
            }
        }
    }

    /// A command repeated at once is answered the same and writes nothing more.
    #[test]
    fn a_repeated_command_is_answered_the_same(history in history(true)) {
        let mut run = Run::new();
        for moment in &history {
            run.host_ms += moment.gap_ms;
            let command = run.command(&moment.deed);
            let first = run.execute(command.clone());
            let after = run.machine.clone();
            let again = run.execute(command);
            prop_assert_eq!(&first.answer, &again.answer);
            prop_assert_eq!(after, run.machine.clone());
        }
    }
}

/// The answer to `command` on a copy of the machine at `host_ms`.
fn answer_at(run: &Run, host_ms: u64, command: &Command) -> Result<Outcome, Rejection> {
    let mut run = Run { host_ms, ..run.clone() };
    run.execute(command.clone()).answer
}

/// The law above can fail: an acquisition under an id whose memory is over is refused or over, as the
/// clock decides, so it has to write the clock: spec/rules/refuted.md#an-answer-that-forgets-an-end.
#[test]
fn an_answer_that_depends_on_an_ended_memory_writes_the_clock() {
    let mut run = Run::new();
    run.execute(run.command(&Deed::Cancel { who: 0, request: 0 }));
    run.host_ms += 119_000;
    run.execute(run.command(&Deed::Acquire { who: 2, request: 0, set: 0, ttl: 2, wait: None }));
    let late = run.command(&Deed::Acquire { who: 0, request: 0, set: 0, ttl: 2, wait: None });
    let floor = run.machine.clock.floor;
    let now = run.host_ms + 1_000;
    assert_ne!(answer_at(&run, floor.ms(), &late), answer_at(&run, now, &late));
    run.host_ms = now;
    run.execute(late);
    assert!(run.machine.clock.floor > floor, "the clock was not written");
}

/// The alarm law can fail, and does where it is not claimed, with a clock that steps back:
/// spec/rules/refuted.md#an-alarm-that-changes-an-answer.
#[test]
fn with_a_clock_that_steps_back_an_alarm_can_decide() {
    let acquire = |who| Deed::Acquire { who, request: 1, set: 0, ttl: 2, wait: None };
    let answers = [true, false].map(|rings| {
        let mut run = Run::new();
        run.live(&Moment { gap_ms: 0, deed: acquire(0) });
        if rings {
            run.ring_until(TTLS_MS[2]);
        }
        run.host_ms = BEGIN_MS + TTLS_MS[2] - 5_000;
        run.live(&Moment { gap_ms: 0, deed: acquire(2) }).answer
    });
    assert!(
        matches!(answers, [Ok(Outcome::Granted { .. }), Err(Rejection::Held(_))]),
        "{answers:?}"
    );
}

/// The laws are asked of histories in which what they speak of happens.
#[test]
fn random_histories_grant_queue_refuse_and_forget() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..1_500 {
        let mut run = Run::new();
        for moment in history(true).new_tree(&mut runner).unwrap().current() {
            let waiting = run.machine.queue.len();
            let answer = run.live(&moment).answer;
            if run.machine.queue.len() < waiting {
                seen.insert("ticket left the queue");
            }
            seen.insert(match answer {
                Ok(Outcome::Granted { .. }) => "granted",
                Ok(Outcome::Queued { .. }) => "queued",
                Ok(Outcome::Over { .. }) => "over",
                Ok(Outcome::Renewed { .. }) => "renewed",
                Ok(Outcome::Released) => "released",
                Ok(Outcome::Current { .. }) => "current",
                Ok(_) => "other",
                Err(Rejection::Held(_)) => "held",
                Err(Rejection::Deadlock { .. }) => "deadlock",
                Err(Rejection::Conflict) => "conflict",
                Err(Rejection::Lost) => "lost",
                Err(Rejection::Limit(LimitKind::Tokens)) => "tokens",
                Err(_) => "refused",
            });
        }
    }
    let expected = [
        "granted",
        "queued",
        "over",
        "renewed",
        "released",
        "held",
        "deadlock",
        "conflict",
        "lost",
        "current",
        "ticket left the queue",
    ];
    for name in expected {
        assert!(seen.contains(name), "no history ever had {name}");
    }
}
