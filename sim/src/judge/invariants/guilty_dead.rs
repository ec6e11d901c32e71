//! A message that as many runs announced and did not settle as may fail at it is given up: it is pushed to
//! nobody until it is redriven.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment, Owing};

/// The name of the invariant.
pub const NAME: &str = "guilty_dead";

/// Check of the invariant.
#[derive(Debug)]
pub struct GuiltyDead;

impl Invariant<MailboxObserver> for GuiltyDead {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for fact in moment.shown {
            let Fact::Pushed(pushed) = fact else { continue };
            tally.expect(pushed.owing != Some(Owing::Dead), moment.event.at, || {
                format!("{} was pushed to {} after its last failure", pushed.seq, pushed.to)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    /// So many runs are pushed one message and announce it, and each is replaced by the next.
    fn replaced(runs: u64) -> Example {
        let example = Example::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        (1..=runs).fold(example, |example, run| {
            let at = 10 + 10 * run;
            example
                .pushed(at, "b", run, "a", "m1", 11)
                .announced(at + 1, "b", run, 11)
                .connected_as(at + 2, "b", run + 1, &format!("run-{run}"))
        })
    }

    #[test]
    fn a_message_that_is_pushed_after_its_last_failure_breaks_it() {
        let again = |runs: u64| replaced(runs).pushed(90, "b", runs + 1, "a", "m1", 11);
        assert_eq!(again(4).check(GuiltyDead).broken, None);
        assert!(again(5).check(GuiltyDead).broken.is_some());
    }
}
