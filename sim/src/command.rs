//! The program's commands.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::explore::{Exploration, explore, verdict_or_panic};
use crate::mutants::{self, PlantedBug};
use crate::plan::{Plan, Profile};
use crate::report;
use crate::sut::Sut;

/// Simulates clients and objects on a bad network with bad clocks, and checks every invariant.
#[derive(Debug, Parser)]
#[command(name = "mailbus-sim", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Request>,
    #[command(flatten)]
    exploring: Exploring,
}

#[derive(Debug, Subcommand)]
enum Request {
    /// Runs the plans of many seeds (the default: 200 of them).
    Explore(Exploring),
    /// Runs one plan again and tells what happened, line by line.
    Replay(Replaying),
    /// Looks for planted bugs: all of the gallery, or those that are named.
    Bugs(Hunting),
}

#[derive(Clone, Debug, Args)]
struct Exploring {
    /// Number of seeds, or a range of them.
    #[arg(long, value_name = "N|A..B", default_value = "200")]
    seeds: Seeds,
    /// Objects that stand behind the endpoints.
    #[arg(long, value_enum, default_value = "native")]
    target: Target,
    /// Roughness of the world; without it, a third of the seeds each.
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// File to write what the run came to, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
struct Replaying {
    /// The seed whose plan to run.
    #[arg(long, required_unless_present = "plan", conflicts_with = "plan")]
    seed: Option<u64>,
    /// The plan to run.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Objects that stand behind the endpoints.
    #[arg(long, value_enum, default_value = "native")]
    target: Target,
    /// The profile the seed's plan was drawn with, if one was named.
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// A planted bug to run it with, in the place of a target.
    #[arg(long, value_name = "NAME", conflicts_with = "target")]
    bug: Option<String>,
    /// Prints every line of the event log, and nothing else.
    #[arg(long)]
    log: bool,
}

#[derive(Clone, Debug, Args)]
struct Hunting {
    /// Names of the bugs; all if none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// File to write which bugs were caught, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Objects that stand behind the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// The production machines over SQLite.
    Native,
    /// The reference models.
    Spec,
}

impl Target {
    fn sut(self) -> Sut {
        match self {
            Self::Native => Sut::NATIVE,
            Self::Spec => Sut::SPEC,
        }
    }
}

impl Exploring {
    /// The arguments with which one of its plans is replayed, but for its seed.
    fn replay_arguments(&self) -> String {
        let named = |value: Option<clap::builder::PossibleValue>| {
            value.map_or_else(String::new, |value| value.get_name().to_owned())
        };
        let target = named(self.target.to_possible_value());
        let profile = self.profile.map(|profile| named(profile.to_possible_value()));
        let profile = profile.map_or_else(String::new, |profile| format!(" --profile {profile}"));
        format!("{profile} --target {target}")
    }
}

/// Seeds to run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seeds(std::ops::Range<u64>);

impl std::str::FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.parse::<u64>().map_err(|wrong| format!("`{text}` is no number of seeds: {wrong}"))
        };
        match text.split_once("..") {
            Some((from, to)) => Ok(Self(number(from)?..number(to)?)),
            None => Ok(Self(0..number(text)?)),
        }
    }
}

/// Does what was asked.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.command {
        None => explore_seeds(&arguments.exploring),
        Some(Request::Explore(exploring)) => explore_seeds(exploring),
        Some(Request::Replay(replaying)) => replay(replaying),
        Some(Request::Bugs(hunting)) => hunt(hunting),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a run took is told to its user")]
fn explore_seeds(exploring: &Exploring) -> Result<bool, String> {
    let began = Instant::now();
    let seeds: Vec<u64> = exploring.seeds.0.clone().collect();
    let bar = progress(seeds.len(), "plans")?;
    let sut = exploring.target.sut();
    let broken = std::sync::atomic::AtomicU64::new(0);
    let mut exploration = explore(&seeds, exploring.profile, sut, |_, violation| {
        if violation.is_some() {
            let count = broken.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            bar.set_message(format!("{count} broken"));
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    exploration.wall_seconds = began.elapsed().as_secs_f64();
    // A floor over the run is only fair to a run of full length.
    let is_full = exploration.seeds >= 200 && exploring.profile.is_none();
    let gaps = is_full.then(|| exploration.gaps());
    exploration.passed = exploration.violations.is_empty() && gaps.iter().all(Vec::is_empty);
    let again = exploring.replay_arguments();
    exploration.verdict = report::verdict::exploration(&exploration, gaps.as_deref(), &again);
    if let Some(file) = &exploring.json {
        write_json(file, &exploration)?;
    }
    println!("{}", report::table::exploration(&exploration));
    tell_violations(&exploration, exploring, sut);
    println!("{}", exploration.verdict);
    Ok(exploration.passed)
}

fn tell_violations(exploration: &Exploration, exploring: &Exploring, sut: Sut) {
    for failure in &exploration.violations {
        println!("seed {}: {}", failure.seed, failure.violation.invariant);
    }
    if let Some(failure) = exploration.violations.first() {
        let plan = Plan::from_seed(failure.seed, exploring.profile);
        println!("{}", report::failure::shrunk(&plan, &failure.violation, sut));
    }
}

fn hunt(hunting: &Hunting) -> Result<bool, String> {
    let named = hunting.names.iter().map(|name| mutant_named(name));
    let named: Vec<PlantedBug> = named.collect::<Result<_, _>>()?;
    let hunted = if named.is_empty() { &*mutants::GALLERY } else { &named };
    let bar = progress(hunted.len(), "bugs")?;
    let caught = mutants::hunt(hunted, |catch| {
        bar.suspend(|| eprintln!("{}", report::gallery::line(catch)));
        bar.inc(1);
    });
    bar.finish_and_clear();
    if let Some(file) = &hunting.json {
        write_json(file, &serde_json::json!({ "bugs": caught }))?;
    }
    println!("{}", report::gallery::gallery(&caught));
    println!("{}", report::verdict::gallery(&caught));
    Ok(caught.iter().all(mutants::Catch::is_good))
}

fn mutant_named(name: &str) -> Result<PlantedBug, String> {
    mutants::named(name).ok_or_else(|| format!("no planted bug is `{name}`"))
}

fn progress(length: usize, of: &str) -> Result<ProgressBar, String> {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(0));
    let style = format!("{{bar:40.cyan/blue}} {{pos}}/{{len}} {of}  {{msg}}  {{elapsed}}");
    bar.set_style(ProgressStyle::with_template(&style).map_err(|wrong| wrong.to_string())?);
    Ok(bar)
}

fn write_json(file: &Path, value: &impl Serialize) -> Result<(), String> {
    let json = serde_json::to_string_pretty(value).map_err(|wrong| wrong.to_string())?;
    std::fs::write(file, json + "\n").map_err(|wrong| format!("{}: {wrong}", file.display()))
}

fn replay(replaying: &Replaying) -> Result<bool, String> {
    let plan = match (&replaying.plan, replaying.seed) {
        (Some(file), _) => {
            let text = std::fs::read_to_string(file);
            Plan::from_json(&text.map_err(|wrong| format!("{}: {wrong}", file.display()))?)?
        }
        (None, seed) => Plan::from_seed(seed.unwrap_or(0), replaying.profile),
    };
    let sut = match &replaying.bug {
        None => replaying.target.sut(),
        Some(name) => mutant_named(name)?.sut,
    };
    let verdict = verdict_or_panic(&plan, sut);
    for (at, line) in report::log::lines(&verdict.history) {
        println!("{at} {line}");
    }
    if replaying.log {
        return Ok(true);
    }
    for violation in &verdict.judgement.violations {
        println!("BROKEN {} at {} us: {}", violation.invariant, violation.at_us, violation.why);
    }
    println!(
        "{} operations, {} events, {}, {:?}, {} violations",
        verdict.history.operations,
        verdict.history.event_count(),
        verdict.history.ended,
        plan.clock_class(),
        verdict.judgement.violations.len(),
    );
    Ok(verdict.judgement.violations.is_empty())
}
