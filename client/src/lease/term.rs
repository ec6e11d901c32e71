//! Leases for one term, by path: not renewed, without a guard.

use mailbus_spec::lease::{Outcome, Rejection};
use mailbus_spec::{LeasePath, PathSet, Ttl};

use super::LeaseClient;
use crate::clocks::Clocks;
use crate::error::{AcquireError, CallError};
use crate::handle::State;
use crate::session::lease::{LeaseSession, Released};

impl<K: Clocks> LeaseClient<K> {
    /// Acquires a path for one term. Dropped before it is answered, the claim is cancelled.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub(crate) async fn acquire_for_a_term(
        &self,
        path: LeasePath,
        ttl: Ttl,
    ) -> Result<(), AcquireError> {
        let begin = |state: &mut State<LeaseSession>, at| {
            state.session.acquire_for_a_term(at, PathSet::one(path), ttl)
        };
        self.granted(begin).await.map(|_| ())
    }

    /// Has what this session holds on a path for at least `ttl` from now; false if it holds nothing
    /// there, or if an admin lets it drain: then it is held to its end as before.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer: it is held for at least as long as before.
    pub(crate) async fn extend(&self, path: &LeasePath, ttl: Ttl) -> Result<bool, CallError> {
        let mut extended = None;
        let asked = self.handle.asked(|session, at| {
            let (claim, query) = session.extend(at, path, ttl)?;
            extended = Some(claim);
            Some(query)
        });
        let Some(reply) = asked.await else { return Ok(false) };
        match reply?.answer {
            Ok(Outcome::Renewed { draining, .. }) => Ok(!draining),
            Err(Rejection::Lost) => {
                self.handle.with(|state, _| {
                    extended.into_iter().for_each(|claim| state.session.forget_lost(claim));
                });
                Ok(false)
            }
            other => Err(CallError::of(other)),
        }
    }

    /// Gives back what was acquired on a path for one term; false if there is nothing, or if its term
    /// is over. Until that is answered the session knows what there is to give back, so it may be
    /// asked again.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer.
    pub(crate) async fn give_back(&self, path: &LeasePath) -> Result<bool, CallError> {
        let ending = self.handle.request(|state, at| {
            let claim = state.session.for_a_term_on(path)?;
            let ending = state.wait_for_release(claim);
            state.session.release(at, claim);
            Some(ending)
        });
        let Some(ending) = ending else { return Ok(false) };
        match ending.await {
            Ok(Released::Ended) => Ok(true),
            Ok(Released::AlreadyOver) => Ok(false),
            Ok(Released::Unanswered) => Err(CallError::Unanswered),
            Err(_) => Err(CallError::Closed),
        }
    }
}
