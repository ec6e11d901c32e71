//! Rows of agents: named by an event, and written at its end as they are then.

use mailbus_spec::mailbox::{Ask, Command, LimitKind, Rejection};
use mailbus_spec::{AgentId, Ordinal, limits};

use super::agent::Registration;
use super::rows;
use super::state::MailboxMemory;
use super::subscriptions::MOST_SPANS;
use super::turn::Turn;
use crate::storage::Value;

impl MailboxMemory {
    /// Writes something about an agent, which is known by name from then on.
    pub(super) fn register(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
    ) -> Result<(), Rejection> {
        if !self.is_known(name) {
            if self.registered() >= limits::WORKSPACE_AGENTS {
                return Err(Rejection::Limit(LimitKind::Agents));
            }
            let epoch = self.next_epoch(turn, name)?;
            let agent = self.agents.entry(name.clone()).or_default();
            agent.registration = Some(Registration { epoch, ..Registration::default() });
        }
        self.touch(turn, name);
        Ok(())
    }

    /// An epoch for an agent: above every earlier one of its name, and above all that was accepted.
    pub(super) fn next_epoch(&self, turn: &Turn<'_>, name: &AgentId) -> Result<Ordinal, Rejection> {
        let known = self.agents.get(name).and_then(|agent| agent.registration.as_ref());
        let last = known.map_or(Ordinal::ZERO, |known| known.epoch).max(self.header.last_ordinal);
        last.next(turn.seen.host).ok_or(Rejection::Limit(LimitKind::Ordinals))
    }

    /// Writes something about an agent that is known by name.
    pub(super) fn touch(&mut self, turn: &mut Turn<'_>, name: &AgentId) {
        let registration = self.agents.get_mut(name).and_then(|agent| agent.registration.as_mut());
        if let Some(registration) = registration {
            registration.written_at = turn.now();
            turn.writes_agent(name);
        }
    }

    /// Agent that takes part in a command, if one does. The end of a session that is not there is nobody's.
    pub(super) fn taking_part<'c>(&self, command: &'c Command) -> Option<&'c AgentId> {
        let Ask::Disconnect { connection } = &command.ask else { return command.agent() };
        let agent = self.agents.get(&connection.agent);
        let superseded = agent.is_some_and(|agent| agent.superseded.contains(&connection.epoch));
        (superseded || self.live(connection).is_some()).then_some(&connection.agent)
    }

    /// An agent that is known gives a sign of life: if its row is a day old, it is written.
    pub(super) fn see(&mut self, turn: &mut Turn<'_>, name: &AgentId) {
        let known = self.agents.get(name).and_then(|agent| agent.registration.as_ref());
        if known.is_some_and(|known| known.written_at.plus_ms(limits::SIGHT_MS) <= turn.now()) {
            self.touch(turn, name);
        }
    }

    /// Writes the rows of the agents that the event has named.
    pub(super) fn write_agents(&mut self, turn: &mut Turn<'_>) {
        for name in turn.gathered.take_agents() {
            match self.agent_columns(&name) {
                Some(columns) => turn.write_stamped(rows::WRITE_AGENT, columns),
                None => turn.write(rows::DELETE_AGENT, vec![rows::name(&name)]),
            }
        }
    }

    /// The agent's row as it is to be written; `None` if it is to be deleted.
    fn agent_columns(&mut self, name: &AgentId) -> Option<Vec<Value>> {
        let last_seq = self.header.last_ordinal;
        let first = self.log.first();
        let agent = self.agents.get_mut(name)?;
        if let Some(registration) = &mut agent.registration {
            let subscriptions = &mut registration.subscriptions;
            subscriptions.forget_through(agent.inbox.high());
            if subscriptions.len() > MOST_SPANS {
                agent.inbox.raise(last_seq);
                subscriptions.forget_through(last_seq);
            }
        } else if first.is_none_or(|first| first > agent.forgotten) {
            // Nothing is left that it would have to forget.
            agent.has_row = false;
            agent.forgotten = Ordinal::ZERO;
            agent.inbox.forget_high();
            if agent.is_nobody() {
                self.agents.remove(name);
            }
            return None;
        }
        agent.has_row = true;
        Some(rows::agent_columns(name, agent))
    }
}
