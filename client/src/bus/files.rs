//! Leases as the original has them: one file, one term, no renewal.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mailbus_spec::lease::{Acquire, Command, Outcome, Rejection, ReleaseTarget};
use mailbus_spec::{Holder, LeasePath, PathSet, Ttl};
use tokio::sync::Notify;

use super::BusError;
use crate::clocks::Clocks;
use crate::error::{AcquireError, CallError};
use crate::lease::LeaseClient;

/// The files that a bus holds. What it holds of them, the lease session knows.
pub(super) struct Files<K: Clocks> {
    leases: LeaseClient<K>,
    holder: Holder,
    turns: Turns,
}

impl<K: Clocks> Files<K> {
    pub(super) fn new(leases: LeaseClient<K>) -> Self {
        let holder = leases.inspect(|session, _| session.holder().clone());
        Self { leases, holder, turns: Turns::default() }
    }

    pub(super) fn leases(&self) -> &LeaseClient<K> {
        &self.leases
    }

    pub(super) async fn acquire(&self, file: &str, ttl: Duration) -> Result<bool, BusError> {
        let path = parse(file)?;
        let ms = u64::try_from(ttl.as_millis()).ok();
        let ttl = ms.and_then(Ttl::from_ms).ok_or(BusError::Ttl)?;
        if self.holder.session.is_original() {
            return self.acquire_unnamed(path, ttl).await;
        }
        let _turn = self.turns.take(&path).await;
        if self.leases.extend(&path, ttl).await? {
            return Ok(true);
        }
        match self.leases.acquire_for_a_term(path, ttl).await {
            Ok(()) => Ok(true),
            Err(AcquireError::Held(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn release(&self, file: &str) -> Result<bool, BusError> {
        let path = LeasePath::named(file).map_err(BusError::Path)?;
        if self.holder.session.is_original() {
            return self.release_unnamed(path).await;
        }
        Ok(self.leases.give_back(&path).await?)
    }

    pub(super) async fn is_leased(&self, file: &str) -> Result<bool, BusError> {
        match self.leases.call(Command::Status { path: parse(file)? }).await?.answer {
            Ok(Outcome::Held { .. }) => Ok(true),
            Ok(Outcome::Free { .. }) => Ok(false),
            other => Err(CallError::of(other).into()),
        }
    }

    /// Under the original's identity an acquisition has no name, so that any process of the agent asks
    /// again for what another holds, and has it extended. It cannot be cancelled either: after a lost
    /// answer it lapses.
    async fn acquire_unnamed(&self, path: LeasePath, ttl: Ttl) -> Result<bool, BusError> {
        let acquire = Acquire::new(self.holder.clone(), None, PathSet::one(path), ttl, None);
        let command = Command::Acquire(acquire.map_err(|_| CallError::Unexpected)?);
        match self.leases.call(command).await?.answer {
            Ok(Outcome::Granted { .. }) => Ok(true),
            Err(Rejection::Held(_)) => Ok(false),
            other => Err(CallError::of(other).into()),
        }
    }

    /// Nobody knows which process of the agent acquired it.
    async fn release_unnamed(&self, path: LeasePath) -> Result<bool, BusError> {
        let (holder, target) = (self.holder.clone(), ReleaseTarget::Path(path));
        match self.leases.call(Command::Release { holder, target }).await?.answer {
            Ok(_) => Ok(true),
            Err(Rejection::Lost) => Ok(false),
            other => Err(CallError::of(other).into()),
        }
    }
}

fn parse(file: &str) -> Result<LeasePath, BusError> {
    LeasePath::new(file).map_err(BusError::Path)
}

/// One acquisition of a path at a time: a second one would be refused by the first, which is the same
/// agent's.
#[derive(Default)]
struct Turns {
    taken: Mutex<BTreeSet<LeasePath>>,
    given: Notify,
}

/// Turn of somebody at a path. Dropped, it is the next one's.
struct Turn<'a> {
    turns: &'a Turns,
    path: LeasePath,
}

impl Turns {
    async fn take(&self, path: &LeasePath) -> Turn<'_> {
        loop {
            let given = self.given.notified();
            if self.lock().insert(path.clone()) {
                return Turn { turns: self, path: path.clone() };
            }
            given.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<LeasePath>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.path);
        self.turns.given.notify_waiters();
    }
}
