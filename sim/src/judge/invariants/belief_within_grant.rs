//! A client that believes, inside `ClockBound`, is the holder at the object, with the same token,
//! unexpired (a force-released lease is exempt until its former `expires_at`).

use crate::judge::history::History;
use crate::judge::invariants::Tally;
use crate::judge::invariants::timeline::{Standing, Timeline};

/// The name of the invariant.
pub const NAME: &str = "belief_within_grant";

/// Check of the invariant: at both ends of every belief, and at whatever the object did in between.
pub(in crate::judge) fn check(history: &History, timeline: &Timeline, tally: &mut Tally) {
    for span in &history.beliefs {
        for at in timeline.instants(span) {
            let standing = timeline.standing(span.token, at);
            let holds = match &standing {
                Some((holder, Standing::Live(_) | Standing::Forced(_))) => **holder == span.holder,
                _ => false,
            };
            tally.expect(holds, at, || {
                let now = timeline.object_time(at);
                format!(
                    "{} believes in {} at {now}, where it is {standing:?}",
                    span.holder, span.token
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::lease::Example;
    use crate::judge::invariants::timeline::OfBeliefs;

    fn check_belief(until_ms: u64) -> Tally {
        let example =
            Example::new().granted(0, "a", "r1", "x", 1, 1_000).believed(10, until_ms, "a", "x", 1);
        example.check(OfBeliefs::new(example.history(), check))
    }

    #[test]
    fn a_belief_beyond_the_lease_breaks_it() {
        assert_eq!(check_belief(1_000).broken, None);
        assert!(check_belief(1_002).broken.is_some());
    }

    #[test]
    fn a_belief_beyond_a_release_breaks_it_and_one_beyond_a_force_does_not() {
        let example = Example::new().granted(0, "a", "r1", "x", 1, 1_000);
        let released = example.clone().released(500, "a", 1).believed(10, 600, "a", "x", 1);
        let believed = OfBeliefs::new(released.history(), check);
        assert!(released.check(believed).broken.is_some());

        let forced = example.forced(500, 1).believed(10, 600, "a", "x", 1);
        let believed = OfBeliefs::new(forced.history(), check);
        assert_eq!(forced.check(believed).broken, None);
    }
}
