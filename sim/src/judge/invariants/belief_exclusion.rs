//! Inside `ClockBound`, at no true instant do two holders believe they hold overlapping leases (a
//! force-released lease is exempt until its former `expires_at`, a drained one is not).

use crate::clock::TrueTime;
use crate::judge::history::History;
use crate::judge::invariants::Tally;
use crate::judge::invariants::timeline::Timeline;
use crate::plan::share_a_file;

/// The name of the invariant.
pub const NAME: &str = "belief_exclusion";

/// Its check: exact, over the stretches of true time in which clients believed.
pub(in crate::judge) fn check(history: &History, timeline: &Timeline, tally: &mut Tally) {
    let mut spans: Vec<_> = history.beliefs.iter().collect();
    spans.sort_by_key(|span| (span.from, span.until));
    for (index, span) in spans.iter().enumerate() {
        let end = |token| timeline.promised_until(token).unwrap_or(TrueTime(u64::MAX));
        for other in spans.iter().skip(index + 1).take_while(|other| other.from < span.until) {
            if other.holder == span.holder || !share_a_file(&other.paths, &span.paths) {
                tally.checks += 1;
                continue;
            }
            let until = span.until.min(other.until).min(end(span.token)).min(end(other.token));
            let last = TrueTime(until.0.saturating_sub(1));
            let both = other.from < until
                && !timeline.is_exempt(span.token, last)
                && !timeline.is_exempt(other.token, last);
            tally.expect(!both, other.from, || {
                let (a, b) = (&span.holder, &other.holder);
                format!("{a} ({}) and {b} ({}) both believe until {until}", span.token, other.token)
            });
        }
        tally.checks += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::lease::Example;
    use crate::judge::invariants::timeline::OfBeliefs;

    fn check_second_belief_from(from_ms: u64) -> Tally {
        let example = Example::new()
            .granted(0, "a", "r1", "x", 1, 1_000)
            .granted(1_000, "b", "r2", "x", 2, 1_000)
            .believed(10, 1_200, "a", "x", 1)
            .believed(from_ms, 1_500, "b", "x", 2);
        example.check(OfBeliefs::new(example.history(), check))
    }

    #[test]
    fn two_beliefs_at_one_instant_break_it() {
        assert!(check_second_belief_from(1_199).broken.is_some());
        assert_eq!(check_second_belief_from(1_200).broken, None);
    }
}
