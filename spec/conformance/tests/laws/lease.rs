//! Laws of leases.

use std::collections::BTreeMap;

use mailbus_conformance::Sessions;
use mailbus_conformance::differential::Operation;
use mailbus_spec::lease::state::ClaimKey;
use mailbus_spec::lease::{Acquire, Command, LeaseMachine, Outcome, Rejection, ReleaseTarget};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, HostTime, LeasePath, Ordinal, PathSet, StateMachine};
use proptest::prelude::*;

use super::{Lawful, Moment, assert_reached, cases, history, operation};

type Run = super::Run<LeaseMachine>;
type Answer = Result<Outcome, Rejection>;

impl Lawful for LeaseMachine {
    const GAPS_MS: &'static [u64] = &[0, 0, 0, 0, 1, 999, 1_000, 10_000, 30_000, 61_000, 120_000];
    const NAMES: &'static [(&'static str, &'static str)] =
        &[("alice", "edgar"), ("bob", "fay"), ("carol", "greta"), ("dave", "hank")];

    fn carries_the_clock(command: &Command) -> bool {
        matches!(command, Command::Recover { .. })
    }
}

const GAPS_MS: &[u64] = LeaseMachine::GAPS_MS;

fn question() -> Command {
    Command::Status { path: LeasePath::new("a").unwrap() }
}

/// The same command, which waits for nothing.
fn at_once(command: Command) -> Command {
    match command {
        Command::Acquire(acquire) => {
            let (holder, request) = (acquire.holder().clone(), acquire.request().cloned());
            let paths = acquire.paths().clone();
            Command::Acquire(Acquire::new(holder, request, paths, acquire.ttl(), None).unwrap())
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// The alarm law without tickets: alarms on time, late, repeated or never give the same answers.
    #[test]
    fn without_tickets_no_answer_depends_on_alarms(
        history in history(GAPS_MS),
        rings in prop::collection::vec(0_u8..3, 100),
    ) {
        let (mut never, mut on_time, mut whenever) = (Run::new(), Run::new(), Run::new());
        for (Moment { gap_ms, operation }, rings) in history.iter().zip(rings) {
            never.pass(*gap_ms);
            let command = at_once(never.command(operation));
            let expected = never.execute(&command).answer;
            on_time.ring_until(*gap_ms);
            prop_assert_eq!(&expected, &on_time.execute(&command).answer);
            whenever.pass(gap_ms / 2);
            for _ in 0..rings {
                whenever.event(&Event::Alarm);
            }
            whenever.pass(gap_ms - gap_ms / 2);
            prop_assert_eq!(&expected, &whenever.execute(&command).answer);
        }
    }

    /// The alarm law with tickets: those that the same events queued in both histories, and that were
    /// granted in both, were granted in the same order where they overlap.
    #[test]
    fn alarms_do_not_reorder_overlapping_tickets(history in history(GAPS_MS)) {
        let (mut never, mut on_time) = (Run::new(), Run::new());
        let (mut granted_never, mut granted_on_time) = (Grants::default(), Grants::default());
        for (index, Moment { gap_ms, operation }) in history.iter().enumerate() {
            never.pass(*gap_ms);
            never.execute(&never.command(operation));
            granted_never.look(index, &never.machine);
            on_time.ring_until(*gap_ms);
            granted_on_time.look(index, &on_time.machine);
            on_time.execute(&on_time.command(operation));
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

    /// Commands of different agents on disjoint paths may change places.
    #[test]
    fn commands_on_disjoint_paths_and_agents_commute(
        pairs in prop::collection::vec(
            (prop::sample::select(GAPS_MS), operation(), operation()), 1..40),
    ) {
        let (mut forth, mut back) = (Run::new(), Run::new());
        for (gap_ms, left, right) in pairs {
            forth.pass(gap_ms);
            back.pass(gap_ms);
            let first = ALICE.execute(&mut forth, &left);
            let second = OTHERS.execute(&mut forth, &right);
            let second_back = OTHERS.execute(&mut back, &right);
            let first_back = ALICE.execute(&mut back, &left);
            prop_assert_eq!(first, first_back);
            prop_assert_eq!(second, second_back);
            prop_assert_eq!(claims(&forth.machine), claims(&back.machine));
        }
    }

    /// A refused command might as well have been a question.
    #[test]
    fn a_refused_command_changes_nothing(history in history(GAPS_MS)) {
        let (mut asked, mut never_asked) = (Run::new(), Run::new());
        for Moment { gap_ms, operation } in &history {
            asked.pass(*gap_ms);
            never_asked.pass(*gap_ms);
            // What names an arrival is another's thing where more or less was written: refused, it is nobody's.
            let same = |command: &Command| {
                !is_by_arrival(command) || asked.clone().execute(command).answer.is_err()
            };
            let command = asked.command_where(operation, same);
            let answer = asked.execute(&command).answer;
            if answer.is_err() {
                never_asked.execute(&question());
            } else {
                let again = never_asked.execute(&command).answer;
                prop_assert_eq!(without_arrivals(&answer), without_arrivals(&again));
            }
            prop_assert!(asked.machine.leases.values().eq(never_asked.machine.leases.values()));
        }
    }

    /// An event that wrote nothing would have been answered the same at any time since the last
    /// write: what it depends on is written down.
    #[test]
    fn what_writes_nothing_depends_on_nothing_that_time_changes(
        history in history(GAPS_MS),
        share in 0.0_f64..1.0,
    ) {
        let mut run = Run::new();
        for Moment { gap_ms, operation } in &history {
            run.pass(*gap_ms);
            let command = run.command(operation);
            let before = run.clone();
            let reply = run.execute(&command);
            if before.machine == run.machine {
                let floor = before.machine.clock.floor.ms().max(Run::new().host.0);
                for earlier in [floor, floor + ((run.host.0 - floor) as f64 * share) as u64] {
                    prop_assert_eq!(&reply.answer, &answer_at(&before, earlier, &command));
                }
            }
        }
    }

    /// A command repeated at once is answered the same and writes nothing more. A release by path, of the
    /// original's protocol, says of which lease it speaks only as long as there is one; a ticket whose end
    /// was forced is lost then.
    #[test]
    fn a_repeated_command_is_answered_the_same(history in history(GAPS_MS)) {
        let mut run = Run::new();
        let by_path = |command: &Command| {
            matches!(command, Command::Release { target: ReleaseTarget::Path(_), .. })
        };
        for Moment { gap_ms, operation } in &history {
            run.pass(*gap_ms);
            let command = run.command_where(operation, |command| !by_path(command));
            let first = run.execute(&command);
            let after = run.machine.clone();
            let again = run.execute(&command);
            let is_over = matches!(command, Command::ForceTicket { .. });
            let expected = if is_over { Err(Rejection::Lost) } else { first.answer };
            prop_assert_eq!(expected, again.answer);
            prop_assert_eq!(after, run.machine.clone());
        }
    }
}

/// The answer to `command` on a copy of the machine at `host_ms`.
fn answer_at(run: &Run, host_ms: u64, command: &Command) -> Answer {
    let mut run = Run { host: HostTime(host_ms), ..run.clone() };
    run.execute(command).answer
}

/// The law above can fail: an acquisition under an id whose memory is over is refused or over, as the
/// clock decides, so it has to write the clock: spec/rules/refuted.md#an-answer-that-forgets-an-end.
#[test]
fn an_answer_that_depends_on_an_ended_memory_writes_the_clock() {
    let mut run = Run::new();
    run.say("cancel alice/1 r0");
    run.pass(119_000);
    run.say("acquire bob/1 r0 a ttl=30s");
    let key = |run: &Run| run.machine.clock.floor;
    let floor = key(&run);
    let mut early = Run { host: HostTime(floor.ms()), ..run.clone() };
    let mut late = run.clone();
    late.pass(1_000);
    let acquire = "acquire alice/1 r0 a ttl=30s";
    assert_ne!(early.say(acquire).answer, late.say(acquire).answer);
    assert!(key(&late) > floor, "the clock was not written");
}

/// The alarm law can fail, and does where it is not claimed, with a clock that steps back:
/// spec/rules/refuted.md#an-alarm-that-changes-an-answer.
#[test]
fn with_a_clock_that_steps_back_an_alarm_can_decide() {
    let answers = [true, false].map(|rings| {
        let mut run = Run::new();
        let begin = run.host;
        run.say("acquire alice/1 r1 a ttl=30s");
        if rings {
            run.ring_until(30_000);
        }
        run.host = HostTime(begin.0 + 25_000);
        run.say("acquire bob/1 r1 a ttl=30s").answer
    });
    assert!(
        matches!(answers, [Ok(Outcome::Granted { .. }), Err(Rejection::Held(_))]),
        "{answers:?}"
    );
}

#[test]
fn random_histories_grant_queue_refuse_and_forget() {
    assert_reached::<LeaseMachine>(
        400,
        &[
            "granted",
            "queued",
            "over: released",
            "over: lapsed",
            "renewed",
            "released",
            "refused: held",
            "refused: deadlock",
            "refused: the request id stands for something else",
            "refused: lost",
            "current",
            "r1 granted",
        ],
    );
}

/// Agents that keep to some paths, and know their own tokens alone.
struct Side {
    agents: &'static [&'static str],
    paths: &'static [&'static str],
}

const ALICE: Side = Side { agents: &["alice"], paths: &["a"] };
const OTHERS: Side = Side { agents: &["bob", "carol", "dave"], paths: &["b", "c", "src/d"] };

impl Side {
    fn is_one_of_us(&self, holder: &Holder) -> bool {
        self.agents.contains(&holder.agent.as_str())
    }

    /// True for what these agents do, about their paths and tokens.
    fn does(&self, command: &Command) -> bool {
        let known = |path: &LeasePath| self.paths.contains(&path.key());
        let speaks = LeaseMachine::speaker(command).is_none_or(|holder| self.is_one_of_us(holder));
        speaks
            && match command {
                Command::Acquire(acquire) => acquire.paths().as_slice().iter().all(known),
                Command::Release { target: ReleaseTarget::Path(path), .. }
                | Command::Status { path }
                | Command::Verify { path, .. } => known(path),
                Command::List { .. } => false,
                _ if is_by_arrival(command) => false,
                _ => true,
            }
    }

    /// State of the machine with what is theirs alone, and not over by now.
    fn own(&self, run: &Run) -> LeaseMachine {
        let mut own = run.machine.clone();
        own.handle(run.host, &Event::Alarm);
        own.leases.retain(|_, lease| self.is_one_of_us(&lease.key.holder));
        own.queue.retain(|_, ticket| self.is_one_of_us(&ticket.holder));
        own.remembered.retain(|key, _| self.is_one_of_us(&key.holder));
        let over = own.remembered.values().filter_map(|over| over.token);
        own.last_token = own.leases.keys().copied().chain(over).max().unwrap_or(Ordinal::ZERO);
        own
    }

    /// Executes one of their commands; the answer is without its tokens, which differ with the order of
    /// grants in one millisecond.
    fn execute(&self, run: &mut Run, operation: &Operation) -> String {
        let own = Run { machine: self.own(run), host: run.host };
        let command = own.command_where(operation, |command| self.does(command));
        let command = if self.does(&command) { command } else { question() };
        without_tokens(&without_arrivals(&run.execute(&command).answer))
    }
}

/// True for what names an arrival: that is a sequence, which what others do moves.
fn is_by_arrival(command: &Command) -> bool {
    matches!(command, Command::Tickets { .. } | Command::ForceTicket { .. })
}

/// An answer without the arrivals in it.
fn without_arrivals(answer: &Answer) -> String {
    let text = format!("{answer:?}");
    let mut parts = text.split("arrival: ");
    let first = parts.next().unwrap_or_default().to_owned();
    let number = |c: char| c.is_ascii_digit();
    parts.fold(first, |kept, part| {
        kept + part.trim_start_matches("Some(").trim_start_matches(number)
    })
}

fn without_tokens(text: &str) -> String {
    let mut parts = text.split("Ordinal(");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Claims held and waited for, tokens, arrivals and clock aside.
fn claims(machine: &LeaseMachine) -> Vec<String> {
    let held = machine.leases.values().map(|lease| format!("{lease:?}"));
    let queue = machine.queue.values().map(|ticket| format!("{ticket:?}"));
    let mut all: Vec<String> = held.chain(queue).map(|claim| without_tokens(&claim)).collect();
    all.sort();
    all
}

/// Ticket: the event that queued it, whose, and what for.
type Ticket = (usize, ClaimKey, PathSet);

/// Tokens by the ticket they were granted to.
#[derive(Default)]
struct Grants {
    waiting: BTreeMap<u64, Ticket>,
    tokens: BTreeMap<Ticket, Ordinal>,
}

impl Grants {
    fn look(&mut self, index: usize, machine: &LeaseMachine) {
        let left = self.waiting.extract_if(.., |arrival, _| !machine.queue.contains_key(arrival));
        for (_, ticket) in left {
            let lease = machine.leases.iter().find(|(_, lease)| lease.key == ticket.1);
            if let Some((token, _)) = lease {
                self.tokens.insert(ticket, *token);
            }
        }
        for (arrival, ticket) in &machine.queue {
            let named = (index, ticket.key(), ticket.content.paths.clone());
            self.waiting.entry(*arrival).or_insert(named);
        }
    }
}
