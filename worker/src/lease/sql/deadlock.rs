//! Waits that would never end: a search through who waits for whom.

use std::collections::{BTreeMap, VecDeque};

use mailbus_spec::lease::Rejection;
use mailbus_spec::{Holder, LeasePath, Ordinal, PathSet, limits};

use super::claims::Claims;
use super::state::LeaseMemory;

impl LeaseMemory {
    /// The refusal of a new ticket of `asker` on `paths` that would close a cycle: the shortest,
    /// breadth first, the asker first, then each holder once.
    pub(super) fn deadlock(&self, asker: &Holder, paths: &PathSet) -> Option<Rejection> {
        let cycle = Search::new(&self.claims).cycle(asker, paths)?;
        let named = cycle.iter().take(limits::CYCLE_NAMED);
        Some(Rejection::Deadlock {
            cycle: named.copied().cloned().collect(),
            length: cycle.len() as u64,
        })
    }
}

/// A breadth-first search from one asker.
///
/// Each claim is looked at once on each of its paths, however many wait there: all tickets before
/// `seen_before` are discovered already. So the work is bounded by the number of live paths, and the
/// order of discoveries is the same as without that.
struct Search<'l> {
    claims: &'l Claims,
    reached_from: BTreeMap<&'l Holder, Option<&'l Holder>>,
    to_expand: VecDeque<&'l Holder>,
    seen_before: BTreeMap<&'l LeasePath, u64>,
}

impl<'l> Search<'l> {
    fn new(claims: &'l Claims) -> Self {
        Self {
            claims,
            reached_from: BTreeMap::new(),
            to_expand: VecDeque::new(),
            seen_before: BTreeMap::new(),
        }
    }

    fn cycle(mut self, asker: &'l Holder, paths: &'l PathSet) -> Option<Vec<&'l Holder>> {
        // Who has nothing and waits for nothing cannot be waited for.
        self.claims.share(asker)?;
        self.discover(None, paths.as_slice().iter(), u64::MAX);
        while !self.reached_from.contains_key(asker) {
            let holder = self.to_expand.pop_front()?;
            let claims = self.claims;
            for arrival in claims.share(holder).into_iter().flat_map(|share| &share.tickets) {
                if let Some(ticket) = claims.ticket(*arrival) {
                    self.discover(Some(holder), ticket.claim.paths(), *arrival);
                }
            }
        }
        let mut cycle = Vec::new();
        let mut before = self.reached_from.get(asker).copied().flatten();
        while let Some(holder) = before {
            cycle.push(holder);
            before = self.reached_from.get(holder).copied().flatten();
        }
        cycle.push(asker);
        cycle.reverse();
        Some(cycle)
    }

    /// Notes the holders in front of a claim: live leases by token, then earlier tickets by arrival.
    /// `from` is the claim's holder, none for the asker.
    fn discover(
        &mut self,
        from: Option<&'l Holder>,
        paths: impl Iterator<Item = &'l LeasePath>,
        arrival: u64,
    ) {
        let claims = self.claims;
        let (mut leases, mut tickets): (Vec<Ordinal>, Vec<u64>) = (Vec::new(), Vec::new());
        for path in paths {
            if !self.seen_before.contains_key(path) {
                leases.extend_from_slice(claims.index().leases(path));
            }
            let seen_before = self.seen_before.entry(path).or_default();
            let on_path = claims.index().tickets(path);
            let from = on_path.partition_point(|earlier| *earlier < *seen_before);
            let to = on_path.partition_point(|earlier| *earlier < arrival);
            tickets.extend(on_path.get(from..to).unwrap_or_default());
            *seen_before = arrival.max(*seen_before);
        }
        leases.sort_unstable();
        tickets.sort_unstable();
        let leases = leases.into_iter().filter_map(|token| claims.lease(token));
        let tickets = tickets.into_iter().filter_map(|arrival| claims.ticket(arrival));
        let claims = leases.map(|lease| &lease.claim).chain(tickets.map(|ticket| &ticket.claim));
        for claim in claims {
            if !self.reached_from.contains_key(&claim.holder) {
                self.reached_from.insert(&claim.holder, from);
                self.to_expand.push_back(&claim.holder);
            }
        }
    }
}
