//! Searching a world, and the line that says how far the search went.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::model::World;
use crate::setting::{Budget, Setting, UNLIMITED};
use crate::state::Violation;

/// A world that generates more transitions than this is cut, and fails at the usual bounds.
pub fn generated_max() -> usize {
    8_000_000 << (4 * usize::from(more()).min(4))
}

/// How many more of each fault and copy than usual: `MAILBUS_EXHAUSTIVE_MORE`.
pub fn more() -> u8 {
    std::env::var("MAILBUS_EXHAUSTIVE_MORE").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The world with `more` of everything it has at all.
fn widened(mut setting: Setting, more: u8) -> Setting {
    let widen = |count: &mut u8| {
        if *count != 0 && *count != UNLIMITED {
            *count += more;
        }
    };
    let Budget { duplicates, back_steps, alarms, reads, forces, drains, writes, .. } =
        &mut setting.budget;
    [duplicates, back_steps, alarms, reads, forces, drains, writes].into_iter().for_each(widen);
    for part in &mut setting.parts {
        widen(&mut part.repeats);
        widen(&mut part.renewals);
    }
    setting.horizon = setting.horizon.map(|ticks| ticks + u64::from(more));
    setting
}

/// Searches a world to its end: nothing is violated, and everything expected is reached.
pub fn holds(setting: Setting) {
    let setting = widened(setting, more());
    let begun = now();
    let checker = World { setting: setting.clone() }
        .checker()
        .threads(2)
        .target_state_count(generated_max())
        .spawn_bfs()
        .join();
    let states = checker.unique_state_count();
    let exhausted = checker.state_count() < generated_max() && checker.discoveries().is_empty();
    report(setting.name, states, checker.max_depth(), exhausted, begun.elapsed());
    println!("      {}", setting.purpose);
    if let Some(path) = checker.discoveries().into_values().next() {
        let violation = path.last_state().violation.clone();
        let shortest = shortest(&setting);
        panic!("{}: {violation:?}\nshortest trace:\n{}", setting.name, shortest.1.join("\n"));
    }
    assert!(exhausted || more() > 0, "{}: cut at {states} states", setting.name);
    let missing: Vec<_> =
        setting.expected.iter().filter(|mark| !setting.has_reached(**mark)).collect();
    assert!(missing.is_empty(), "{}: never reached: {missing:?}", setting.name);
}

/// The shortest way to the violation of a broken world. Panics where none is found.
pub fn refuted(setting: Setting) {
    let begun = now();
    let (violation, trace, states) = shortest(&setting);
    println!(
        "refuted {:<28} {:<20} {:>2} actions {:>8} states {:>5.1} s",
        setting.name,
        violation.invariant,
        trace.len(),
        states,
        begun.elapsed().as_secs_f64(),
    );
    println!("  {}\n  {}", violation.why, trace.join("\n  "));
    assert_eq!(Some(violation.invariant), setting.only);
}

fn shortest(setting: &Setting) -> (Violation, Vec<String>, usize) {
    let checker = World { setting: setting.clone() }
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(generated_max())
        .spawn_bfs()
        .join();
    let found = checker.discoveries().into_values().next();
    let states = checker.unique_state_count();
    let path = found.unwrap_or_else(|| {
        panic!("{}: {states} states and no violation of {:?}", setting.name, setting.only)
    });
    let violation = path.last_state().violation.clone().expect("the discovery is a violation");
    let trace = path.into_actions().iter().map(|action| format!("{action:?}")).collect();
    (violation, trace, states)
}

pub fn report(name: &str, states: usize, depth: usize, exhausted: bool, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "world {name:<22} {states:>9} states  depth {depth:>3}  exhausted {exhausted:<5} {seconds:>6.1} s"
    );
}

#[expect(clippy::disallowed_methods, reason = "says how long a search took; nothing depends on it")]
pub fn now() -> Instant {
    Instant::now()
}
