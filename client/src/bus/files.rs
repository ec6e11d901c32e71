//! Leases as the original has them: one file, one term, no renewal.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mailbus_spec::lease::{Acquire, Command, Outcome, Rejection, ReleaseTarget};
use mailbus_spec::{Holder, LeasePath, Ordinal, PathSet, RequestId, Ttl};

use super::BusError;
use crate::clocks::Clocks;
use crate::error::CallError;
use crate::lease::LeaseClient;

/// The files that a bus holds.
pub(super) struct Files<K: Clocks> {
    leases: LeaseClient<K>,
    holder: Holder,
    /// What request ids begin with, so that even a reused session name repeats none.
    nonce: u64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    tokens: BTreeMap<LeasePath, Ordinal>,
    last_request: u64,
}

impl<K: Clocks> Files<K> {
    pub(super) fn new(leases: LeaseClient<K>, nonce: u64) -> Self {
        let holder = leases.inspect(|session, _| session.holder().clone());
        Self { leases, holder, nonce, held: Mutex::default() }
    }

    pub(super) fn leases(&self) -> &LeaseClient<K> {
        &self.leases
    }

    pub(super) async fn acquire(&self, file: &str, ttl: Duration) -> Result<bool, BusError> {
        let path = parse(file)?;
        let ms = u64::try_from(ttl.as_millis()).ok();
        let ttl = ms.and_then(Ttl::from_ms).ok_or(BusError::Ttl)?;
        let paths = PathSet::new(vec![path.clone()]).map_err(|_| CallError::Unexpected)?;
        let request = self.next_request();
        let (holder, named) = (self.holder.clone(), request.clone());
        let acquire = Acquire::new(holder, named, paths, ttl, None);
        let command = Command::Acquire(acquire.map_err(|_| CallError::Unexpected)?);
        let answer = self.leases.call(command).await;
        if matches!(answer, Err(CallError::Unanswered))
            && let Some(request) = request
        {
            // It may have been granted all the same, and nobody would ever release it.
            let holder = self.holder.clone();
            self.leases.tell(Command::Cancel { holder, request });
        }
        match answer?.answer {
            Ok(Outcome::Granted { token, .. }) => {
                self.lock().tokens.insert(path, token);
                Ok(true)
            }
            Err(Rejection::Held(_)) => Ok(false),
            other => Err(CallError::of(other).into()),
        }
    }

    pub(super) async fn release(&self, file: &str) -> Result<bool, BusError> {
        let path = parse(file)?;
        let token = self.lock().tokens.remove(&path);
        let target = match token {
            Some(token) => ReleaseTarget::Token(token),
            // Of the original's identity nobody knows which request acquired it.
            None if self.holder.session.is_original() => ReleaseTarget::Path(path),
            None => return Ok(false),
        };
        let holder = self.holder.clone();
        match self.leases.call(Command::Release { holder, target }).await?.answer {
            Ok(_) => Ok(true),
            Err(Rejection::Lost) => Ok(false),
            other => Err(CallError::of(other).into()),
        }
    }

    pub(super) async fn is_leased(&self, file: &str) -> Result<bool, BusError> {
        match self.leases.call(Command::Status { path: parse(file)? }).await?.answer {
            Ok(Outcome::Held { .. }) => Ok(true),
            Ok(Outcome::Free { .. }) => Ok(false),
            other => Err(CallError::of(other).into()),
        }
    }

    /// A name for one acquisition, so that it is granted once however often it is asked for. The
    /// original's identity has none: it asks again for what it holds, and has it extended.
    fn next_request(&self) -> Option<RequestId> {
        if self.holder.session.is_original() {
            return None;
        }
        let mut held = self.lock();
        held.last_request = held.last_request.saturating_add(1);
        RequestId::new(format!("{:016x}-file-{}", self.nonce, held.last_request)).ok()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(file: &str) -> Result<LeasePath, BusError> {
    LeasePath::new(file).map_err(BusError::Path)
}
