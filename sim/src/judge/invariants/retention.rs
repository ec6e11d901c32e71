//! Nothing is pushed after its retention; a drained workspace holds no log row after the dedup window
//! and one round of collection.

use crate::judge::history::History;
use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "retention";

/// Check of the invariant.
#[derive(Debug)]
pub struct Retention;

impl Invariant<MailboxObserver> for Retention {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for fact in moment.shown {
            let Fact::Pushed(pushed) = fact else { continue };
            tally.expect(!pushed.is_expired, moment.event.at, || {
                format!("{} was pushed {} after its retention", pushed.to, pushed.seq)
            });
        }
    }

    /// At the very end nothing is kept but what somebody is still owed.
    fn finish(&mut self, history: &History, observer: &MailboxObserver, tally: &mut Tally) {
        let Some(residue) = history.residue.filter(|residue| residue.alarms_rang) else { return };
        let justified = u64::try_from(observer.justified().len()).unwrap_or(u64::MAX);
        tally.expect(residue.logged <= justified, history.ended, || {
            format!("{} messages are kept at the end, {justified} of use", residue.logged)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::history::Residue;
    use crate::judge::invariants::example::mailbox::Example;
    use mailbus_spec::limits::RETENTION_MS;

    fn check(example: Example) -> Tally {
        example.check(Retention)
    }

    #[test]
    fn a_push_of_what_has_expired_breaks_it() {
        let example = Example::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        for (at_ms, broken) in [(RETENTION_MS + 9, false), (RETENTION_MS + 10, true)] {
            assert_eq!(
                check(example.clone().pushed(at_ms, "b", 1, "a", "m1", 11)).broken.is_some(),
                broken
            );
        }
    }

    #[test]
    fn a_message_of_no_use_that_is_kept_breaks_it() {
        let example = Example::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        for (example, broken) in
            [(example.clone(), false), (example.acked(20, "b", &[11], 1), true)]
        {
            let residue = Residue { rows: 0, logged: 1, alarms_rang: true };
            assert_eq!(check(example.left(residue)).broken.is_some(), broken);
        }
    }
}
