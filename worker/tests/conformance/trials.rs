//! Cases as named trials: `system::kind::case`.

use std::ops::Range;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use mailbus_conformance::script::{Script, ScriptError, ScriptFile, Verdict, scripts_of};
use mailbus_conformance::{
    Capabilities, ModelSystem, Needs, ReplyOf, Subject, SystemUnderTest, differential,
};
use mailbus_spec::{Service, StateMachine};

use crate::support::on_event_loop;

/// Time that a case may take: one that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// A client of a service, as the systems are spoken to by.
pub trait Client: Copy + Send + 'static {
    /// The service.
    type Service: Subject;

    /// Name in front of its trials on this system.
    fn name(self, system: &str) -> String;
}

/// Command of a client's service.
pub type CommandOf<C> = <<C as Client>::Service as StateMachine>::Command;
/// Reply to one of its commands.
pub type ReplyTo<C> = ReplyOf<<C as Client>::Service>;
/// Push of it.
pub type PushOf<C> = <<C as Client>::Service as StateMachine>::Push;
/// Peer that one goes to.
pub type PeerOf<C> = <<C as Client>::Service as Service>::Peer;

/// A system that can be started for a trial.
pub trait Start: Copy + Send + 'static {
    /// Subject that it is tested as.
    type Subject: Subject;
    /// The started system.
    type System: SystemUnderTest<Self::Subject>;

    /// Its name in front of its trials.
    fn name(self) -> String;

    /// Capabilities that it will have.
    fn capabilities(self) -> Capabilities;

    /// Starts it.
    fn start(self) -> impl Future<Output = Result<Self::System, Failed>>;
}

/// The specification itself: that the suite asks for nothing else.
#[derive(Clone, Copy)]
pub struct Model<C>(pub C);

impl<C: Client> Start for Model<C> {
    type Subject = C::Service;
    type System = ModelSystem<C::Service>;

    fn name(self) -> String {
        self.0.name("model")
    }

    fn capabilities(self) -> Capabilities {
        SystemUnderTest::<C::Service>::capabilities(&ModelSystem::<C::Service>::default())
    }

    async fn start(self) -> Result<Self::System, Failed> {
        Ok(ModelSystem::default())
    }
}

/// A script, and what it needs; or why it cannot be read.
pub struct Story {
    file: ScriptFile,
    needs: Result<Needs, ScriptError>,
}

/// The scripts of a service, read once.
pub fn scripts<S: Subject>() -> Vec<Story> {
    let files = scripts_of::<S>().expect("the scripts lie in the specification's folder");
    let story = |file: ScriptFile| {
        let needs = Script::<S>::parse(&file.text).map(|script| script.needs());
        Story { file, needs }
    };
    files.into_iter().map(story).collect()
}

/// One trial for each script. What the system cannot do is ignored, and the trial's kind says why.
pub fn script_trials<S: Start>(start: S, stories: &[Story]) -> Vec<Trial> {
    stories.iter().map(|story| script_trial(start, story)).collect()
}

fn script_trial<S: Start>(start: S, Story { file, needs }: &Story) -> Trial {
    let name = format!("{}::script::{}", start.name(), file.name);
    let lacks = match needs.clone() {
        Ok(needs) => start.capabilities().lacks(&needs),
        Err(error) => return Trial::test(name, move || Err(Failed::from(error))),
    };
    let ignored = lacks.is_some();
    let text = file.text.clone();
    let trial = Trial::test(name, move || {
        on_event_loop(within_patience(async {
            let script = Script::<S::Subject>::parse(&text)?;
            let mut system = start.start().await?;
            match script.run(&mut system).await? {
                Verdict::Passed => Ok(()),
                Verdict::Skipped(reason) => Err(Failed::from(reason)),
            }
        }))
    });
    trial.with_ignored_flag(ignored).with_kind(lacks.unwrap_or_default())
}

/// One trial for each range of seeds.
pub fn differential_trials<S: Start>(start: S, seeds: Range<u64>, each: u64) -> Vec<Trial> {
    let firsts = seeds.clone().step_by(usize::try_from(each).unwrap_or(1));
    let trial = |first: u64| {
        let last = (first + each).min(seeds.end);
        let name = format!("{}::differential::seeds_{first}_to_{}", start.name(), last - 1);
        Trial::test(name, move || on_event_loop(within_patience(differential(start, first..last))))
    };
    firsts.map(trial).collect()
}

/// Number of directives that a random history has.
const HISTORY_LENGTH: usize = 120;

async fn differential<S: Start>(start: S, seeds: Range<u64>) -> Result<(), Failed> {
    let mut system = start.start().await?;
    for seed in seeds {
        differential::check(seed, HISTORY_LENGTH, &mut system).await?;
    }
    Ok(())
}

/// Fails where a trial would hang for ever.
#[expect(clippy::disallowed_methods, reason = "a hang is no answer; nothing else depends on it")]
pub async fn within_patience(
    trial: impl Future<Output = Result<(), Failed>>,
) -> Result<(), Failed> {
    match tokio::time::timeout(PATIENCE, trial).await {
        Ok(result) => result,
        Err(_) => Err(Failed::from(format!("it hangs: no end in {PATIENCE:?}"))),
    }
}
