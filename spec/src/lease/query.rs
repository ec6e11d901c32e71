//! Questions. They change nothing but what settling changed.

use alloc::vec::Vec;

use crate::lease::answer::{LeaseEntry, Outcome};
use crate::lease::state::{Lease, LeaseMachine};
use crate::ordinal::Ordinal;
use crate::path::{LeasePath, PathSet};

impl LeaseMachine {
    pub(super) fn status(&self, path: &LeasePath) -> Outcome {
        let queue = self.queue_on(&PathSet::one(path.clone()));
        match self.lease_on(path) {
            None => Outcome::Free { queue },
            Some((token, lease)) => Outcome::Held {
                lease: entry(path, token, lease),
                paths: lease.content.paths.clone(),
                queue,
            },
        }
    }

    pub(super) fn list(&self, prefix: &str, after: Option<&LeasePath>, limit: usize) -> Outcome {
        let mut leases: Vec<LeaseEntry> = self
            .leases
            .iter()
            .flat_map(|(token, lease)| {
                lease.content.paths.as_slice().iter().map(|path| entry(path, *token, lease))
            })
            .filter(|entry| entry.path.as_str().starts_with(prefix))
            .filter(|entry| after.is_none_or(|after| entry.path > *after))
            .collect();
        leases.sort_by(|a, b| a.path.cmp(&b.path));
        let more = leases.len() > limit;
        leases.truncate(limit);
        Outcome::Leases { leases, more }
    }

    pub(super) fn verify(&self, path: &LeasePath, token: Ordinal) -> Outcome {
        match self.leases.get(&token).filter(|lease| lease.content.paths.covers(path)) {
            Some(lease) => Outcome::Current { expires_at: lease.expires_at },
            None => Outcome::Stale,
        }
    }
}

fn entry(path: &LeasePath, token: Ordinal, lease: &Lease) -> LeaseEntry {
    LeaseEntry {
        path: path.clone(),
        holder: lease.key.holder.clone(),
        token,
        expires_at: lease.expires_at,
        draining: lease.draining,
    }
}
