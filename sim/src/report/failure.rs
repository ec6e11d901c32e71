//! Report of a plan that broke something.

use std::fmt::Write as _;

use crate::explore::verdict_or_panic;
use crate::judge::Violation;
use crate::plan::Plan;
use crate::plan::shrink::shrink;
use crate::report::log::lines;
use crate::sut::Sut;

/// Most simulations that shrinking may take.
const TRIES: u32 = 600;
/// Most lines before the violation that are told.
const LINES: usize = 60;

/// The plan shrunk, what it broke, and what led there.
#[must_use]
pub fn shrunk(plan: &Plan, violation: &Violation, sut: Sut) -> String {
    let breaks = |plan: &Plan| {
        let verdict = verdict_or_panic(plan, sut);
        verdict.judgement.violations.iter().any(|found| found.invariant == violation.invariant)
    };
    let shrunk = shrink(plan, TRIES, &mut |plan| breaks(plan));
    let verdict = verdict_or_panic(&shrunk.plan, sut);
    let found = verdict
        .judgement
        .violations
        .iter()
        .find(|found| found.invariant == violation.invariant)
        .unwrap_or(violation);
    let mut text = format!(
        "seed {} shrunk to {} parts in {} tries:\n{}\n\n",
        plan.seed,
        shrunk.plan.parts(),
        shrunk.tries,
        shrunk.plan.to_json(),
    );
    let lines: Vec<_> =
        lines(&verdict.history).into_iter().take_while(|(at, _)| at.0 <= found.at_us).collect();
    for (at, line) in lines.iter().skip(lines.len().saturating_sub(LINES)) {
        let _ = writeln!(text, "{at} {line}");
    }
    let _ = write!(text, "\nBROKEN {}: {}\n", found.invariant, found.why);
    let file = std::env::temp_dir().join(format!("mailbus-plan-{}.json", plan.seed));
    let saved = std::fs::write(&file, shrunk.plan.to_json()).is_ok();
    let again = if saved {
        format!("replay --plan {}", file.display())
    } else {
        format!("replay --seed {}", plan.seed)
    };
    let _ = write!(text, "REPRODUCE WITH cargo run --release -p mailbus-sim -- {again}");
    text
}
