//! Commands of an admin alone.

use mailbus_spec::Ordinal;
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Outcome, Rejection};

use super::rows::{self, Ending};
use super::state::LeaseMemory;
use super::turn::{Answer, Turn};

impl LeaseMemory {
    pub(super) fn force_release(
        &mut self,
        turn: &mut Turn<'_>,
        token: Ordinal,
        reason: &str,
        drain: bool,
    ) -> Answer {
        let Some(lease) = self.claims.lease(token) else {
            return if self.was_forced(turn, token) {
                Ok(Outcome::Released)
            } else {
                Err(Rejection::Lost.into())
            };
        };
        if drain && lease.draining {
            return Ok(Outcome::Released);
        }
        let notice = Notice::Forced { token, reason: reason.to_owned(), drain };
        turn.push(&lease.claim.holder, notice);
        if !drain {
            self.end_lease(turn, token, Ending::Forced);
        } else if let Some(lease) = self.claims.drain(token) {
            turn.write_stamped(rows::SET_STATE, rows::drain_columns(token, lease));
        }
        Ok(Outcome::Released)
    }

    /// Ends a ticket that waits, in this generation.
    pub(super) fn force_ticket(
        &mut self,
        turn: &mut Turn<'_>,
        arrival: u64,
        generation: u64,
    ) -> Answer {
        if generation != self.header.generation || self.claims.ticket(arrival).is_none() {
            return Err(Rejection::Lost.into());
        }
        self.end_ticket(turn, arrival, Ending::Forced);
        Ok(Outcome::Released)
    }

    /// A new generation begins; what the raised clock ends is ended at once.
    pub(super) fn recover(&mut self, turn: &mut Turn<'_>, at_least: Ordinal) -> Outcome {
        turn.carry_clock(at_least);
        turn.recover(&mut self.header, at_least);
        self.advance(turn);
        Outcome::Recovered
    }
}
