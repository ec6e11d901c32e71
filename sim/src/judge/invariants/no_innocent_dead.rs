//! A message is dead-lettered only after `max_deliveries` failures of *its own*, those that were reported in
//! their time, or by overflow.

use mailbus_spec::limits::{MAX_DELIVERIES, failure_floor_ms};
use mailbus_spec::mailbox::DeadReason;

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment, Owing};

/// The name of the invariant.
pub const NAME: &str = "no_innocent_dead";

/// Check of the invariant.
#[derive(Debug)]
pub struct NoInnocentDead;

impl Invariant<MailboxObserver> for NoInnocentDead {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let at = moment.event.at;
        for fact in moment.shown {
            match fact {
                Fact::Died { agent, seq, failures } => {
                    tally.expect(*failures >= MAX_DELIVERIES, at, || {
                        format!("{seq} was given up for {agent} after {failures} failures")
                    });
                }
                Fact::Returned { agent, seq, failures, away_ms } => {
                    let least_ms = failure_floor_ms(failures.saturating_sub(1));
                    tally.expect(*away_ms >= least_ms, at, || {
                        format!("{seq} is back for {agent} {away_ms} ms after failure {failures}")
                    });
                }
                Fact::Letter { agent, seq, reason, owing, failures } => {
                    let earned = match reason {
                        DeadReason::Failed => *failures >= MAX_DELIVERIES,
                        DeadReason::Refused => *owing == Some(Owing::Refused),
                    };
                    tally.expect(earned, at, || {
                        format!("{seq} of {agent} is a dead letter ({reason:?}) after {failures} failures")
                    });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn failed(times: u64) -> Example {
        let example = Example::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        (1..=times)
            .fold(example, |example, time| example.nacked(20, "b", 11, failure_floor_ms(time - 1)))
    }

    fn check(example: Example) -> Tally {
        example.check(NoInnocentDead)
    }

    #[test]
    fn a_message_that_is_given_up_too_early_breaks_it() {
        assert_eq!(check(failed(4).died(30, "b", 11)).broken, None);
        assert!(check(failed(3).died(30, "b", 11)).broken.is_some());
    }

    #[test]
    fn a_message_that_is_back_too_early_breaks_it() {
        assert_eq!(check(failed(2)).broken, None);
        assert!(check(failed(2).nacked(30, "b", 11, 60_000)).broken.is_some());
    }

    #[test]
    fn a_dead_letter_without_its_failures_breaks_it() {
        assert!(check(failed(4).letters(30, "b", &[11])).broken.is_some());
        assert_eq!(check(failed(4).died(30, "b", 11).letters(40, "b", &[11])).broken, None);
    }
}
