//! Deadlock: who waits for whom, and the waits that would never end.
//!
//! Nodes are holders. A ticket gives an edge from its holder to the holder of each live lease it
//! overlaps and of each earlier live ticket it overlaps. Only adding a ticket adds edges — a grant
//! turns an edge to a ticket into one to a lease, an immediate grant overlaps nobody who waits — so
//! looking once, before a ticket is added, is enough
//! ([refuted](crate::rules::refuted#a-deadlock-behind-a-ticket)).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::id::Holder;
use crate::lease::state::LeaseMachine;
use crate::path::PathSet;

impl LeaseMachine {
    /// The shortest cycle that a new ticket of `asker` on `paths` would close, if any: the asker,
    /// then each holder once. Among the shortest it is the first, breadth first.
    pub(super) fn cycle_of(&self, asker: &Holder, paths: &PathSet) -> Option<Vec<Holder>> {
        let mut reached_from: BTreeMap<Holder, Holder> = BTreeMap::new();
        let mut to_expand = VecDeque::new();
        let mut discover = |from: &Holder, found: Vec<Holder>, queue: &mut VecDeque<Holder>| {
            for holder in found {
                if !reached_from.contains_key(&holder) {
                    reached_from.insert(holder.clone(), from.clone());
                    queue.push_back(holder);
                }
            }
            reached_from.contains_key(asker)
        };
        let mut closed = discover(asker, self.blockers(paths, u64::MAX), &mut to_expand);
        while !closed {
            let holder = to_expand.pop_front()?;
            closed = discover(&holder, self.blockers_of(&holder), &mut to_expand);
        }
        let mut cycle = Vec::new();
        let mut at = asker;
        while let Some(before) = reached_from.get(at) {
            cycle.push(before.clone());
            if before == asker {
                break;
            }
            at = before;
        }
        cycle.reverse();
        Some(cycle)
    }

    /// The holders in front of all tickets of `holder`, in the order of the tickets.
    fn blockers_of(&self, holder: &Holder) -> Vec<Holder> {
        self.queue
            .iter()
            .filter(|(_, ticket)| ticket.holder == *holder)
            .flat_map(|(arrival, ticket)| self.blockers(&ticket.content.paths, *arrival))
            .collect()
    }

    /// The holders in front of a claim that arrived at `arrival`: live leases by token, then earlier
    /// tickets by arrival.
    fn blockers(&self, paths: &PathSet, arrival: u64) -> Vec<Holder> {
        let leases = self.leases_on(paths).map(|(_, lease)| lease.key.holder.clone());
        let tickets = self
            .tickets_on(paths)
            .filter(|(earlier, _)| *earlier < arrival)
            .map(|(_, ticket)| ticket.holder.clone());
        leases.chain(tickets).collect()
    }

    /// True if `holder` waits, directly or not, for itself. Never so in a reachable state.
    pub(super) fn waits_for_itself(&self, holder: &Holder) -> bool {
        let mut seen: BTreeMap<Holder, ()> = BTreeMap::new();
        let mut to_expand = self.blockers_of(holder);
        while let Some(next) = to_expand.pop() {
            if next == *holder {
                return true;
            }
            if seen.insert(next.clone(), ()).is_none() {
                to_expand.extend(self.blockers_of(&next));
            }
        }
        false
    }
}
