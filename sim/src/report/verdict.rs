//! The last line of a run: its verdict.

use crate::explore::Exploration;
use crate::mutants::Catch;
use crate::report::table::grouped;

/// Verdict in one line: whether everything held and everything was met.
///
/// `gaps` says what the run should have met and did not; nothing for a run that is too short for that.
/// `again` are the arguments, but for the seed, with which a plan of the run is replayed.
#[must_use]
pub fn exploration(exploration: &Exploration, gaps: Option<&[String]>, again: &str) -> String {
    let plans = grouped(exploration.seeds);
    if let Some(first) = exploration.violations.first() {
        let broken = grouped(u64::try_from(exploration.violations.len()).unwrap_or(0));
        return format!(
            "FAILED: {broken} of {plans} plans broke a promise, the first of them {}. REPRODUCE WITH cargo run --release -p mailbus-sim -- replay --seed {}{again}",
            first.violation.invariant, first.seed,
        );
    }
    let checks = grouped(exploration.invariants.values().sum());
    let held = format!("every promise held in {plans} plans ({checks} checks)");
    match gaps {
        Some([]) => format!("PASSED: {held}, and every situation was reached."),
        Some(gaps) => {
            format!("FAILED: {held}, but not every situation was reached: {}.", gaps.join("; "))
        }
        None => format!("PASSED: {held}. So short a run need not reach every situation."),
    }
}

/// Verdict in one line: whether every planted bug was caught.
#[must_use]
pub fn gallery(caught: &[Catch]) -> String {
    let missed: Vec<&str> =
        caught.iter().filter(|catch| !catch.is_good()).map(|catch| catch.name).collect();
    let mutants = caught.len();
    if missed.is_empty() {
        format!("PASSED: all of {mutants} planted bugs were caught.")
    } else {
        format!("FAILED: of {mutants} planted bugs these were not caught: {}.", missed.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::Failure;
    use crate::judge::Violation;

    #[test]
    fn the_last_line_says_passed_or_failed_and_why() {
        let mut run = Exploration { seeds: 200, ..Exploration::default() };
        run.invariants.insert("fifo".to_owned(), 1_234);
        let told = exploration(&run, Some(&[]), "");
        assert_eq!(
            told,
            "PASSED: every promise held in 200 plans (1 234 checks), and every situation was reached."
        );
        assert!(exploration(&run, None, "").starts_with("PASSED: "));
        let gaps = ["never met: message expired".to_owned()];
        assert!(exploration(&run, Some(&gaps), "").starts_with("FAILED: "));
        let violation = Violation { invariant: "fifo".to_owned(), at_us: 0, why: String::new() };
        run.violations.push(Failure { seed: 17, violation });
        let told = exploration(&run, Some(&[]), " --target spec");
        assert!(told.starts_with("FAILED: 1 of 200 plans"), "{told}");
        assert!(told.ends_with("replay --seed 17 --target spec"), "{told}");
    }
}
