//! Beliefs of one client, over true time.

use std::collections::BTreeMap;
use std::rc::Rc;

use mailbus_client::lease::LeaseClient;
use mailbus_spec::{Holder, Ordinal, PathSet};

use crate::clock::{MachineClocks, TrueTime};
use crate::judge::history::BeliefSpan;
use crate::judge::history::marks::Mark;
use crate::world::Context;
use crate::world::hosts::AgentClocks;

/// Watches the beliefs of one run of a client.
///
/// Its session changes only while its process is polled; in between, what it would say changes with
/// its clocks alone, which are functions of true time. So the ends of beliefs are found exactly,
/// also those of a process that is stopped.
pub(crate) struct BeliefWatch {
    context: Rc<Context>,
    client: LeaseClient<Rc<AgentClocks>>,
    clocks: Rc<MachineClocks>,
    holder: Holder,
    believed: BTreeMap<Ordinal, (TrueTime, PathSet)>,
    looked: TrueTime,
}

impl BeliefWatch {
    pub fn new(
        context: Rc<Context>,
        client: LeaseClient<Rc<AgentClocks>>,
        clocks: Rc<MachineClocks>,
        holder: Holder,
    ) -> Self {
        let looked = context.now();
        Self { context, client, clocks, holder, believed: BTreeMap::new(), looked }
    }

    fn beliefs_at(&self, at: TrueTime) -> BTreeMap<Ordinal, PathSet> {
        let reading = self.clocks.reading(at);
        self.client.inspect(|session, _| {
            let beliefs = session.beliefs(reading);
            beliefs.map(|believed| (believed.token, believed.paths.clone())).collect()
        })
    }

    /// Before the process is polled: what has time ended since it was polled last?
    pub fn before_poll(&mut self, now: TrueTime) {
        if self.believed.is_empty() || now <= self.looked {
            return;
        }
        let mut edges: Vec<TrueTime> = [&self.clocks.monotonic, &self.clocks.wall]
            .into_iter()
            .flat_map(|clock| clock.breakpoints())
            .filter(|edge| self.looked < *edge && *edge < now)
            .collect();
        edges.push(now);
        edges.sort();
        for edge in edges {
            self.end_by_clock(edge);
        }
    }

    fn end_by_clock(&mut self, edge: TrueTime) {
        let still = self.beliefs_at(edge);
        let ended: Vec<Ordinal> =
            self.believed.keys().filter(|token| !still.contains_key(token)).copied().collect();
        for token in ended {
            let (mut low, mut high) = (self.looked, edge);
            while high.0 - low.0 > 1 {
                let middle = TrueTime(low.0 + (high.0 - low.0) / 2);
                if self.beliefs_at(middle).contains_key(&token) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            self.end(token, high);
            self.context.reach(Mark::BeliefEndedByClock);
        }
        self.looked = edge;
    }

    /// After the process was polled: what has it learned or given up?
    pub fn after_poll(&mut self, now: TrueTime) {
        let current = self.beliefs_at(now);
        let ended: Vec<Ordinal> =
            self.believed.keys().filter(|token| !current.contains_key(token)).copied().collect();
        for token in ended {
            self.end(token, now);
        }
        for (token, paths) in current {
            self.believed.entry(token).or_insert((now, paths));
        }
        self.looked = now;
    }

    fn end(&mut self, token: Ordinal, until: TrueTime) {
        let Some((from, paths)) = self.believed.remove(&token) else { return };
        if from < until {
            let holder = self.holder.clone();
            let span = BeliefSpan { holder, token, paths, from, until };
            self.context.history.borrow_mut().beliefs.push(span);
        }
    }
}

impl Drop for BeliefWatch {
    /// The process is gone, and its beliefs with it.
    fn drop(&mut self) {
        let now = self.context.now();
        self.before_poll(now);
        let left: Vec<Ordinal> = self.believed.keys().copied().collect();
        for token in left {
            self.end(token, now);
        }
    }
}
