//! What only an admin may do.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Outcome, Rejection};
use mailbus_spec::{Ordinal, Timestamp};

use super::rows::{self, Ending};
use super::state::Machine;
use super::turn::{Answer, Turn};

impl Machine {
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
            turn.write(rows::SET_STATE, rows::drain_columns(token, lease));
        }
        Ok(Outcome::Released)
    }

    /// A new generation begins, with the tokens and the clock raised together; what that ends is
    /// ended at once.
    pub(super) fn recover(&mut self, turn: &mut Turn<'_>, at_least: Ordinal) -> Outcome {
        self.header.last_token = self.header.last_token.max(at_least);
        if let Some(anchor) = Timestamp::from_ms(at_least.anchor_ms()) {
            turn.seen.now = turn.seen.now.max(anchor);
        }
        self.header.generation = self.header.generation.saturating_add(1).max(turn.now().ms());
        turn.writes_meta();
        self.advance(turn);
        Outcome::Recovered
    }
}
