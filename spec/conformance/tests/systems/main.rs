//! Goal: the runners find a system that is not what the specification says, and say so readably; on a real
//! clock they ask for nothing more than the specification does.
//!
//! Method: systems that wrap the specification. One lives on a clock that goes on by itself, with alarms that
//! nobody ordered; others have one bug each.

mod lease;
mod mailbox;

use std::fmt::{self, Debug};

use mailbus_conformance::script::{Script, ScriptFailure, Verdict, scripts_of};
use mailbus_conformance::{
    Capabilities, Capability, Failure, ModelSystem, Needs, ReplyOf, Subject, SystemUnderTest,
    block_on, differential,
};
use mailbus_spec::machine::Event;
use mailbus_spec::time::HostTime;

/// Mistake of a system, in each of the places where it may have one.
pub struct Bug<S: Subject> {
    pub name: &'static str,
    pub call: fn(&mut ModelSystem<S>, &S::Command) -> ReplyOf<S>,
    pub received: fn(Vec<S::Push>) -> Vec<S::Push>,
    pub evict: fn(&mut ModelSystem<S>),
}

impl<S: Subject> Bug<S> {
    /// Nothing.
    pub const NONE: Self = Self {
        name: "none",
        call: |model, command| model.command(command),
        received: |pushes| pushes,
        evict: |_| {},
    };
}

impl<S: Subject> Clone for Bug<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Subject> Copy for Bug<S> {}

impl<S: Subject> Debug for Bug<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The specification behind a bug, on a clock of the test or on one that goes on by itself.
pub struct System<S: Subject> {
    model: ModelSystem<S>,
    exact: bool,
    bug: Bug<S>,
    calls: u64,
}

impl<S: Subject> System<S> {
    pub fn new(exact: bool, bug: Bug<S>) -> Self {
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
}

impl<S: Subject> SystemUnderTest<S> for System<S> {
    fn name(&self) -> &str {
        "model behind a bug"
    }

    fn capabilities(&self) -> Capabilities {
        if self.exact {
            self.model.capabilities()
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

    async fn call(&mut self, command: &S::Command) -> Result<ReplyOf<S>, Failure> {
        self.calls += 1;
        if !self.exact {
            self.live(self.calls % 3);
        }
        Ok((self.bug.call)(&mut self.model, command))
    }

    async fn sleep(&mut self, ms: u64) {
        self.live(ms + 1);
    }

    async fn set_host(&mut self, host: HostTime) -> Result<(), Failure> {
        self.model.set_host(host).await
    }

    async fn connect(&mut self, peer: &S::Peer) -> Result<(), Failure> {
        self.model.connect(peer).await
    }

    async fn disconnect(&mut self, peer: &S::Peer) -> Result<(), Failure> {
        self.model.disconnect(peer).await
    }

    async fn received(&mut self) -> Result<Vec<S::Push>, Failure> {
        Ok((self.bug.received)(self.model.take_received()))
    }

    async fn ring_alarm(&mut self) -> Result<(), Failure> {
        self.model.ring_alarm().await
    }

    async fn pending_alarm(&mut self) -> Result<Option<HostTime>, Failure> {
        self.model.pending_alarm().await
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        (self.bug.evict)(&mut self.model);
        Ok(())
    }

    async fn crash(&mut self) -> Result<(), Failure> {
        self.model.crash().await
    }

    async fn bookmark(&mut self, name: &str) -> Result<(), Failure> {
        self.model.bookmark(name).await
    }

    async fn restore(&mut self, name: &str) -> Result<(), Failure> {
        self.model.restore(name).await
    }
}

/// All but those that fill something up, which take long with every copy that is made of them.
fn scripts<S: Subject>() -> Vec<(String, Script<S>)> {
    let fills = ["a_workspace_has_at_most_65536_paths", "a_full_inbox"];
    let is_small = |name: &str| !fills.iter().any(|begin| name.starts_with(begin));
    let files = scripts_of::<S>().unwrap().into_iter().filter(|file| is_small(&file.name));
    let parsed = files.map(|file| (file.name, Script::parse(&file.text).unwrap()));
    let is_bulk = |script: &Script<S>| script.needs().capabilities.contains(&Capability::Bulk);
    parsed.filter(|(_, script)| !is_bulk(script)).collect()
}

/// On a real clock every script passes or says why not, and at least so many pass.
pub fn scripts_pass_or_say_why_not<S: Subject>(least: usize) {
    let (mut passed, mut skipped) = (0, 0);
    for (name, script) in scripts::<S>() {
        match block_on(script.run(&mut System::new(false, Bug::NONE))) {
            Ok(Verdict::Passed) => passed += 1,
            Ok(Verdict::Skipped(reason)) => {
                assert!(reason.starts_with("needs ") || reason.starts_with("takes "), "{reason}");
                skipped += 1;
            }
            Err(failure) => panic!("{name}: {failure}"),
        }
    }
    assert!(passed >= least, "{passed} passed, {skipped} skipped");
}

/// On a real clock random histories of the specification are explained, with alarms that nobody ordered.
pub fn histories_are_explained<S: Subject>(seeds: u64, commands: usize) {
    let mut hidden = 0;
    for seed in 0..seeds {
        let mut system = System::new(false, Bug::NONE);
        let found = block_on(differential::check::<S, _>(seed, commands, &mut system));
        hidden += found.unwrap_or_else(|divergence| panic!("{divergence}"))["hidden events"];
    }
    assert!(hidden > 50, "only {hidden} hidden events");
}

/// The scripts that fail on a system.
pub fn failing<S: Subject>(exact: bool, bug: Bug<S>) -> Vec<(String, ScriptFailure)> {
    let run = |(name, script): (String, Script<S>)| {
        let failure = block_on(script.run(&mut System::new(exact, bug))).err()?;
        Some((name, failure))
    };
    scripts().into_iter().filter_map(run).collect()
}

/// Words of a script that fails on a system with exact time.
pub fn said<S: Subject>(bug: Bug<S>, story: &str) -> String {
    let failing = failing(true, bug);
    let (_, failure) = failing.iter().find(|(name, _)| name == story).unwrap();
    failure.to_string()
}

/// Each bug fails the script that tells its rule, on either clock.
pub fn bugs_fail_their_stories<S: Subject>(stories: &[(Bug<S>, &str)]) {
    for exact in [true, false] {
        for (bug, story) in stories {
            let failing = failing(exact, *bug);
            assert!(failing.iter().any(|(name, _)| name == story), "{bug:?}: {failing:#?}");
        }
    }
}

/// Random histories find each bug, and shrink it to at most so many lines; with exact time, or on a real clock.
pub fn histories_find_and_shrink<S: Subject>(bugs: &[(bool, Bug<S>, usize)]) {
    for (exact, bug, most) in bugs {
        let found = (0..200).find_map(|seed| {
            let mut system = System::new(*exact, *bug);
            block_on(differential::check::<S, _>(seed, 100, &mut system)).err()
        });
        let divergence = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        let lines = divergence.script.lines().count();
        assert!(lines <= *most, "{bug:?} shrunk to {lines} lines only:\n{divergence}");
        // What is printed can be pasted into a script.
        let script = Script::<S>::parse(&format!("{}\n----\n", divergence.script)).unwrap();
        assert!(script.directives().len() <= lines);
    }
}
