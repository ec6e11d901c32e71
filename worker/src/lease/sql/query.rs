//! Questions: answered from memory, once the event has touched the storage.

use mailbus_spec::lease::{LeaseEntry, Outcome, TicketEntry};
use mailbus_spec::{LeasePath, Ordinal, limits, path};

use super::acquire::count;
use super::claims::Lease;
use super::state::LeaseMemory;
use super::turn::Answer;
use crate::storage::StorageError;

impl LeaseMemory {
    pub(super) fn status(&self, path: &LeasePath) -> Answer {
        let tickets = self.claims.index().tickets(path);
        let queue = count(tickets.len());
        let Some((token, lease)) = self.lease_on(path) else {
            let first = tickets.first().and_then(|arrival| self.waiting(*arrival));
            return Ok(Outcome::Free { queue, reserved: first.transpose()? });
        };
        let paths = lease.claim.path_set().map_err(StorageError::from)?;
        Ok(Outcome::Held { lease: entry(path, token, lease), paths, queue })
    }

    pub(super) fn list(&self, prefix: &str, after: Option<&LeasePath>, limit: usize) -> Outcome {
        let prefix = path::key(prefix);
        let found = self.claims.index().leased(&prefix, after).filter_map(|(path, token)| {
            let lease = self.claims.lease(token)?;
            Some((lease.claim.path(path)?, token, lease))
        });
        let (mut leases, mut bytes, mut more) = (Vec::new(), 0_usize, false);
        for (path, token, lease) in found {
            let next = entry(path, token, lease);
            bytes = bytes.saturating_add(next.name_bytes());
            if leases.len() == limit || bytes > limits::LIST_MAX_BYTES {
                more = true;
                break;
            }
            leases.push(next);
        }
        Outcome::Leases { leases, more }
    }

    pub(super) fn tickets(&self, prefix: &str, after: u64, limit: usize) -> Answer {
        let prefix = path::key(prefix);
        let found = self
            .claims
            .tickets_after(after)
            .filter(|(_, ticket)| ticket.claim.paths().any(|path| path.key().starts_with(&prefix)));
        let (mut tickets, mut bytes, mut more) = (Vec::new(), 0_usize, false);
        for next in found.filter_map(|(arrival, _)| self.waiting(arrival)) {
            let next = next?;
            bytes = bytes.saturating_add(next.name_bytes());
            if tickets.len() == limit || bytes > limits::LIST_MAX_BYTES {
                more = true;
                break;
            }
            tickets.push(next);
        }
        Ok(Outcome::Tickets { tickets, more })
    }

    /// The live ticket of an arrival as answers have it.
    fn waiting(&self, arrival: u64) -> Option<Result<TicketEntry, StorageError>> {
        let ticket = self.claims.ticket(arrival)?;
        let request = ticket.claim.request.clone()?;
        Some(ticket.claim.path_set().map_err(StorageError::from).map(|paths| TicketEntry {
            arrival,
            holder: ticket.claim.holder.clone(),
            request,
            paths,
            deadline: ticket.deadline,
        }))
    }

    pub(super) fn verify(&self, path: &LeasePath, token: Ordinal) -> Outcome {
        match self.claims.lease(token).filter(|lease| lease.claim.path(path).is_some()) {
            Some(lease) => Outcome::Current { expires_at: lease.expires_at },
            None => Outcome::Stale,
        }
    }

    fn lease_on(&self, path: &LeasePath) -> Option<(Ordinal, &Lease)> {
        let token = *self.claims.index().leases(path).first()?;
        Some((token, self.claims.lease(token)?))
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
