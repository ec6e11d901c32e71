//! Plans that once broke something, and a few seeds of every profile.
//!
//! Method: every plan in `plans/` runs against production and against the model, and no invariant is
//! broken; then a few seeds do the same, enough to see that the engine works in a debug build too.

use std::fs;
use std::path::Path;

use mailbus_sim::explore::verdict_or_panic;
use mailbus_sim::mutants;
use mailbus_sim::plan::{Plan, Profile};
use mailbus_sim::sut::Sut;

fn nothing_is_broken_by(plan: &Plan, what: &str) {
    for (target, sut) in [("native", Sut::NATIVE), ("spec", Sut::SPEC)] {
        let verdict = verdict_or_panic(plan, sut);
        let broken = verdict.judgement.violations;
        assert!(
            broken.is_empty(),
            "{broken:#?}\nREPRODUCE WITH mailbus-sim replay {what} --target {target}"
        );
    }
}

#[test]
fn plans_that_once_broke_something_break_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the plans are there")
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let plan = Plan::from_json(&fs::read_to_string(&file).unwrap()).unwrap();
        nothing_is_broken_by(&plan, &format!("--plan {}", file.display()));
    }
}

#[test]
fn a_few_seeds_of_every_profile_break_nothing() {
    for (seed, profile) in [(1, "calm"), (2, "rough"), (3, "hostile")] {
        let profile = <Profile as clap::ValueEnum>::from_str(profile, false).unwrap();
        let plan = Plan::from_seed(seed, Some(profile));
        nothing_is_broken_by(&plan, &format!("--seed {seed} --profile {profile:?}"));
    }
}

#[test]
fn the_exemplary_bugs_are_caught_and_their_plans_are_small() {
    for name in
        ["expiry_only_by_alarm", "belief_from_the_retrys_sending", "window_counts_messages_alone"]
    {
        let catch = mutants::catch(&mutants::named(name).expect("a mutant of the gallery"));
        assert!(catch.caught, "{name} was not caught in {} seeds", catch.seeds_tried);
        assert!(catch.parts <= 10, "{name}: {:#?}", catch.plan);
    }
}
