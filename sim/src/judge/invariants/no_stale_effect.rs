//! A command with a stale token or session changes nothing; a request within its memory is granted at
//! most once and ended at most once: a repetition moves nothing but the deadline of its own live
//! ticket and, for a Cancel, the end of the memory.

use mailbus_spec::lease::{Command, Outcome, ReleaseTarget};
use mailbus_spec::limits::MEMORY_MS;
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, Ordinal, Timestamp};

use crate::judge::invariants::{Invariant, Tally};
use crate::judge::observer::lease::{Change, EndOfLease, LeaseEvent, LeaseObserver, Moment};

/// The name of the invariant.
pub const NAME: &str = "no_stale_effect";

/// Check of the invariant.
#[derive(Debug)]
pub struct NoStaleEffect;

impl Invariant<LeaseObserver> for NoStaleEffect {
    fn before(
        &mut self,
        event: &LeaseEvent,
        now: Timestamp,
        observer: &LeaseObserver,
        tally: &mut Tally,
    ) {
        let (Event::Command(command), Some(reply)) = (&event.event, &event.step.reply) else {
            return;
        };
        let Ok(outcome) = &reply.answer else { return };
        let live = |holder: &Holder, token: &Ordinal| {
            observer.leases.get(token).is_some_and(|lease| lease.holder == *holder)
        };
        let holds = match (command, outcome) {
            (
                Command::Renew { holder, token, drain, .. },
                Outcome::Renewed { expires_at, draining, .. },
            ) => {
                let told = |end| *drain && *draining && *expires_at == end;
                live(holder, token)
                    && observer
                        .leases
                        .get(token)
                        .is_some_and(|lease| !lease.draining || told(lease.expires_at))
            }
            (Command::Release { holder, target: ReleaseTarget::Token(token) }, _) => {
                live(holder, token) || given_back(observer, now, holder, *token)
            }
            (Command::ForceRelease { token, .. }, _) => {
                observer.leases.contains_key(token) || forced(observer, now, *token)
            }
            (Command::Acquire(acquire), Outcome::Granted { token, expires_at, .. }) => {
                let own = acquire.request().and_then(|r| observer.lease_of(acquire.holder(), r));
                own.is_none_or(|own| own.token == *token && own.expires_at == *expires_at)
            }
            _ => return,
        };
        tally.expect(holds, event.at, || format!("{outcome:?} answered {command:?}"));
    }

    /// A refused command and a question end nobody's lease and begin none; nothing moves the end of a
    /// lease that is drained.
    fn after(&mut self, moment: &Moment<'_>, tally: &mut Tally) {
        for change in moment.shown {
            let Change::Extended { token, .. } = change else { continue };
            let lease = moment.observer.leases.get(token);
            tally.expect(lease.is_none_or(|lease| !lease.draining), moment.event.at, || {
                format!("drained {lease:?} was extended")
            });
        }
        let Some(reply) = &moment.event.step.reply else { return };
        if reply.answer.is_ok() {
            return;
        }
        for change in moment.shown {
            let by_command = match change {
                Change::Granted { from_queue, .. } => !from_queue,
                Change::Ended { how, .. } => {
                    matches!(how, EndOfLease::Released | EndOfLease::Cancelled | EndOfLease::Forced)
                }
                Change::Extended { .. } | Change::Queued { .. } | Change::Tombstone { .. } => true,
                _ => false,
            };
            tally.expect(!by_command, moment.event.at, || {
                format!("{:?} went with {change:?}", reply.answer)
            });
        }
    }
}

/// Holder of a lease that ended, and its end, while that is to be remembered.
fn ended(
    observer: &LeaseObserver,
    now: Timestamp,
    token: Ordinal,
) -> Option<(&Holder, EndOfLease)> {
    let (whose, ended) = observer.past.get(&token)?;
    let request =
        observer.ended.iter().find(|((h, _), end)| h == whose && end.token == Some(token));
    let at = request.map_or(ended.at, |(_, end)| end.at.max(ended.at));
    Some((whose, ended.lease?)).filter(|_| now < at.plus_ms(MEMORY_MS))
}

fn given_back(observer: &LeaseObserver, now: Timestamp, holder: &Holder, token: Ordinal) -> bool {
    ended(observer, now, token).is_some_and(|(whose, how)| {
        whose == holder && matches!(how, EndOfLease::Released | EndOfLease::Cancelled)
    })
}

/// A drained lease that lapsed was forced, too.
fn forced(observer: &LeaseObserver, now: Timestamp, token: Ordinal) -> bool {
    ended(observer, now, token)
        .is_some_and(|(_, how)| matches!(how, EndOfLease::Forced | EndOfLease::Drained))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::invariants::example::lease::Example;

    fn check(example: Example) -> Tally {
        example.check(NoStaleEffect)
    }

    #[test]
    fn a_renewal_of_a_lapsed_lease_breaks_it() {
        let example = Example::new().granted(0, "a", "r1", "x", 1, 1_000);
        assert_eq!(check(example.clone().renewed(900, "a", 1, 5_000)).broken, None);
        assert!(check(example.clone().renewed(1_000, "a", 1, 5_000)).broken.is_some());
    }

    #[test]
    fn a_release_of_anothers_lease_breaks_it() {
        let example = Example::new().granted(0, "a", "r1", "x", 1, 1_000);
        assert!(check(example.released(10, "b", 1)).broken.is_some());
    }
}
