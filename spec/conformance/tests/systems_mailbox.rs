//! Goal: the runners find a mailbox system that is not what the specification says, and say so readably;
//! on a real clock they ask for nothing more than the specification does.
//!
//! Method: systems that wrap the specification. One lives on a clock that goes on by itself, with
//! alarms that nobody ordered; others have one bug each.

use mailbus_conformance::script::{Script, ScriptFailure, Verdict, scripts_of};
use mailbus_conformance::{
    Capabilities, Capability, Failure, ModelSystem, Needs, ReplyOf, SystemUnderTest, block_on,
    differential,
};
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, Connection, MailboxMachine, Notice, Outcome, Push, Settled,
};
use mailbus_spec::time::HostTime;

type Reply = ReplyOf<MailboxMachine>;

/// What is wrong with a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// An acknowledgement up to a place settles redeliveries, too.
    UpToSettlesAll,
    /// What was in flight is forgotten with the memory, and pushed again.
    EvictionForgetsFlights,
    /// What was given back is not pushed again.
    RedeliveryIsLost,
    /// What was given back is pushed twice at once.
    RedeliveryIsDoubled,
    /// Ids are not remembered.
    AcceptedTwice,
    /// A reply counts one message too many.
    SettlesTooMany,
}

/// The specification behind a bug, on a clock of the test or on one that goes on by itself.
struct System {
    model: ModelSystem<MailboxMachine>,
    exact: bool,
    bug: Bug,
    calls: u64,
}

impl System {
    fn new(exact: bool, bug: Bug) -> Self {
        Self { model: ModelSystem::default(), exact, bug, calls: 0 }
    }

    /// Time goes on by itself, and alarms ring late by themselves.
    fn live(&mut self, ms: u64) {
        for _ in 0..ms {
            self.model.host.0 += 1;
            let late = HostTime(self.model.host.0 - 2);
            if self.model.pending.is_some_and(|due| due <= late) {
                self.model.handle(&Event::Alarm);
            }
        }
    }

    /// The command as a system with this bug takes it.
    fn misunderstood(&self, command: &Command) -> Command {
        let mut command = command.clone();
        match (self.bug, &mut command.ask) {
            (Bug::UpToSettlesAll, Ask::Ack { agent, what }) => {
                let live = self.model.machine.agents.get(agent).and_then(|one| one.live.as_ref());
                if let (Settled::UpTo(last), Some(live), Some(_)) = (&*what, live, &command.over) {
                    let all = live.flights.range(..=*last).map(|(seq, _)| *seq).collect();
                    *what = Settled::Seqs(all);
                }
            }
            (Bug::AcceptedTwice, Ask::Publish { message } | Ask::Send { message, .. }) => {
                message.id = None;
            }
            _ => {}
        }
        command
    }
}

impl SystemUnderTest<MailboxMachine> for System {
    fn name(&self) -> &str {
        "model behind a bug"
    }

    fn capabilities(&self) -> Capabilities {
        if self.exact {
            SystemUnderTest::<MailboxMachine>::capabilities(&self.model)
        } else {
            use Capability::{Crash, Evict, Sockets};
            Capabilities::of([Crash, Evict, Sockets]).patient(3_000)
        }
    }

    async fn begin(&mut self, _needs: &Needs) -> Result<(), Failure> {
        self.model = ModelSystem::default();
        self.calls = 0;
        if !self.exact {
            self.model.host.0 += 12_345_678;
        }
        Ok(())
    }

    async fn call(&mut self, command: &Command) -> Result<Reply, Failure> {
        self.calls += 1;
        if !self.exact {
            self.live(self.calls % 3);
        }
        let mut reply = self.model.command(&self.misunderstood(command));
        if let (Bug::SettlesTooMany, Ok(Outcome::Settled { settled: settled @ 1.., .. })) =
            (self.bug, &mut reply.answer)
        {
            *settled += 1;
        }
        Ok(reply)
    }

    async fn sleep(&mut self, ms: u64) {
        self.live(ms + 1);
    }

    async fn set_host(&mut self, host: HostTime) -> Result<(), Failure> {
        self.model.host = host;
        Ok(())
    }

    async fn disconnect(&mut self, session: &Connection) -> Result<(), Failure> {
        self.model.close(session);
        Ok(())
    }

    async fn received(&mut self) -> Result<Vec<Push>, Failure> {
        let pushes = self.model.take_received();
        let copies = |push: &Push| match (self.bug, &push.notice) {
            (Bug::RedeliveryIsLost, Notice::Message { attempt: 2.., .. }) => 0,
            (Bug::RedeliveryIsDoubled, Notice::Message { attempt: 2.., .. }) => 2,
            _ => 1,
        };
        let copied = |push: Push| std::iter::repeat_n(push.clone(), copies(&push));
        Ok(pushes.into_iter().flat_map(copied).collect())
    }

    async fn ring_alarm(&mut self) -> Result<(), Failure> {
        self.model.handle(&Event::Alarm);
        Ok(())
    }

    async fn pending_alarm(&mut self) -> Result<Option<HostTime>, Failure> {
        Ok(self.model.pending)
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        if self.bug == Bug::EvictionForgetsFlights {
            for agent in self.model.machine.agents.values_mut() {
                agent.live.iter_mut().for_each(|live| live.flights.clear());
            }
        }
        Ok(())
    }

    async fn crash(&mut self) -> Result<(), Failure> {
        self.model.break_sockets();
        Ok(())
    }

    async fn bookmark(&mut self, name: &str) -> Result<(), Failure> {
        self.model.mark(name);
        Ok(())
    }

    async fn restore(&mut self, name: &str) -> Result<(), Failure> {
        self.model.set_back(name);
        Ok(())
    }
}

/// All but those that fill something up, which take long with every copy that is made of them.
fn scripts() -> Vec<(String, Script<MailboxMachine>)> {
    let files = scripts_of::<MailboxMachine>().unwrap();
    let small = files
        .into_iter()
        .filter(|file| !file.text.contains("times 64 ") && !file.text.contains("times 1001 "));
    small.map(|file| (file.name, Script::parse(&file.text).unwrap())).collect()
}

#[test]
fn on_a_real_clock_every_script_passes_or_says_why_not() {
    let (mut passed, mut skipped) = (0, 0);
    for (name, script) in scripts() {
        match block_on(script.run(&mut System::new(false, Bug::None))) {
            Ok(Verdict::Passed) => passed += 1,
            Ok(Verdict::Skipped(reason)) => {
                assert!(reason.starts_with("needs ") || reason.starts_with("takes "), "{reason}");
                skipped += 1;
            }
            Err(failure) => panic!("{name}: {failure}"),
        }
    }
    assert!(passed >= 30, "{passed} passed, {skipped} skipped");
}

#[test]
fn on_a_real_clock_random_histories_of_the_specification_are_explained() {
    let mut hidden = 0;
    for seed in 0..100 {
        let found = block_on(differential::check::<MailboxMachine, _>(
            seed,
            100,
            &mut System::new(false, Bug::None),
        ));
        let coverage = found.unwrap_or_else(|divergence| panic!("{divergence}"));
        hidden += coverage["hidden events"];
    }
    assert!(hidden > 50, "only {hidden} alarms and closes");
}

/// The scripts that fail on a system.
fn failing(exact: bool, bug: Bug) -> Vec<(String, ScriptFailure)> {
    let run = |(name, script): (String, Script<MailboxMachine>)| {
        let failure = block_on(script.run(&mut System::new(exact, bug))).err()?;
        Some((name, failure))
    };
    scripts().into_iter().filter_map(run).collect()
}

#[test]
fn a_bug_fails_the_script_that_tells_its_rule() {
    for exact in [true, false] {
        for (bug, story) in [
            (Bug::UpToSettlesAll, "up_to_settles_first_pushes_alone"),
            (Bug::EvictionForgetsFlights, "an_eviction_loses_nothing_in_flight"),
            (Bug::RedeliveryIsLost, "attempts_count_what_is_on_record"),
            (Bug::AcceptedTwice, "what_is_not_kept_is_not_remembered"),
        ] {
            let failing = failing(exact, bug);
            assert!(failing.iter().any(|(name, _)| name == story), "{bug:?}: {failing:#?}");
        }
    }
}

#[test]
fn a_failing_script_says_what_was_expected() {
    let failing = failing(true, Bug::UpToSettlesAll);
    let story = "up_to_settles_first_pushes_alone";
    let (_, failure) = failing.iter().find(|(name, _)| name == story).unwrap();
    assert_eq!(
        failure.to_string(),
        "\
after `bob#0s: ack up-to #0s.1`
  the specification: [6 +0s] settled 1 (generation +0s)
  the system:        [6 +0s] settled 2 (generation +0s)"
    );
}

#[test]
fn random_histories_find_each_bug_and_shrink_it() {
    for (exact, bug, most) in [
        (true, Bug::UpToSettlesAll, 8),
        (true, Bug::EvictionForgetsFlights, 5),
        (true, Bug::RedeliveryIsLost, 5),
        (true, Bug::RedeliveryIsDoubled, 5),
        (true, Bug::AcceptedTwice, 3),
        (true, Bug::SettlesTooMany, 4),
        (false, Bug::UpToSettlesAll, 8),
        (false, Bug::EvictionForgetsFlights, 6),
        (false, Bug::RedeliveryIsLost, 6),
        (false, Bug::RedeliveryIsDoubled, 6),
        (false, Bug::AcceptedTwice, 3),
        (false, Bug::SettlesTooMany, 4),
    ] {
        let found = (0..200).find_map(|seed| {
            let mut system = System::new(exact, bug);
            block_on(differential::check::<MailboxMachine, _>(seed, 100, &mut system)).err()
        });
        let divergence = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        let lines = divergence.script.lines().count();
        assert!(lines <= most, "{bug:?} shrunk to {lines} lines only:\n{divergence}");
        // What is printed can be pasted into a script.
        let script =
            Script::<MailboxMachine>::parse(&format!("{}\n----\n", divergence.script)).unwrap();
        assert!(script.directives().len() <= lines);
    }
}
