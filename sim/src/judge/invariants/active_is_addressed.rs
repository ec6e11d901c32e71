//! Agents that did anything within the retention are known, and so addressed by what they subscribed to.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "active_is_addressed";

/// Check of the invariant.
#[derive(Debug)]
pub struct ActiveIsAddressed;

impl Invariant<MailboxObserver> for ActiveIsAddressed {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let at = moment.event.at;
        for fact in moment.shown {
            match fact {
                Fact::Accepted { seq, told, least, .. } => {
                    let few = u64::try_from(least.len()).unwrap_or(u64::MAX);
                    tally.expect(few <= *told, at, || {
                        format!("{seq} is for {least:?}, and was given to {told}")
                    });
                }
                Fact::Connected { connection, resumed, known, .. } => {
                    tally.expect(*resumed || !known, at, || {
                        format!("the agent of {connection} is known and was taken for a new one")
                    });
                }
                Fact::Subscribed { agent, resumed, known } => {
                    tally.expect(*resumed || !known, at, || {
                        format!("{agent} is known and was taken for a new one")
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
    use mailbus_spec::limits::RETENTION_MS;

    fn check(example: Example) -> Tally {
        example.check(ActiveIsAddressed)
    }

    /// One who connected, and read its inbox six days later.
    fn busy() -> Example {
        let later_ms = RETENTION_MS - RETENTION_MS / 7;
        Example::new().connected(0, "b", 1).ended(1, "b", 1).listed(later_ms, "b", &[], 0)
    }

    #[test]
    fn an_agent_that_is_left_out_within_the_retention_breaks_it() {
        assert_eq!(check(busy().published(RETENTION_MS, "a", "m1", 11, 1)).broken, None);
        assert!(check(busy().published(RETENTION_MS, "a", "m1", 11, 0)).broken.is_some());
        let long_after = busy().published(2 * RETENTION_MS, "a", "m1", 11, 0);
        assert_eq!(check(long_after).broken, None);
    }

    #[test]
    fn an_agent_that_is_taken_for_a_new_one_breaks_it() {
        assert_eq!(check(busy().connected(RETENTION_MS, "b", 2)).broken, None);
        assert!(check(busy().connected_as_new(RETENTION_MS, "b", 2)).broken.is_some());
    }
}
