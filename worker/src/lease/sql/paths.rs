//! Live claims by the path that they are on.
//!
//! The index is by equal paths because [`LeasePath::overlaps`] is equality. Claims on directories or
//! patterns would change this file and no other of the machine.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use mailbus_spec::{LeasePath, Ordinal};

/// A path under live claims. All that spell it alike share one text: 65 536 paths of 1 KiB have to fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SharedPath(Arc<LeasePath>);

impl SharedPath {
    pub fn get(&self) -> &LeasePath {
        &self.0
    }
}

impl Borrow<str> for SharedPath {
    fn borrow(&self) -> &str {
        self.0.key()
    }
}

/// The claims on one path.
///
/// Invariant: both are in rising order. There is a lease or a ticket. There is at most one lease, but where
/// two were granted before their paths were one: those stand until they end.
#[derive(Debug, Default, PartialEq, Eq)]
struct OnPath {
    leases: Vec<Ordinal>,
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
    /// The path as the claims on it share it, where it is spelled alike.
    pub fn share(&self, path: &LeasePath) -> SharedPath {
        match self.on.get_key_value(path.key()) {
            Some((shared, _)) if shared.get().as_str() == path.as_str() => shared.clone(),
            _ => SharedPath(Arc::new(path.clone())),
        }
    }

    /// The leases on a path, by token.
    pub fn leases(&self, path: &LeasePath) -> &[Ordinal] {
        self.on(path).map_or(&[], |on| &on.leases)
    }

    /// The tickets on a path, in order of arrival.
    pub fn tickets(&self, path: &LeasePath) -> &[u64] {
        self.on(path).map_or(&[], |on| &on.tickets)
    }

    /// Overlap with a set.
    pub fn overlap<'p>(&self, paths: impl Iterator<Item = &'p LeasePath>) -> Overlap {
        let mut overlap = Overlap::default();
        for on in paths.filter_map(|path| self.on(path)) {
            overlap.leases.extend_from_slice(&on.leases);
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
                !on.leases.is_empty() || on.tickets.first().is_some_and(|first| *first < arrival)
            })
        })
    }

    /// The leased paths whose key begins with `prefix` and that come after `after`, in the order of keys.
    pub fn leased<'i>(
        &'i self,
        prefix: &'i str,
        after: Option<&LeasePath>,
    ) -> impl Iterator<Item = (&'i LeasePath, Ordinal)> {
        let from = match after {
            Some(after) if after.key() >= prefix => Bound::Excluded(after.key()),
            _ => Bound::Included(prefix),
        };
        self.on
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(move |(path, _)| path.get().key().starts_with(prefix))
            .flat_map(|(path, on)| on.leases.iter().map(|token| (path.get(), *token)))
    }

    pub fn add_lease(&mut self, path: &SharedPath, token: Ordinal) {
        let leases = &mut self.on.entry(path.clone()).or_default().leases;
        if let Err(place) = leases.binary_search(&token) {
            leases.insert(place, token);
        }
    }

    pub fn add_ticket(&mut self, path: &SharedPath, arrival: u64) {
        let tickets = &mut self.on.entry(path.clone()).or_default().tickets;
        let place = tickets.partition_point(|earlier| *earlier < arrival);
        tickets.insert(place, arrival);
    }

    pub fn remove_lease(&mut self, path: &SharedPath, token: Ordinal) {
        self.change(path, |on| on.leases.retain(|other| *other != token));
    }

    pub fn remove_ticket(&mut self, path: &SharedPath, arrival: u64) {
        self.change(path, |on| {
            if let Ok(place) = on.tickets.binary_search(&arrival) {
                on.tickets.remove(place);
            }
        });
    }

    fn on(&self, path: &LeasePath) -> Option<&OnPath> {
        self.on.get(path.key())
    }

    fn change(&mut self, path: &SharedPath, change: impl FnOnce(&mut OnPath)) {
        if let Some(on) = self.on.get_mut(path) {
            change(on);
            if on.leases.is_empty() && on.tickets.is_empty() {
                self.on.remove(path);
            }
        }
    }
}
