//! Whom the messages of the log were addressed to, as agents' rows say it: on waking.

use std::collections::BTreeMap;
use std::rc::Rc;

use mailbus_spec::mailbox::MessageType;
use mailbus_spec::{AgentId, Ordinal};

use super::agent::Agent;
use super::log::{Entry, Told};
use super::state::MailboxMemory;

/// Most types whose audience is remembered while the log is read.
const AUDIENCES: usize = 4_096;

/// The agents while the log is read: in a row by name, so that the audience of a type is a list of
/// places.
#[derive(Debug, Default)]
pub(super) struct Reading {
    names: Vec<AgentId>,
    agents: Vec<Agent>,
    /// Names that have no row.
    unknown: BTreeMap<AgentId, Agent>,
    audiences: BTreeMap<MessageType, Rc<[usize]>>,
}

impl Reading {
    /// Adds an agent that has a row. They come by name.
    pub fn add(&mut self, name: AgentId, agent: Agent) {
        self.names.push(name);
        self.agents.push(agent);
    }

    /// Makes a message of the log pending for those it was addressed to, and a dead letter of those whose
    /// inbox had refused it.
    pub fn deliver(&mut self, memory: &mut MailboxMemory, told: &Told<'_>) {
        let entry = &told.entry;
        let expired = entry.seq <= memory.expired;
        for name in &told.refused {
            self.refuse(memory, name, entry.seq, expired);
        }
        let has_refused = |name: &AgentId| told.refused.binary_search(&name).is_ok();
        if let Some(to) = told.recipient {
            let place = self.names.binary_search(to).ok();
            if has_refused(to) {
                return;
            }
            match place.and_then(|place| self.agents.get_mut(place)) {
                Some(agent) => owe(agent, memory, entry, expired),
                None => {
                    let agent = self.unknown.entry(to.clone()).or_default();
                    owe(agent, memory, entry, expired);
                }
            }
            return;
        }
        let audience = self.audience(told.kind);
        for place in audience.iter() {
            let (Some(name), Some(agent)) = (self.names.get(*place), self.agents.get_mut(*place))
            else {
                continue;
            };
            let wanted = agent.registration.as_ref().is_some_and(|registration| {
                registration.subscriptions.wanted(told.kind, entry.seq)
            });
            if wanted && name != told.sender && !has_refused(name) {
                owe(agent, memory, entry, expired);
            }
        }
    }

    fn refuse(&mut self, memory: &mut MailboxMemory, name: &AgentId, seq: Ordinal, expired: bool) {
        let place = self.names.binary_search(name).ok();
        let agent = match place.and_then(|place| self.agents.get_mut(place)) {
            Some(agent) => agent,
            None => self.unknown.entry(name.clone()).or_default(),
        };
        if expired || seq <= agent.forgotten {
            return;
        }
        let change = agent.dead_letters.add_refused(seq);
        if change.held {
            memory.log.hold(seq);
        }
        if let Some(older) = change.released {
            memory.log.release(older);
        }
    }

    /// Agents that a message of this type may have been for.
    fn audience(&mut self, kind: &MessageType) -> Rc<[usize]> {
        if let Some(known) = self.audiences.get(kind) {
            return Rc::clone(known);
        }
        let wants = |agent: &Agent| {
            let registration = agent.registration.as_ref();
            registration.is_some_and(|registration| registration.subscriptions.ever_wanted(kind))
        };
        let places = self.agents.iter().enumerate().filter(|(_, agent)| wants(agent));
        let places: Rc<[usize]> = places.map(|(place, _)| place).collect();
        if self.audiences.len() >= AUDIENCES {
            self.audiences.clear();
        }
        self.audiences.insert(kind.clone(), Rc::clone(&places));
        places
    }

    /// All of them, when the log is read.
    pub fn into_agents(self) -> BTreeMap<AgentId, Agent> {
        let mut agents = self.unknown;
        agents.extend(self.names.into_iter().zip(self.agents));
        agents
    }
}

/// Makes a message that was addressed to the agent pending, if its row does not decide that.
fn owe(agent: &mut Agent, memory: &mut MailboxMemory, entry: &Entry, expired: bool) {
    let is_over = expired && agent.registration.is_none();
    if entry.seq > agent.inbox.high() && !is_over {
        agent.receive(&mut memory.log, entry);
    }
}
