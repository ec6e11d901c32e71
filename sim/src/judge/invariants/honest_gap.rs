//! Messages that an agent was owed and will not get are in its gap, its dead letters or the
//! sender's `refused`, until acknowledged.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "honest_gap";

/// Check of the invariant.
#[derive(Debug)]
pub struct HonestGap;

impl Invariant<MailboxObserver> for HonestGap {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let at = moment.event.at;
        for fact in moment.shown {
            match fact {
                Fact::Gap { agent, told, lost, acknowledged } => {
                    let through = told.map_or(*lost, |gap| gap.through);
                    let count = told.map_or(0, |gap| gap.count);
                    let honest = through >= *lost && count == through.saturating_sub(*acknowledged);
                    tally.expect(honest, at, || {
                        format!(
                            "{agent} lost {lost}, knows of {acknowledged}, and is told {told:?}"
                        )
                    });
                }
                Fact::LetterMissing { agent, seq } => tally.expect(false, at, || {
                    format!("{seq} was given up and is not among the dead letters of {agent}")
                }),
                Fact::Letter { .. } => tally.expect(true, at, String::new),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mailbus_spec::limits::RETENTION_MS;

    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn dead() -> Example {
        let example = Example::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        (0..4).fold(example, |example, _| example.nacked(20, "b", 11, 0)).died(30, "b", 11)
    }

    fn check(example: Example) -> Tally {
        example.check(HonestGap)
    }

    #[test]
    fn a_loss_that_is_not_told_or_is_forgotten_breaks_it() {
        assert!(check(dead().connected(40, "b", 2)).broken.is_some());
        let told = dead().connected_after_losses(40, "b", 2, 11, 1, 1);
        assert_eq!(check(told.clone()).broken, None);
        assert!(check(told.clone().connected(50, "b", 3)).broken.is_some());
        assert_eq!(check(told.acked_gap(45, "b", 1, 1).connected(50, "b", 3)).broken, None);
    }

    #[test]
    fn a_dead_letter_that_is_not_listed_breaks_it() {
        assert_eq!(check(dead().letters(40, "b", &[11])).broken, None);
        assert!(check(dead().letters(40, "b", &[])).broken.is_some());
    }

    #[test]
    fn a_dead_letter_is_to_be_listed_for_a_retention_from_its_death() {
        let last = 30 + RETENTION_MS - 1;
        assert_eq!(check(dead().letters(last, "b", &[11])).broken, None);
        assert!(check(dead().letters(last, "b", &[])).broken.is_some());
        assert_eq!(check(dead().letters(last + 1, "b", &[])).broken, None);
    }
}
