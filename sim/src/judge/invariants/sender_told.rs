//! Answers to senders are true of their messages: who refused one, when it is repeated too, and whether its
//! recipient is known.

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::mailbox::{Fact, MailboxObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "sender_told";

/// Check of the invariant.
#[derive(Debug)]
pub struct SenderTold;

impl Invariant<MailboxObserver> for SenderTold {
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        let at = moment.event.at;
        for fact in moment.shown {
            match fact {
                Fact::Repeated { seq, told, refused, .. } => {
                    tally.expect(told == refused, at, || {
                        format!("{seq} was refused by {refused:?}, and its sender is told {told:?}")
                    });
                }
                Fact::Addressed { to, told, may, must, near, must_know, refused } => {
                    let true_of_it = if *told { *may } else { !must };
                    tally.expect(true_of_it && (near.is_empty() || !told), at, || {
                        format!("{to} may be known: {may}, has to be: {must}, and {told} was told")
                    });
                    tally.expect(*refused == (*must_know && !told), at, || {
                        format!("{to} is known: {told}, has to be: {must_know}, and was refused: {refused}")
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

    fn check(example: Example) -> Tally {
        example.check(SenderTold)
    }

    #[test]
    fn a_stranger_that_is_said_to_be_known_breaks_it() {
        let example = Example::new().connected(0, "b", 1);
        for (to, told, broken) in
            [("b", true, false), ("b", false, true), ("c", true, true), ("c", false, false)]
        {
            let example = example.clone().addressed(10, "a", to, "m1", 11, told);
            assert_eq!(check(example).broken.is_some(), broken, "{to} {told}");
        }
    }

    #[test]
    fn a_wish_for_a_known_recipient_that_is_ignored_breaks_it() {
        let example = Example::new().connected(0, "b", 1);
        for (to, refused, broken) in
            [("b", false, false), ("b", true, true), ("c", false, true), ("c", true, false)]
        {
            let example = example.clone().addressed_if_known(10, "a", to, "m1", 11, refused);
            assert_eq!(check(example).broken.is_some(), broken, "{to} {refused}");
        }
    }

    #[test]
    fn a_repetition_that_hides_a_refusal_breaks_it() {
        let example = Example::new().connected(0, "b", 1).refused(10, "a", "b", "m1", 11);
        let again = |refused: &[&str]| example.clone().repeated(20, "a", "b", "m1", 11, refused);
        assert_eq!(check(again(&["b"])).broken, None);
        assert!(check(again(&[])).broken.is_some());
    }
}
