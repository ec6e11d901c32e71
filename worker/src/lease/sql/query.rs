//! Questions: answered from memory, once the event has touched the storage.

use std::convert::Infallible;

use mailbus_spec::lease::{LeaseEntry, Outcome, TicketEntry};
use mailbus_spec::{LeasePath, Ordinal, limits, path};

use super::acquire::count;
use super::claims::{Lease, Ticket};
use super::state::LeaseMemory;
use super::turn::Answer;
use crate::storage::StorageError;

impl LeaseMemory {
    pub(super) fn status(&self, path: &LeasePath) -> Answer {
        let tickets = self.claims.index().tickets(path);
        let queue = count(tickets.len());
        let Some((token, lease)) = self.lease_on(path) else {
            let first = tickets
                .first()
                .and_then(|arrival| waiting(*arrival, self.claims.ticket(*arrival)?));
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
        let found =
            found.map(|(path, token, lease)| Ok::<_, Infallible>(entry(path, token, lease)));
        // Two leases on one path, of before it was one, stand on one page: the next begins after the path.
        let same = |last: &LeaseEntry, next: &LeaseEntry| last.path == next.path;
        let Ok((leases, more)) = page(found, limit, LeaseEntry::name_bytes, same);
        Outcome::Leases { leases, more }
    }

    pub(super) fn tickets(&self, prefix: &str, after: u64, limit: usize) -> Answer {
        let prefix = path::key(prefix);
        let found = self
            .claims
            .tickets_after(after)
            .filter(|(_, ticket)| ticket.claim.paths().any(|path| path.key().starts_with(&prefix)));
        let found = found.filter_map(|(arrival, ticket)| waiting(arrival, ticket));
        let (tickets, more) = page(found, limit, TicketEntry::name_bytes, |_, _| false)?;
        Ok(Outcome::Tickets { tickets, more })
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

/// A live ticket as answers have it.
fn waiting(arrival: u64, ticket: &Ticket) -> Option<Result<TicketEntry, StorageError>> {
    let request = ticket.claim.request.clone()?;
    Some(ticket.claim.path_set().map_err(StorageError::from).map(|paths| TicketEntry {
        arrival,
        holder: ticket.claim.holder.clone(),
        request,
        paths,
        deadline: ticket.deadline,
    }))
}

/// A page of what was found, and whether there is more. It does not end between two that are the `same`.
fn page<T, E>(
    found: impl Iterator<Item = Result<T, E>>,
    limit: usize,
    bytes_of: impl Fn(&T) -> usize,
    same: impl Fn(&T, &T) -> bool,
) -> Result<(Vec<T>, bool), E> {
    let (mut page, mut bytes) = (Vec::<T>::new(), 0_usize);
    for next in found {
        let next = next?;
        bytes = bytes.saturating_add(bytes_of(&next));
        let is_full = page.len() >= limit || bytes > limits::LIST_MAX_BYTES;
        if is_full && !page.last().is_some_and(|last| same(last, &next)) {
            return Ok((page, true));
        }
        page.push(next);
    }
    Ok((page, false))
}
