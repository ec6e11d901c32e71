//! Goal: the runners find a system that is not what the specification says, and say so readably; on a
//! real clock they ask for nothing more than the specification does.
//!
//! Method: systems that wrap the specification. One lives on a clock that goes on by itself, with
//! alarms that nobody ordered; others have one bug each.

use mailbus_conformance::script::{Script, ScriptFailure, Verdict, scripts_of};
use mailbus_conformance::{
    Capabilities, Capability, Failure, ModelSystem, Needs, ReplyOf, SystemUnderTest, block_on,
    differential,
};
use mailbus_spec::Holder;
use mailbus_spec::lease::{Command, LeaseMachine, Outcome, Push};
use mailbus_spec::machine::Event;
use mailbus_spec::time::HostTime;

type Reply = ReplyOf<LeaseMachine>;

/// What is wrong with a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// A renewal is answered with what it asked for, although the lease lives longer.
    RenewalShortens,
    /// Every tenth write is lost in an eviction.
    EvictionForgets,
    /// Nobody is told of a grant.
    GrantIsNotPushed,
    /// Who waits does not block who comes.
    Barging,
}

/// The specification behind a bug, on a clock of the test or on one that goes on by itself.
struct System {
    model: ModelSystem<LeaseMachine>,
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

    /// Forgets the tickets in the way of an acquisition, for as long as it is decided.
    fn barge(&mut self, command: &Command) -> Reply {
        let queue = std::mem::take(&mut self.model.machine.queue);
        let reply = self.model.command(command);
        self.model.machine.queue.extend(queue);
        reply
    }
}

impl SystemUnderTest<LeaseMachine> for System {
    fn name(&self) -> &str {
        "model behind a bug"
    }

    fn capabilities(&self) -> Capabilities {
        if self.exact {
            SystemUnderTest::<LeaseMachine>::capabilities(&self.model)
        } else {
            Capabilities::of([Capability::Sockets, Capability::Crash]).patient(3_000)
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
        let barges = self.bug == Bug::Barging
            && matches!(command, Command::Acquire(a) if a.wait().is_none());
        let mut reply = if barges { self.barge(command) } else { self.model.command(command) };
        if let (
            Bug::RenewalShortens,
            Command::Renew { ttl, .. },
            Ok(Outcome::Renewed { expires_at, .. }),
        ) = (self.bug, command, &mut reply.answer)
        {
            *expires_at = reply.commit.now.plus_ms(ttl.ms());
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

    async fn connect(&mut self, peer: &Holder) -> Result<(), Failure> {
        self.model.open(peer);
        Ok(())
    }

    async fn disconnect(&mut self, peer: &Holder) -> Result<(), Failure> {
        self.model.close(peer);
        Ok(())
    }

    async fn received(&mut self) -> Result<Vec<Push>, Failure> {
        let mut pushes = self.model.take_received();
        if self.bug == Bug::GrantIsNotPushed {
            pushes.retain(|push| !format!("{push:?}").contains("Granted"));
        }
        Ok(pushes)
    }

    async fn ring_alarm(&mut self) -> Result<(), Failure> {
        self.model.handle(&Event::Alarm);
        Ok(())
    }

    async fn pending_alarm(&mut self) -> Result<Option<HostTime>, Failure> {
        Ok(self.model.pending)
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        if self.bug == Bug::EvictionForgets && self.model.machine.sequence.is_multiple_of(10) {
            self.model.machine.leases.pop_last();
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

fn scripts() -> Vec<(String, Script<LeaseMachine>)> {
    let files = scripts_of::<LeaseMachine>().unwrap();
    let parsed = files.into_iter().map(|file| (file.name, Script::parse(&file.text).unwrap()));
    parsed.filter(|(_, script)| !script.needs().capabilities.contains(&Capability::Bulk)).collect()
}

#[test]
fn on_a_real_clock_every_script_passes_or_says_why_not() {
    let (mut passed, mut skipped) = (0, 0);
    for (name, script) in scripts().into_iter().filter(|(name, _)| !name.contains("65536")) {
        match block_on(script.run(&mut System::new(false, Bug::None))) {
            Ok(Verdict::Passed) => passed += 1,
            Ok(Verdict::Skipped(reason)) => {
                assert!(reason.starts_with("needs ") || reason.starts_with("takes "), "{reason}");
                skipped += 1;
            }
            Err(failure) => panic!("{name}: {failure}"),
        }
    }
    assert!(passed >= 40, "{passed} passed, {skipped} skipped");
}

#[test]
fn on_a_real_clock_random_histories_of_the_specification_are_explained() {
    let mut hidden = 0;
    for seed in 0..50 {
        let found = block_on(differential::check::<LeaseMachine, _>(
            seed,
            80,
            &mut System::new(false, Bug::None),
        ));
        let coverage = found.unwrap_or_else(|divergence| panic!("{divergence}"));
        hidden += coverage["hidden events"];
    }
    assert!(hidden > 50, "only {hidden} alarms");
}

/// The scripts that fail on a system.
fn failing(exact: bool, bug: Bug) -> Vec<(String, ScriptFailure)> {
    let run = |(name, script): (String, Script<LeaseMachine>)| {
        let failure = block_on(script.run(&mut System::new(exact, bug))).err()?;
        Some((name, failure))
    };
    scripts().into_iter().filter(|(name, _)| !name.contains("65536")).filter_map(run).collect()
}

#[test]
fn a_bug_fails_the_script_that_tells_its_rule() {
    for exact in [true, false] {
        for (bug, story) in [
            (Bug::RenewalShortens, "a_renewal_never_shortens"),
            (Bug::GrantIsNotPushed, "a_release_hands_over_to_who_waits"),
            (Bug::Barging, "a_ticket_alone_is_in_the_way"),
        ] {
            let failing = failing(exact, bug);
            assert!(failing.iter().any(|(name, _)| name == story), "{bug:?}: {failing:#?}");
        }
    }
}

#[test]
fn a_failing_script_says_what_was_expected() {
    let failing = failing(true, Bug::RenewalShortens);
    let (_, failure) = failing.iter().find(|(name, _)| name == "a_renewal_never_shortens").unwrap();
    assert_eq!(
        failure.to_string(),
        "\
after `renew alice/1 #0s ttl=10s`
  the specification: [1 +0s] renewed until +30s, 0 waiting (generation +0s)
  the system:        [1 +0s] renewed until +10s, 0 waiting (generation +0s)"
    );
}

#[test]
fn random_histories_find_each_bug_and_shrink_it() {
    for (exact, bug, most) in [
        (true, Bug::RenewalShortens, 3),
        (true, Bug::GrantIsNotPushed, 6),
        (true, Bug::EvictionForgets, 30),
        (true, Bug::Barging, 6),
        (false, Bug::RenewalShortens, 3),
        (false, Bug::Barging, 6),
    ] {
        let found = (0..200).find_map(|seed| {
            let mut system = System::new(exact, bug);
            block_on(differential::check::<LeaseMachine, _>(seed, 100, &mut system)).err()
        });
        let divergence = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        let lines = divergence.script.lines().count();
        assert!(lines <= most, "{bug:?} shrunk to {lines} lines only:\n{divergence}");
        // What is printed can be pasted into a script.
        let script =
            Script::<LeaseMachine>::parse(&format!("{}\n----\n", divergence.script)).unwrap();
        assert!(script.directives().len() <= lines);
    }
}
