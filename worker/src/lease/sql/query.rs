//! Questions: answered from memory, once the event has touched the storage.

use mailbus_spec::lease::{LeaseEntry, Outcome};
use mailbus_spec::{LeasePath, Ordinal};

use super::acquire::count;
use super::live::Lease;
use super::state::Machine;
use super::turn::Answer;
use crate::storage::StorageError;

impl Machine {
    pub(super) fn status(&self, path: &LeasePath) -> Answer {
        let queue = count(self.live.index().tickets(path).len());
        let Some((token, lease)) = self.lease_on(path) else {
            return Ok(Outcome::Free { queue });
        };
        let paths = lease.claim.path_set().map_err(StorageError::from)?;
        Ok(Outcome::Held { lease: entry(path, token, lease), paths, queue })
    }

    pub(super) fn list(&self, prefix: &str, after: Option<&LeasePath>, limit: usize) -> Outcome {
        let mut found = self.live.index().leased(prefix, after);
        let leases: Vec<LeaseEntry> = found
            .by_ref()
            .take(limit)
            .filter_map(|(path, token)| Some(entry(path, token, self.live.lease(token)?)))
            .collect();
        Outcome::Leases { leases, more: found.next().is_some() }
    }

    pub(super) fn verify(&self, path: &LeasePath, token: Ordinal) -> Outcome {
        match self.lease_on(path).filter(|(guards, _)| *guards == token) {
            Some((_, lease)) => Outcome::Current { expires_at: lease.expires_at },
            None => Outcome::Stale,
        }
    }

    fn lease_on(&self, path: &LeasePath) -> Option<(Ordinal, &Lease)> {
        let token = self.live.index().lease(path)?;
        Some((token, self.live.lease(token)?))
    }
}

fn entry(path: &LeasePath, token: Ordinal, lease: &Lease) -> LeaseEntry {
    LeaseEntry {
        path: path.clone(),
        holder: lease.claim.holder.clone(),
        token,
        expires_at: lease.expires_at,
        draining: lease.draining,
    }
}
