//! Questions. They change nothing but what time changed.

use alloc::vec::Vec;

use crate::lease::answer::{LeaseEntry, Outcome, TicketEntry};
use crate::lease::state::{Lease, LeaseMachine, Ticket};
use crate::limits;
use crate::ordinal::Ordinal;
use crate::path::{self, LeasePath, PathSet};

impl LeaseMachine {
    pub(super) fn status(&self, path: &LeasePath) -> Outcome {
        let on = PathSet::one(path.clone());
        let queue = self.queue_on(&on);
        match self.lease_on(path) {
            None => {
                let first = self.tickets_on(&on).next();
                let reserved = first.map(|(arrival, ticket)| waiting(arrival, ticket));
                Outcome::Free { queue, reserved }
            }
            Some((token, lease)) => Outcome::Held {
                lease: entry(path, token, lease),
                paths: lease.content.paths.clone(),
                queue,
            },
        }
    }

    pub(super) fn list(&self, prefix: &str, after: Option<&LeasePath>, limit: usize) -> Outcome {
        let prefix = path::key(prefix);
        let mut leases: Vec<LeaseEntry> = self
            .leases
            .iter()
            .flat_map(|(token, lease)| {
                lease.content.paths.as_slice().iter().map(|path| entry(path, *token, lease))
            })
            .filter(|entry| entry.path.key().starts_with(&prefix))
            .filter(|entry| after.is_none_or(|after| entry.path > *after))
            .collect();
        leases.sort_by(|a, b| a.path.cmp(&b.path));
        let mut bytes = 0_usize;
        let fits = |entry: &&LeaseEntry| {
            bytes = bytes.saturating_add(entry.name_bytes());
            bytes <= limits::LIST_MAX_BYTES
        };
        let entries = leases.iter().take(limit).take_while(fits).count();
        let more = leases.len() > entries;
        leases.truncate(entries);
        Outcome::Leases { leases, more }
    }

    pub(super) fn tickets(&self, prefix: &str, after: u64, limit: usize) -> Outcome {
        let prefix = path::key(prefix);
        let begins = |ticket: &Ticket| {
            ticket.content.paths.as_slice().iter().any(|path| path.key().starts_with(&prefix))
        };
        let later = self.queue.range(after.saturating_add(1)..);
        let mut found = later
            .filter(|(_, ticket)| begins(ticket))
            .map(|(arrival, ticket)| waiting(*arrival, ticket));
        let (mut tickets, mut bytes) = (Vec::new(), 0_usize);
        let more = loop {
            let Some(next) = found.next() else { break false };
            bytes = bytes.saturating_add(next.name_bytes());
            if tickets.len() == limit || bytes > limits::LIST_MAX_BYTES {
                break true;
            }
            tickets.push(next);
        };
        Outcome::Tickets { tickets, more }
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

fn waiting(arrival: u64, ticket: &Ticket) -> TicketEntry {
    TicketEntry {
        arrival,
        holder: ticket.holder.clone(),
        request: ticket.request.clone(),
        paths: ticket.content.paths.clone(),
        deadline: ticket.deadline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AgentId, Holder, SessionId};
    use crate::lease::answer::LeaseEntry;
    use crate::lease::state::{ClaimKey, ClaimName, Content};
    use crate::time::{Timestamp, Ttl};
    use crate::wire::{Dialect, lease::encode_reply};
    use crate::{Reply, lease::Outcome};

    /// A lease on a path of `bytes` bytes, all of them such as JSON doubles.
    fn hold(machine: &mut LeaseMachine, number: u64, bytes: usize) {
        let name = "\"".repeat(limits::ID_MAX_BYTES);
        let (agent, session) = (AgentId::new(&*name).unwrap(), SessionId::new(name).unwrap());
        let path = alloc::format!("{number:04}{}", "\"".repeat(bytes - 4));
        let (token, ttl) = (Ordinal::new(Ordinal::MAX.get() - number), Ttl::from_ms(1));
        let paths = PathSet::one(LeasePath::new(&path).unwrap());
        let lease = Lease {
            key: ClaimKey {
                holder: Holder { agent, session },
                name: ClaimName::Token(Ordinal::ZERO),
            },
            content: Content { paths, ttl: ttl.unwrap(), wait: None },
            first_term: ttl.unwrap(),
            expires_at: Timestamp::MAX,
            draining: false,
        };
        machine.leases.insert(token.unwrap(), lease);
    }

    fn page(machine: &LeaseMachine, after: Option<&LeasePath>) -> (Vec<LeaseEntry>, bool) {
        match machine.list("", after, limits::LIST_MAX) {
            Outcome::Leases { leases, more } => (leases, more),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_page_ends_where_an_entry_would_pass_the_bound_of_its_bytes() {
        let mut machine = LeaseMachine::default();
        let entry_bytes = 512;
        let fit = limits::LIST_MAX_BYTES / entry_bytes;
        for number in 0..fit as u64 {
            hold(&mut machine, number, entry_bytes - 2 * limits::ID_MAX_BYTES);
        }
        let (all, more) = page(&machine, None);
        assert_eq!((all.len(), more), (fit, false), "the bound itself is allowed");
        hold(&mut machine, 9_999, 5);
        let (first, more) = page(&machine, None);
        assert!(first == all && more);
        let (rest, more) = page(&machine, all.last().map(|entry| &entry.path));
        assert_eq!((rest.len(), more), (1, false));
    }

    #[test]
    fn no_page_reaches_a_mebibyte() {
        for bytes in [5, 6, 7, 1_024] {
            let mut machine = LeaseMachine::default();
            for number in 0..=limits::LIST_MAX as u64 {
                hold(&mut machine, number, bytes);
            }
            let answer = machine.list("", None, limits::LIST_MAX);
            let reply = Reply {
                answer: Ok(answer),
                commit: crate::Service::commit(&machine, Timestamp::MAX),
            };
            let body = encode_reply(Some(u64::MAX), Dialect::Mailbus, &reply).body;
            assert!((500_000..1 << 20).contains(&body.len()), "{} bytes", body.len());
        }
    }
}
