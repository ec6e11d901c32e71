//! Counts of the requests that are remembered, by the minute in which they may be forgotten and by agent.
//!
//! The requests themselves are looked up in the storage by their key, and their tokens in `finished_tokens`; only
//! the bounds need counts.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use mailbus_spec::{AgentId, Timestamp, limits};

/// Counts of the requests that are over and not yet collected.
///
/// Invariant: no count is zero.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MemoryCount {
    total: usize,
    minutes: BTreeMap<u64, Minute>,
}

/// The requests that one minute makes collectable.
#[derive(Debug, Default, PartialEq, Eq)]
struct Minute {
    total: usize,
    agents: BTreeMap<AgentHash, usize>,
}

/// An agent by a hash of its name: a million of them have to fit beside another object. Two agents
/// that collided would share their bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AgentHash(u64);

impl AgentHash {
    fn of(agent: &AgentId) -> Self {
        let mut hasher = DefaultHasher::new();
        agent.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Time at which the memory of what ended at `end` is over.
pub(super) fn memory_ends(end: Timestamp) -> Timestamp {
    end.plus_ms(limits::MEMORY_MS)
}

/// The minute, since the epoch, in which what ended at `end` may be collected.
pub(super) fn collectable_minute(end: Timestamp) -> u64 {
    memory_ends(end).minute_ceil()
}

/// Latest end, in milliseconds, of the claims that are collectable in `minute`.
pub(super) fn collectable_until_ms(minute: u64) -> u64 {
    minute.saturating_mul(60_000).saturating_sub(limits::MEMORY_MS)
}

impl MemoryCount {
    /// All of them, collectable ones included.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Notes that a request of `agent` ended at `end`.
    pub fn add(&mut self, agent: &AgentId, end: Timestamp) {
        let of_minute = self.minutes.entry(collectable_minute(end)).or_default();
        let of_agent = of_minute.agents.entry(AgentHash::of(agent)).or_default();
        *of_agent = of_agent.saturating_add(1);
        of_minute.total = of_minute.total.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }

    /// Notes that a request of `agent` that ended at `end` is over no longer: its id was used again,
    /// or its end was moved.
    pub fn remove(&mut self, agent: &AgentId, end: Timestamp) {
        let minute = collectable_minute(end);
        let Some(of_minute) = self.minutes.get_mut(&minute) else { return };
        let hash = AgentHash::of(agent);
        let Some(of_agent) = of_minute.agents.get_mut(&hash) else { return };
        *of_agent = of_agent.saturating_sub(1);
        if *of_agent == 0 {
            of_minute.agents.remove(&hash);
        }
        of_minute.total = of_minute.total.saturating_sub(1);
        if of_minute.total == 0 {
            self.minutes.remove(&minute);
        }
        self.total = self.total.saturating_sub(1);
    }

    /// Number of requests that count at `at`: each does until its minute has come, collected or not.
    pub fn count(&self, at: Timestamp) -> usize {
        self.after(at).map(|minute| minute.total).sum()
    }

    /// Number of those of `agent` that count at `at`.
    pub fn count_of(&self, agent: &AgentId, at: Timestamp) -> usize {
        let hash = AgentHash::of(agent);
        self.after(at).filter_map(|minute| minute.agents.get(&hash)).sum()
    }

    fn after(&self, at: Timestamp) -> impl Iterator<Item = &Minute> {
        self.minutes.range(at.minute_floor().saturating_add(1)..).map(|(_, minute)| minute)
    }

    /// The first minute that makes something collectable.
    pub fn first_minute(&self) -> Option<u64> {
        self.minutes.keys().next().copied()
    }

    /// Forgets what is collectable in `minute`.
    pub fn collect(&mut self, minute: u64) {
        let later = self.minutes.split_off(&minute.saturating_add(1));
        let collected: usize = self.minutes.values().map(|minute| minute.total).sum();
        self.minutes = later;
        self.total = self.total.saturating_sub(collected);
    }
}
