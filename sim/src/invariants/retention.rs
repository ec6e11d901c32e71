//! Nothing is pushed after its retention; a drained workspace holds no log row after the dedup window
//! and one round of collection.

use crate::history::History;
use crate::invariants::Tally;
use crate::observer::mailbox::{Fact, MailboxMoment, MailboxObserver, MailboxReader};

/// The name of the invariant.
pub const NAME: &str = "retention";

/// Check of the invariant.
#[derive(Debug, Default)]
pub struct Retention {
    pub(super) tally: Tally,
}

impl MailboxReader for Retention {
    fn after(&mut self, moment: &MailboxMoment<'_>) {
        for fact in moment.facts {
            let Fact::Pushed(pushed) = fact else { continue };
            self.tally.expect(!pushed.is_expired, moment.event.at, || {
                format!("{} was pushed {} after its retention", pushed.to, pushed.seq)
            });
        }
    }
}

impl Retention {
    /// At the very end nothing is kept but what somebody is still owed.
    pub(super) fn check_residue(&mut self, history: &History, observer: &MailboxObserver) {
        let Some(residue) = history.residue.filter(|residue| residue.alarms_rang) else { return };
        let justified = u64::try_from(observer.justified().len()).unwrap_or(u64::MAX);
        self.tally.expect(residue.logged <= justified, history.ended, || {
            format!("{} messages are kept at the end, {justified} of use", residue.logged)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Residue;
    use crate::invariants::mail_example::MailExample;
    use mailbus_spec::limits::RETENTION_MS;

    #[test]
    fn a_push_of_what_has_expired_breaks_it() {
        let example = MailExample::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        for (at_ms, broken) in [(RETENTION_MS + 9, false), (RETENTION_MS + 10, true)] {
            let mut checked = Retention::default();
            example.clone().pushed(at_ms, "b", 1, "a", "m1", 11).read(&mut checked);
            assert_eq!(checked.tally.broken.is_some(), broken);
        }
    }

    #[test]
    fn a_message_of_no_use_that_is_kept_breaks_it() {
        let example = MailExample::new().connected(0, "b", 1).published(10, "a", "m1", 11, 1);
        for (example, broken) in
            [(example.clone(), false), (example.acked(20, "b", &[11], 1), true)]
        {
            let mut checked = Retention::default();
            let observer = example.read(&mut checked);
            let residue = Some(Residue { rows: 0, logged: 1, alarms_rang: true });
            let history = History { residue, ..History::default() };
            checked.check_residue(&history, &observer);
            assert_eq!(checked.tally.broken.is_some(), broken);
        }
    }
}
