//! Live claims by the path that they are on.
//!
//! The index is by equal paths because [`LeasePath::overlaps`] is equality. Claims on directories or
//! patterns would change this file and no other of the machine.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use mailbus_spec::{LeasePath, Ordinal};

/// A path under live claims. All of them share one text: 65 536 paths of 1 KiB have to fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SharedPath(Arc<LeasePath>);

impl SharedPath {
    pub fn get(&self) -> &LeasePath {
        &self.0
    }
}

impl Borrow<str> for SharedPath {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

/// The claims on one path.
///
/// Invariant: tickets are in order of arrival. There is a lease or a ticket.
#[derive(Debug, Default, PartialEq, Eq)]
struct OnPath {
    lease: Option<Ordinal>,
    tickets: Vec<u64>,
}

/// The live claims by path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PathIndex {
    on: BTreeMap<SharedPath, OnPath>,
}

/// The live claims that overlap a set of paths.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    /// Leases by token.
    pub leases: Vec<Ordinal>,
    /// Tickets by arrival.
    pub tickets: Vec<u64>,
}

impl PathIndex {
    /// The path as the claims on it share it.
    pub fn share(&self, path: &LeasePath) -> SharedPath {
        match self.on.get_key_value(path.as_str()) {
            Some((shared, _)) => shared.clone(),
            None => SharedPath(Arc::new(path.clone())),
        }
    }

    /// The lease on a path; there is at most one.
    pub fn lease(&self, path: &LeasePath) -> Option<Ordinal> {
        self.on(path).and_then(|on| on.lease)
    }

    /// The tickets on a path, in order of arrival.
    pub fn tickets(&self, path: &LeasePath) -> &[u64] {
        self.on(path).map_or(&[], |on| &on.tickets)
    }

    /// Overlap with a set.
    pub fn overlap<'p>(&self, paths: impl Iterator<Item = &'p LeasePath>) -> Overlap {
        let mut overlap = Overlap::default();
        for on in paths.filter_map(|path| self.on(path)) {
            overlap.leases.extend(on.lease);
            overlap.tickets.extend_from_slice(&on.tickets);
        }
        overlap.leases.sort_unstable();
        overlap.leases.dedup();
        overlap.tickets.sort_unstable();
        overlap.tickets.dedup();
        overlap
    }

    /// Number of tickets that overlap a set.
    pub fn queue<'p>(&self, mut paths: impl Iterator<Item = &'p LeasePath>) -> usize {
        match (paths.next(), paths.next()) {
            (None, _) => 0,
            (Some(only), None) => self.tickets(only).len(),
            (Some(first), Some(second)) => {
                self.overlap([first, second].into_iter().chain(paths)).tickets.len()
            }
        }
    }

    /// True if a lease, or a ticket that arrived before `arrival`, overlaps a set.
    pub fn is_blocked<'p>(
        &self,
        mut paths: impl Iterator<Item = &'p LeasePath>,
        arrival: u64,
    ) -> bool {
        paths.any(|path| {
            self.on(path).is_some_and(|on| {
                on.lease.is_some() || on.tickets.first().is_some_and(|first| *first < arrival)
            })
        })
    }

    /// The leased paths that begin with `prefix` and come after `after`, in byte order.
    pub fn leased<'i>(
        &'i self,
        prefix: &'i str,
        after: Option<&LeasePath>,
    ) -> impl Iterator<Item = (&'i LeasePath, Ordinal)> {
        let from = match after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix),
        };
        self.on
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(path, on)| (path.get(), on))
            .take_while(move |(path, _)| path.as_str().starts_with(prefix))
            .filter_map(|(path, on)| on.lease.map(|token| (path, token)))
    }

    pub fn add_lease(&mut self, path: &SharedPath, token: Ordinal) {
        self.on.entry(path.clone()).or_default().lease = Some(token);
    }

    pub fn add_ticket(&mut self, path: &SharedPath, arrival: u64) {
        let tickets = &mut self.on.entry(path.clone()).or_default().tickets;
        let place = tickets.partition_point(|earlier| *earlier < arrival);
        tickets.insert(place, arrival);
    }

    pub fn remove_lease(&mut self, path: &SharedPath) {
        self.change(path, |on| on.lease = None);
    }

    pub fn remove_ticket(&mut self, path: &SharedPath, arrival: u64) {
        self.change(path, |on| {
            if let Ok(place) = on.tickets.binary_search(&arrival) {
                on.tickets.remove(place);
            }
        });
    }

    fn on(&self, path: &LeasePath) -> Option<&OnPath> {
        self.on.get(path.as_str())
    }

    fn change(&mut self, path: &SharedPath, change: impl FnOnce(&mut OnPath)) {
        if let Some(on) = self.on.get_mut(path) {
            change(on);
            if on.lease.is_none() && on.tickets.is_empty() {
                self.on.remove(path);
            }
        }
    }
}
