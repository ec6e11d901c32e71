//! Frames of an older epoch have no effect; at most one session per agent is pushed to.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "one_session";

/// Check of the invariant.
#[derive(Debug)]
pub struct OneSession;

impl Invariant<MailboxObserver> for OneSession {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let at = moment.event.at;
        for fact in moment.shown {
            match fact {
                Fact::Connected { connection, last, .. } => {
                    tally.expect(connection.epoch > *last, at, || {
                        format!("{connection} began after {last}")
                    });
                }
                Fact::Obeyed { connection, asked } => tally.expect(false, at, || {
                    format!("{connection} is over, and its {asked} was answered")
                }),
                Fact::Denied { connection } => tally.expect(false, at, || {
                    format!("{connection} lives, and was said to be replaced")
                }),
                Fact::ClosedAlive { to } => {
                    tally.expect(false, at, || format!("{to} lives, and its socket was closed"))
                }
                Fact::Refused { .. } => tally.expect(true, at, String::new),
                Fact::Pushed(pushed) => tally.expect(pushed.is_live, at, || {
                    format!("{} is not the live session, and was pushed to", pushed.to)
                }),
                Fact::SentAside { to } => tally
                    .expect(false, at, || format!("{to} is not the live session, and was sent to")),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::mailbox::Example;

    fn check(example: Example) -> Tally {
        example.check(OneSession)
    }

    #[test]
    fn a_push_to_a_replaced_session_breaks_it() {
        let example = Example::new()
            .connected(0, "b", 1)
            .published(10, "a", "m1", 11, 1)
            .connected(20, "b", 2);
        assert_eq!(check(example.clone().pushed(21, "b", 2, "a", "m1", 11)).broken, None);
        assert!(check(example.pushed(21, "b", 1, "a", "m1", 11)).broken.is_some());
    }

    #[test]
    fn a_frame_of_a_replaced_session_that_is_obeyed_breaks_it() {
        let example = Example::new()
            .connected(0, "b", 1)
            .published(10, "a", "m1", 11, 1)
            .connected(20, "b", 2);
        assert_eq!(check(example.clone().acked_over(21, "b", 2, &[11], 1)).broken, None);
        assert!(check(example.acked_over(21, "b", 1, &[11], 1)).broken.is_some());
    }

    #[test]
    fn a_live_session_that_is_closed_breaks_it() {
        let example = Example::new().connected(0, "b", 1).connected(10, "b", 2);
        assert_eq!(check(example.clone().closed(11, "b", 1)).broken, None);
        assert!(check(example.closed(11, "b", 2)).broken.is_some());
    }

    #[test]
    fn an_epoch_that_is_given_out_again_breaks_it() {
        let example = Example::new().connected(0, "b", 2);
        assert!(check(example.connected(10, "b", 2)).broken.is_some());
    }
}
