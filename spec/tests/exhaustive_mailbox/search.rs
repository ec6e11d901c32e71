//! Searching a world, and the line that says how far the search went.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::liveness;
use crate::model::World;
use crate::setting::{Budget, Setting, UNLIMITED};
use crate::state::Violation;

/// A world that generates more transitions than this is cut, and fails at the usual bounds.
pub fn generated_max() -> usize {
    4_000_000 << (4 * usize::from(more()).min(4))
}

/// How many more of each fault than usual: `MAILBUS_EXHAUSTIVE_MORE`.
pub fn more() -> u8 {
    std::env::var("MAILBUS_EXHAUSTIVE_MORE").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The world with `more` of the faults it has at all.
fn widened(mut setting: Setting, more: u8) -> Setting {
    let Budget { connects, exits, crashes, nacks, lone_acks, gap_acks, reads, steps, .. } =
        &mut setting.budget;
    for count in [connects, exits, crashes, nacks, lone_acks, gap_acks, reads, steps] {
        if *count != 0 && *count != UNLIMITED {
            *count += more;
        }
    }
    setting
}

/// Searches a world to its end: nothing is violated, and everything expected is reached.
pub fn holds(setting: Setting) {
    let setting = widened(setting, more());
    let begun = now();
    let checker = World { setting: setting.clone() }
        .checker()
        .target_state_count(generated_max())
        .spawn_bfs()
        .join();
    let (states, all) = (checker.unique_state_count(), checker.state_count());
    let exhausted = all < generated_max() && checker.discoveries().is_empty();
    let (name, depth) = (setting.name, checker.max_depth());
    let seconds = Duration::as_secs_f64(&begun.elapsed());
    println!(
        "world {name:<22} {states:>8} states {all:>9} transitions  depth {depth:>3}  exhausted {exhausted:<5} {seconds:>5.1} s"
    );
    println!("      {}", setting.purpose);
    if !checker.discoveries().is_empty() {
        let (violation, trace, _) = shortest(&setting);
        panic!("{name}: {violation:?}\nshortest trace:\n{}", trace.join("\n"));
    }
    assert!(exhausted || more() > 0, "{name}: cut at {states} states");
    let missing: Vec<_> =
        setting.expected.iter().filter(|mark| !setting.has_reached(**mark)).collect();
    assert!(missing.is_empty(), "{name}: never reached: {missing:?}");
}

/// The shortest way to the violation of a broken world. Panics where none is found.
pub fn refuted(setting: Setting) {
    let begun = now();
    let (violation, trace, states) = shortest(&setting);
    println!(
        "refuted {:<30} {:<24} {:>2} actions {:>7} states {:>5.1} s",
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
    let last = path.last_state();
    let stuck = || liveness::violation(setting, last);
    let violation = last.violation.clone().or_else(stuck).expect("the discovery is a violation");
    let trace = path.into_actions().iter().map(|action| format!("{action:?}")).collect();
    (violation, trace, states)
}

#[expect(clippy::disallowed_methods, reason = "says how long a search took; nothing depends on it")]
fn now() -> Instant {
    Instant::now()
}
