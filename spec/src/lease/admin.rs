//! Commands of an admin alone: end somebody's lease, and say that the storage was restored.

use alloc::string::String;

use crate::lease::answer::{Notice, Outcome, OverReason, Rejection};
use crate::lease::machine::Turn;
use crate::lease::state::LeaseMachine;
use crate::ordinal::Ordinal;
use crate::time::Timestamp;

impl LeaseMachine {
    /// Ends the lease at once, or lets it drain: live on to its expiry, which nothing then moves, so
    /// that no belief is broken.
    pub(super) fn force_release(
        &mut self,
        turn: &mut Turn,
        token: Ordinal,
        reason: &str,
        drain: bool,
    ) -> Result<Outcome, Rejection> {
        if let Some(lease) = self.leases.get_mut(&token) {
            if drain && lease.draining {
                return Ok(Outcome::Released);
            }
            let notice = Notice::Forced { token, reason: String::from(reason), drain };
            turn.push(&lease.key.holder, notice);
            if drain {
                lease.draining = true;
                turn.wrote = true;
            } else {
                self.end_lease(turn, token, OverReason::Forced);
                self.grant_queue(turn);
            }
            return Ok(Outcome::Released);
        }
        if self.remembers(turn, token, |_, over| over.reason == OverReason::Forced) {
            Ok(Outcome::Released)
        } else {
            Err(Rejection::Lost)
        }
    }

    /// Forced end of a ticket for which nobody may be there; what it stood before is granted. One that is over,
    /// or was granted, is `Lost` ([refuted](crate::rules::refuted#a-ticket-without-a-name)).
    pub(super) fn force_ticket(
        &mut self,
        turn: &mut Turn,
        arrival: u64,
        generation: u64,
    ) -> Result<Outcome, Rejection> {
        if generation != self.generation {
            return Err(Rejection::Lost);
        }
        let ticket = self.queue.remove(&arrival).ok_or(Rejection::Lost)?;
        self.remember(ticket.ended(OverReason::Forced, turn.now()));
        turn.wrote = true;
        self.grant_queue(turn);
        Ok(Outcome::Released)
    }

    /// Begins a new generation: an object cannot know that it was restored, its operator does.
    ///
    /// The clock rises with the tokens, or tokens from a host that was once ahead would outrun the
    /// object's time ([refuted](crate::rules::refuted#a-recovery-that-raises-tokens-alone)); what that
    /// ends is ended here.
    pub(super) fn recover(&mut self, turn: &mut Turn, at_least: Ordinal) -> Outcome {
        self.last_token = self.last_token.max(at_least);
        if let Some(anchor) = Timestamp::from_ms(at_least.anchor_ms()) {
            turn.seen.now = turn.seen.now.max(anchor);
        }
        // By the raised time: a second recovery from one snapshot, under a slower clock, must differ.
        self.generation = self.generation.saturating_add(1).max(turn.now().ms());
        self.advance(turn);
        turn.wrote = true;
        Outcome::Recovered
    }
}
