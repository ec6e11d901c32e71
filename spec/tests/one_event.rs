//! Events that do something twice to the same thing: time lets a claim through and the command ends it, a run
//! takes another's place and fails what that was at, a dead letter is asked back and is too old. The invariants know these steps, and still find the
//! wrong ones among them: each is shown a right step and that step spoilt.

use mailbus_spec::invariant::Transition;
use mailbus_spec::lease::state::{ClaimKey, Remembered};
use mailbus_spec::lease::{
    self, Acquire, Command, LeaseMachine, LeaseStep, OverReason, ReleaseTarget,
};
use mailbus_spec::limits::{FAILURE_FLOORS_MS, RETENTION_MS};
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    self, Ask, Connection, Delay, MailboxMachine, MailboxStep, Outcome, Pattern, Patterns, Window,
};
use mailbus_spec::wire::mailbox::stored_message;
use mailbus_spec::{
    AgentId, Holder, HostTime, LeasePath, Ordinal, PathSet, RequestId, SessionId, StateMachine,
    Ttl, Wait,
};

const NOON_MS: u64 = 1_800_000_000_000;
const SECOND_MS: u64 = 1_000;

fn holder(name: &str) -> Holder {
    Holder { agent: AgentId::new(name).unwrap(), session: SessionId::new("s").unwrap() }
}

fn key(name: &str) -> ClaimKey {
    ClaimKey::of(&holder(name), &RequestId::new("r").unwrap())
}

fn path() -> LeasePath {
    LeasePath::new("a").unwrap()
}

fn acquire(name: &str, ttl_ms: u64, wait_ms: u64) -> Command {
    let (ttl, wait) = (Ttl::from_ms(ttl_ms).unwrap(), Wait::from_ms(wait_ms));
    let request = RequestId::new("r").unwrap();
    let paths = PathSet::one(path());
    Command::Acquire(Acquire::new(holder(name), Some(request), paths, ttl, wait).unwrap())
}

fn give_back(name: &str) -> Command {
    Command::Release { holder: holder(name), target: ReleaseTarget::Path(path()) }
}

/// Ann's lease ends at second 1; Bob waits for it, and Cyd behind him.
fn waiting() -> LeaseMachine {
    let mut machine = LeaseMachine::default();
    for (name, ttl_ms) in [("ann", SECOND_MS), ("bob", SECOND_MS), ("cyd", SECOND_MS)] {
        let event = Event::Command(acquire(name, ttl_ms, 600 * SECOND_MS));
        machine.handle(HostTime(NOON_MS), &event);
    }
    assert_eq!((machine.leases.len(), machine.queue.len()), (1, 2));
    machine
}

/// A step at second 2, and what the invariants say of it when its state after is spoilt.
fn judged(
    command: Command,
    spoil: impl FnOnce(&mut LeaseMachine, &mut LeaseStep),
) -> Option<&'static str> {
    let before = waiting();
    let (host, event) = (HostTime(NOON_MS + 2 * SECOND_MS), Event::Command(command));
    let mut after = before.clone();
    let mut step = after.handle(host, &event);
    spoil(&mut after, &mut step);
    let transition =
        Transition { before: &before, host, event: &event, step: &step, after: &after };
    transition.check(None).err().map(|(name, _)| name)
}

fn remembered(machine: &mut LeaseMachine, name: &str) -> Remembered {
    machine.remembered.get(&key(name)).unwrap().clone()
}

#[test]
fn a_ticket_that_is_granted_and_given_back_in_one_event_has_lost_no_place() {
    let right = judged(give_back("bob"), |after, _| {
        let over = remembered(after, "bob");
        assert_eq!(over.reason, OverReason::Released);
        assert!(over.token.is_some() && after.leases.values().all(|l| l.key == key("cyd")));
    });
    assert_eq!(right, None);
}

#[test]
fn a_ticket_that_goes_with_a_release_without_a_grant_has_lost_its_place() {
    let never_granted = judged(give_back("bob"), |after, _| {
        after.remembered.get_mut(&key("bob")).unwrap().token = None;
    });
    assert_eq!(never_granted, Some("no_lost_place"));
    let forgotten = judged(give_back("bob"), |after, _| {
        after.remembered.remove(&key("bob"));
    });
    assert_eq!(forgotten, Some("no_lost_place"));
}

#[test]
fn a_lease_that_ends_in_the_event_of_its_grant_ends_by_its_holder_or_an_admin() {
    let others = judged(give_back("dan"), |after, step| {
        let mut given_back = waiting();
        let event = Event::Command(give_back("bob"));
        step.pushes = given_back.handle(HostTime(NOON_MS + 2 * SECOND_MS), &event).pushes;
        *after = given_back;
    });
    assert_eq!(others, Some("ttl_honoured"));
    let cancelled =
        Command::Cancel { holder: holder("bob"), request: RequestId::new("r").unwrap() };
    assert_eq!(judged(cancelled, |_, _| {}), None);
}

#[test]
fn a_recovery_may_end_what_it_granted_and_grant_the_next() {
    let ahead = |seconds| Ordinal::new((NOON_MS + seconds * SECOND_MS) << Ordinal::SHIFT).unwrap();
    let recover = |seconds| Command::Recover { at_least: ahead(seconds) };
    let right = judged(recover(60), |after, _| {
        assert_eq!(remembered(after, "bob").reason, OverReason::Lapsed);
        assert!(after.leases.values().all(|lease| lease.key == key("cyd")));
    });
    assert_eq!(right, None);
    let early = judged(recover(60), |_, step| {
        for push in &mut step.pushes {
            use mailbus_spec::lease::answer::Notice;
            if let Notice::Granted { expires_at, .. } = &mut push.notice {
                *expires_at = expires_at.plus_ms(3_600 * SECOND_MS);
            }
        }
    });
    assert_eq!(early, Some("ttl_honoured"), "its holder was told of an hour more");
}

#[test]
fn a_grant_that_the_event_ended_again_counts_in_the_order_of_grants() {
    // Cyd is let through and gives back, and only then comes Bob, who was first.
    let overtaken = judged(give_back("cyd"), |after, step| {
        let (token, mut lease) = after.leases.pop_first().unwrap();
        assert_eq!(lease.key, key("bob"));
        let later = Ordinal::new(token.get() + 1).unwrap();
        let ticket = after.queue.pop_first().unwrap().1;
        let end = after.clock.floor;
        let (key, mut over) = ticket.ended(OverReason::Released, end);
        over.token = Some(token);
        after.remembered.insert(key, over);
        lease.key = self::key("bob");
        after.leases.insert(later, lease);
        after.last_token = later;
        step.pushes.clear();
        step.reply.as_mut().unwrap().answer = Ok(lease::Outcome::Released);
    });
    assert_eq!(overtaken, Some("fifo"));
    let one_token_twice = judged(give_back("bob"), |after, _| {
        let over = after.remembered.get_mut(&key("bob")).unwrap();
        over.token = after.leases.first_key_value().map(|(token, _)| *token);
    });
    assert_eq!(one_token_twice, Some("fencing"));
}

/// Mail of one agent, step by step, each step checked.
struct Mail {
    machine: MailboxMachine,
    host_ms: u64,
}

impl Mail {
    fn ask(&mut self, ask: Ask) -> MailboxStep {
        let (host, event) = (HostTime(self.host_ms), Event::Command(mailbox::Command::alone(ask)));
        let before = self.machine.clone();
        let step = self.machine.handle(host, &event);
        let (before, step) = (&before, step);
        let after = &self.machine;
        let transition = Transition { before, host, event: &event, step: &step, after };
        assert_eq!(transition.check(None), Ok(()), "{:?}", step.reply);
        step
    }

    fn send(&mut self, bytes: usize) -> Ordinal {
        let filling = "x".repeat(bytes);
        let body = format!(r#"{{"from":"bob","type":"a","filling":"{filling}"}}"#);
        let message = stored_message(&body).unwrap();
        let step = self.ask(Ask::Send { to: ann(), message, must_know: false });
        match step.reply.unwrap().answer {
            Ok(Outcome::Accepted { seq, .. }) => seq,
            other => panic!("{other:?}"),
        }
    }

    /// Ann comes, and negotiates nothing: her silence settles what she is pushed.
    fn connect(&mut self) {
        self.ask(Ask::Connect {
            agent: ann(),
            session: SessionId::new("s").unwrap(),
            window: None,
            types: Some(Patterns::from([Pattern::everything()])),
            last_seen: None,
        });
    }
}

fn ann() -> AgentId {
    AgentId::new("ann").unwrap()
}

#[test]
fn a_redrive_of_a_letter_past_its_retention_changes_nothing() {
    let mut mail = Mail { machine: MailboxMachine::default(), host_ms: NOON_MS };
    mail.connect();
    let letter = mail.send(500_000);
    for floor_ms in FAILURE_FLOORS_MS.into_iter().chain([0]) {
        mail.ask(Ask::Nack { agent: ann(), seq: letter, fence: None, delay: Delay::NONE });
        mail.host_ms += floor_ms;
        mail.ask(Ask::Heartbeat { agent: ann() });
    }
    mail.host_ms += RETENTION_MS;
    mail.connect();
    for _ in 0..65 {
        mail.send(1_030_000);
    }
    let before = mail.machine.agents.clone();
    let step = mail.ask(Ask::Redrive { agent: ann(), seqs: vec![letter] });
    let answer = step.reply.unwrap().answer;
    assert_eq!(answer, Ok(Outcome::Redriven { redriven: 0, unknown: 1, refused: 0 }));
    assert_eq!(mail.machine.agents, before);
    assert!(before[&ann()].failed.contains_key(&letter), "it is read until a round ends it");
}

/// Ann's message has failed once, and her run 1 is at it again when a session of this run takes its place: what
/// the invariants say if the message has this many failures then.
fn judged_with_failures(by: &str, failures: u64) -> Option<&'static str> {
    let mut machine = MailboxMachine::default();
    let host = HostTime(NOON_MS);
    let mut ask = |command| {
        let before = machine.clone();
        let event = Event::Command(command);
        let step = machine.handle(host, &event);
        (before, event, step, machine.clone())
    };
    let run = |name| Ask::Connect {
        agent: ann(),
        session: SessionId::new(name).unwrap(),
        window: Some(Window::DEFAULT),
        types: None,
        last_seen: None,
    };
    let message = stored_message(r#"{"from":"bob","type":"a"}"#).unwrap();
    let (.., connected, _) = ask(mailbox::Command::alone(run("1")));
    let Ok(Outcome::Connected { epoch, .. }) = connected.reply.unwrap().answer else { panic!() };
    let send = Ask::Send { to: ann(), message, must_know: false };
    let (.., accepted, _) = ask(mailbox::Command::alone(send));
    let Ok(Outcome::Accepted { seq, .. }) = accepted.reply.unwrap().answer else { panic!() };
    let nack = Ask::Nack { agent: ann(), seq, fence: None, delay: Delay::NONE };
    ask(mailbox::Command::alone(nack));
    let over = Connection { agent: ann(), epoch };
    let (.., noted, _) = ask(mailbox::Command::over(over, Ask::Working { agent: ann(), seq }));
    assert_eq!(noted.reply.unwrap().answer, Ok(Outcome::Noted { known: true }));
    let (before, event, step, mut after) = ask(mailbox::Command::alone(run(by)));
    let agent = after.agents.get_mut(&ann()).unwrap();
    agent.inbox.open.get_mut(&seq).unwrap().failures = failures;
    let transition =
        Transition { before: &before, host, event: &event, step: &step, after: &after };
    transition.check(None).err().map(|(name, _)| name)
}

#[test]
fn a_run_at_work_that_is_replaced_adds_one_failure_and_takes_none_away() {
    assert_eq!(judged_with_failures("2", 2), None);
    assert_eq!(judged_with_failures("2", 1), Some("guilty_dead"), "the death is hidden");
    assert_eq!(judged_with_failures("2", 3), Some("no_innocent_dead"), "one death is two failures");
    assert_eq!(judged_with_failures("1", 1), None);
    assert_eq!(judged_with_failures("1", 0), Some("guilty_dead"), "a failure is forgotten");
    assert_eq!(judged_with_failures("1", 2), Some("no_innocent_dead"), "nobody has died");
}
