//! Renew, release and cancel: what a holder does with what is its own.

use crate::id::{Holder, RequestId};
use crate::lease::answer::{Outcome, OverReason, Rejection};
use crate::lease::command::ReleaseTarget;
use crate::lease::machine::Turn;
use crate::lease::state::{ClaimKey, LeaseMachine, Remembered};
use crate::ordinal::Ordinal;
use crate::time::{Timestamp, Ttl};

impl LeaseMachine {
    /// Never shortens; a lapsed lease is lost, even if nobody took it. So is one that drains, to a holder
    /// that would take the answer for more time
    /// ([refuted](crate::rules::refuted#a-drain-that-is-told-to-all)).
    pub(super) fn renew(
        &mut self,
        turn: &mut Turn,
        holder: &Holder,
        token: Ordinal,
        ttl: Ttl,
        drain: bool,
    ) -> Result<Outcome, Rejection> {
        let lease = self.own_lease(holder, token).ok_or(Rejection::Lost)?;
        let waiting = self.queue_on(&lease.content.paths);
        if lease.draining {
            let told = Outcome::Renewed { expires_at: lease.expires_at, waiting, draining: true };
            return if drain { Ok(told) } else { Err(Rejection::Lost) };
        }
        let expires_at = lease.expires_at.max(turn.now().plus_ms(ttl.ms()));
        if let Some(lease) = self.leases.get_mut(&token)
            && lease.expires_at < expires_at
        {
            lease.expires_at = expires_at;
            turn.wrote = true;
        }
        Ok(Outcome::Renewed { expires_at, waiting, draining: false })
    }

    pub(super) fn release(
        &mut self,
        turn: &mut Turn,
        holder: &Holder,
        target: &ReleaseTarget,
    ) -> Result<Outcome, Rejection> {
        let live = match target {
            ReleaseTarget::Token(token) => self.own_lease(holder, *token).map(|_| *token),
            ReleaseTarget::Path(path) => self
                .lease_on(path)
                .filter(|(_, lease)| lease.key.holder == *holder)
                .map(|(token, _)| token),
        };
        if let Some(token) = live {
            self.end_lease(turn, token, OverReason::Released);
            self.grant_queue(turn);
            return Ok(Outcome::Released);
        }
        match target {
            ReleaseTarget::Token(token) if self.was_given_back(turn, holder, *token) => {
                Ok(Outcome::Released)
            }
            _ => Err(Rejection::Lost),
        }
    }

    /// True if the holder itself ended the lease under `token`, within the memory.
    fn was_given_back(&self, turn: &mut Turn, holder: &Holder, token: Ordinal) -> bool {
        self.remembers(turn, token, |key, over| {
            key.holder == *holder
                && matches!(over.reason, OverReason::Released | OverReason::Cancelled)
        })
    }

    /// True if a request that had held `token` and fits is still within its memory.
    pub(super) fn remembers(
        &self,
        turn: &mut Turn,
        token: Ordinal,
        fits: impl Fn(&ClaimKey, &Remembered) -> bool,
    ) -> bool {
        let ended = self.remembered.iter().find(|(_, over)| over.token == Some(token));
        let Some((_, over)) = ended.filter(|(key, over)| fits(key, over)) else { return false };
        let is_over = over.memory_ends() <= turn.now();
        if is_over {
            turn.depends_on_end(over.memory_ends());
        }
        !is_over
    }

    /// Ends a live lease now. Granting what this frees is the caller's.
    pub(super) fn end_lease(&mut self, turn: &mut Turn, token: Ordinal, reason: OverReason) {
        if let Some(lease) = self.leases.remove(&token) {
            self.remember(lease.ended(token, reason, turn.now()));
            turn.wrote = true;
        }
    }

    /// Ends the request whatever it became, so that no late copy of its acquisition can be granted
    /// with nobody listening ([refuted](crate::rules::refuted#a-cancel-that-renews-no-memory)).
    pub(super) fn cancel(
        &mut self,
        turn: &mut Turn,
        holder: &Holder,
        request: &RequestId,
    ) -> Result<Outcome, Rejection> {
        let key = ClaimKey::of(holder, request);
        let granted =
            self.leases.iter().find(|(_, lease)| lease.key == key).map(|(token, _)| *token);
        if let Some(token) = granted {
            self.end_lease(turn, token, OverReason::Cancelled);
            self.grant_queue(turn);
        } else if let Some(arrival) = self.arrival_of(&key) {
            if let Some(ticket) = self.queue.remove(&arrival) {
                self.remember(ticket.ended(OverReason::Cancelled, turn.now()));
                turn.wrote = true;
            }
            self.grant_queue(turn);
        } else {
            self.cancel_ended(turn, key)?;
        }
        Ok(Outcome::Cancelled)
    }

    /// Renews the memory of what is over, or leaves a tombstone for what is not known.
    fn cancel_ended(&mut self, turn: &mut Turn, key: ClaimKey) -> Result<(), Rejection> {
        let now = turn.now();
        match self.remembered.get_mut(&key) {
            Some(over) if over.memory_ends() > now => {
                if over.end < now {
                    over.end = now;
                    turn.wrote = true;
                }
            }
            forgotten => {
                if let Some(over) = forgotten {
                    turn.depends_on_end(over.memory_ends());
                }
                self.within_memory(turn, &key.holder)?;
                self.remember((key, tombstone(now)));
                turn.wrote = true;
            }
        }
        Ok(())
    }
}

fn tombstone(end: Timestamp) -> Remembered {
    Remembered { content: None, token: None, reason: OverReason::Cancelled, end }
}
