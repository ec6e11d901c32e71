//! Past as the checks know it, whatever the object still knows.

mod fates;
mod remember;

use mailbus_spec::{AgentId, Ordinal, Timestamp};

pub use remember::remember;

/// Past of every message for every agent it was addressed to, and more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// Sorted by agent and `seq`.
    pub fates: Vec<Fate>,
    /// Every place in the order that was given, with the message and when.
    pub accepted: Vec<(Ordinal, u8, Timestamp)>,
    pub agents: Vec<AgentPast>,
    /// The largest `seq` or epoch that was ever issued, in every life of the storage.
    pub largest: Ordinal,
    /// Process that asks for a session right now.
    pub connecting: Option<u8>,
}

/// Fate of one message for one agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fate {
    pub agent: AgentId,
    pub seq: Ordinal,
    pub mail: u8,
    pub pushed: bool,
    /// Time at which it was last pushed.
    pub pushed_at: Timestamp,
    /// It was nacked or redriven, and is pending since.
    pub returned: bool,
    /// Somebody handled it, and may say so.
    pub handled: bool,
    pub settled: bool,
    pub was_dead: bool,
    /// Failures of its own since it was sent or redriven.
    pub failures: u8,
}

/// Past of one agent, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgentPast {
    pub agent: AgentId,
    /// Messages that it lost, in order of loss.
    pub lost: Vec<Ordinal>,
    /// Number of its losses that it acknowledged.
    pub acknowledged: u64,
    /// The largest number of losses it was told of, and the largest `last`.
    pub told: u64,
    /// The largest epoch a session of it was ever given.
    pub epoch: Ordinal,
    /// The last first push in its present session.
    pub first_through: Ordinal,
    /// Delivery that its present session announced.
    pub announced: Option<Ordinal>,
    /// An inbox told it that it knows everything up to here.
    pub complete: Ordinal,
    /// Time at which it last did something that was not refused, where the world lets such time pass.
    pub seen_at: Timestamp,
}

impl Past {
    pub fn agent(&self, name: &AgentId) -> Option<&AgentPast> {
        self.agents.iter().find(|past| past.agent == *name)
    }

    pub fn agent_mut(&mut self, name: &AgentId) -> &mut AgentPast {
        let at = match self.agents.binary_search_by(|past| past.agent.cmp(name)) {
            Ok(at) => at,
            Err(at) => {
                self.agents.insert(at, AgentPast::of(name));
                at
            }
        };
        &mut self.agents[at]
    }

    pub fn fate_mut(&mut self, name: &AgentId, seq: Ordinal) -> Option<&mut Fate> {
        self.fates.iter_mut().find(|fate| fate.agent == *name && fate.seq == seq)
    }

    pub fn fail(&mut self, name: &AgentId, seq: Ordinal) {
        if let Some(fate) = self.fate_mut(name, seq) {
            fate.failures += 1;
        }
    }

    pub fn unannounce(&mut self, name: &AgentId, seq: Ordinal) {
        let past = self.agent_mut(name);
        past.announced = past.announced.filter(|announced| *announced != seq);
    }

    pub fn fates_of<'a>(&'a self, name: &'a AgentId) -> impl Iterator<Item = &'a Fate> {
        self.fates.iter().filter(move |fate| fate.agent == *name)
    }

    /// The storage went back to `earlier`: what it says is true again, but no number is forgotten.
    pub fn restored_to(&self, earlier: &Self, recovers: bool) -> Self {
        let mut past = earlier.clone();
        for agent in &self.agents {
            past.agent_mut(&agent.agent).complete = agent.complete;
            // Who does not recover a restored storage is not promised this.
            if recovers {
                past.agent_mut(&agent.agent).epoch = agent.epoch;
            }
        }
        past.largest = if recovers { self.largest } else { earlier.largest };
        past
    }
}

impl AgentPast {
    fn of(name: &AgentId) -> Self {
        Self {
            agent: name.clone(),
            lost: Vec::new(),
            acknowledged: 0,
            told: 0,
            epoch: Ordinal::ZERO,
            first_through: Ordinal::ZERO,
            announced: None,
            complete: Ordinal::ZERO,
            seen_at: Timestamp::ZERO,
        }
    }
}
