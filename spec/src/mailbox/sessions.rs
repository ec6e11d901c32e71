//! Sessions begin, are replaced and end; agents choose what they want and are forgotten.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::AgentId;
use crate::limits;
use crate::mailbox::answer::{CloseReason, LimitKind, Notice, Outcome, Rejection};
use crate::mailbox::command::{Ask, Command, Connection};
use crate::mailbox::machine::Turn;
use crate::mailbox::pattern::{Pattern, Patterns};
use crate::mailbox::state::{Agent, Asked, MailboxMachine, Registration, Session};
use crate::ordinal::Ordinal;

impl MailboxMachine {
    /// Begins a session in place of the one before.
    pub(super) fn connect(
        &mut self,
        turn: &mut Turn,
        name: &AgentId,
        asked: Asked,
        last_seen: Option<Ordinal>,
    ) -> Result<Outcome, Rejection> {
        if last_seen.is_some_and(|seen| seen > self.last_seq) {
            return Err(Rejection::Ahead { last: self.last_seq });
        }
        let resumed = self.is_known(name);
        let epoch = self.next_epoch(turn.seen.host, name);
        let epoch = epoch.ok_or(Rejection::Limit(LimitKind::Ordinals))?;
        self.register(turn, name)?;
        self.replace(turn, name, &asked);
        let Some(agent) = self.agents.get_mut(name) else { return Err(Rejection::Replaced) };
        if let Some(registration) = &mut agent.registration {
            registration.epoch = epoch;
            match asked.types {
                Some(types) => registration.types = Some(types),
                None if registration.types.is_none() => {
                    registration.types = Some(Patterns::from([Pattern::everything()]));
                }
                None => {}
            }
        }
        agent.live = Some(Session {
            epoch,
            session: asked.session,
            window: asked.window,
            since: turn.now(),
            flights: BTreeMap::new(),
            working: None,
        });
        let gap = agent.registration.as_ref().and_then(|known| known.losses.gap());
        Ok(Outcome::Connected { epoch, resumed, gap, refused: self.refused(name) })
    }

    /// The end of the session that another one replaces. One that negotiated nothing stays open and
    /// superseded: its client would come back at once, and the two would evict each other for ever
    /// ([refuted](crate::rules::refuted#sessions-that-evict-each-other)). Another run in the place of one that
    /// had announced a delivery is a failure of that
    /// ([refuted](crate::rules::refuted#a-death-that-its-successor-hides)).
    fn replace(&mut self, turn: &mut Turn, name: &AgentId, by: &Asked) {
        self.record(turn, name);
        let live = self.agents.get(name).and_then(|agent| agent.live.as_ref());
        let Some(same) = live.map(|live| live.session == by.session) else { return };
        let negotiated = live.is_some_and(|live| live.window.is_some());
        if negotiated
            && !same
            && let Some(seq) = self.announced(name)
        {
            self.fail(turn, name, seq, None);
        }
        let Some(agent) = self.agents.get_mut(name) else { return };
        let Some(old) = agent.live.take() else { return };
        if negotiated {
            let reason = if same { CloseReason::TakenOver } else { CloseReason::Replaced };
            turn.push(name, old.epoch, Notice::Closed(reason));
            return;
        }
        agent.superseded.push(old.epoch);
        if agent.superseded.len() > limits::AGENT_SUPERSEDED {
            let oldest = agent.superseded.remove(0);
            turn.push(name, oldest, Notice::Closed(CloseReason::Crowded));
        }
    }

    /// Ends a session. With the live one go the superseded ones, so that one of them comes back.
    pub(super) fn disconnect(&mut self, turn: &mut Turn, which: &Connection) -> Outcome {
        let Connection { agent: name, epoch } = which;
        if self.is_live(which) {
            let working = self.announced(name);
            if self.has_flights(name) {
                self.record(turn, name);
                self.touch(turn, name);
            }
            if let Some(seq) = working {
                self.fail(turn, name, seq, None);
            }
            turn.push(name, *epoch, Notice::Closed(CloseReason::Disconnected));
            let Some(agent) = self.agents.get_mut(name) else { return Outcome::Disconnected };
            agent.live = None;
            for superseded in core::mem::take(&mut agent.superseded) {
                turn.push(name, superseded, Notice::Closed(CloseReason::Reopen));
            }
        } else if let Some(agent) = self.agents.get_mut(name)
            && agent.superseded.contains(epoch)
        {
            agent.superseded.retain(|superseded| superseded != epoch);
            turn.push(name, *epoch, Notice::Closed(CloseReason::Disconnected));
        }
        Outcome::Disconnected
    }

    /// The delivery in flight that the agent's session has announced.
    fn announced(&self, name: &AgentId) -> Option<Ordinal> {
        let live = self.agents.get(name)?.live.as_ref()?;
        live.working.filter(|seq| live.flights.contains_key(seq))
    }

    fn has_flights(&self, name: &AgentId) -> bool {
        let live = self.agents.get(name).and_then(|agent| agent.live.as_ref());
        live.is_some_and(|live| !live.flights.is_empty())
    }

    pub(super) fn subscribe(
        &mut self,
        turn: &mut Turn,
        name: &AgentId,
        types: &Patterns,
    ) -> Result<Outcome, Rejection> {
        let resumed = self.is_known(name);
        let mut wanted = self.types(name).unwrap_or_default();
        wanted.extend(types.iter().cloned());
        if wanted.len() > limits::AGENT_PATTERNS {
            return Err(Rejection::Limit(LimitKind::Patterns));
        }
        if self.types(name).as_ref() != Some(&wanted) {
            self.register(turn, name)?;
            self.choose(name, wanted);
        }
        Ok(Outcome::Subscribed { types: self.types(name), resumed })
    }

    pub(super) fn unsubscribe(
        &mut self,
        turn: &mut Turn,
        name: &AgentId,
        types: &Patterns,
    ) -> Outcome {
        if let Some(mut left) = self.types(name) {
            let before = left.len();
            left.retain(|pattern| !types.contains(pattern));
            if left.len() < before {
                self.touch(turn, name);
                self.choose(name, left);
            }
        }
        Outcome::Subscribed { types: self.types(name), resumed: self.is_known(name) }
    }

    fn types(&self, name: &AgentId) -> Option<Patterns> {
        self.agents.get(name)?.registration.as_ref()?.types.clone()
    }

    fn choose(&mut self, name: &AgentId, types: Patterns) {
        if let Some(registration) =
            self.agents.get_mut(name).and_then(|agent| agent.registration.as_mut())
        {
            registration.types = Some(types);
        }
    }

    /// Writes something about an agent, which is known by name from then on.
    pub(super) fn register(&mut self, turn: &mut Turn, name: &AgentId) -> Result<(), Rejection> {
        if !self.is_known(name) {
            if self.registered() >= limits::WORKSPACE_AGENTS {
                return Err(Rejection::Limit(LimitKind::Agents));
            }
            let epoch = self.next_epoch(turn.seen.host, name);
            let epoch = epoch.ok_or(Rejection::Limit(LimitKind::Ordinals))?;
            let agent = self.agents.entry(name.clone()).or_default();
            agent.registration = Some(Registration { epoch, ..Registration::default() });
        }
        self.touch(turn, name);
        Ok(())
    }

    /// Writes something about an agent that is known by name.
    pub(super) fn touch(&mut self, turn: &mut Turn, name: &AgentId) {
        if let Some(registration) =
            self.agents.get_mut(name).and_then(|agent| agent.registration.as_mut())
        {
            registration.written_at = turn.now();
            turn.wrote = true;
        }
    }

    /// Agent that takes part in a command, if one does. The end of a session that is not there is nobody's.
    pub(super) fn taking_part<'c>(&self, command: &'c Command) -> Option<&'c AgentId> {
        match &command.ask {
            Ask::Disconnect { connection } => {
                self.has_session(connection).then_some(&connection.agent)
            }
            _ => command.agent(),
        }
    }

    fn has_session(&self, connection: &Connection) -> bool {
        let agent = self.agents.get(&connection.agent);
        let superseded = agent.is_some_and(|agent| agent.superseded.contains(&connection.epoch));
        superseded || self.is_live(connection)
    }

    /// An agent that is known gives a sign of life: if its row is a day old, it is written
    /// ([refuted](crate::rules::refuted#a-busy-agent-that-is-forgotten)).
    pub(super) fn see(&mut self, turn: &mut Turn, name: &AgentId) {
        let known = self.agents.get(name).and_then(|agent| agent.registration.as_ref());
        if known.is_some_and(|known| known.written_at.plus_ms(limits::SIGHT_MS) <= turn.now()) {
            self.touch(turn, name);
        }
    }

    /// Forgets an agent with all that was kept for it, its dead letters too; nobody who has come by that
    /// name since ([refuted](crate::rules::refuted#a-forgetting-without-an-epoch)).
    pub(super) fn forget(
        &mut self,
        turn: &mut Turn,
        name: &AgentId,
        epoch: Option<Ordinal>,
    ) -> Outcome {
        let is_meant = |agent: &Agent| epoch.is_none_or(|epoch| agent.latest() <= epoch);
        let meant = self.agents.get(name).is_some_and(is_meant);
        let Some(agent) = meant.then(|| self.agents.remove(name)).flatten() else {
            return Outcome::Forgotten { known: false };
        };
        let live = agent.live.iter().map(|live| live.epoch);
        let sessions: Vec<Ordinal> = live.chain(agent.superseded.iter().copied()).collect();
        for epoch in sessions {
            turn.push(name, epoch, Notice::Closed(CloseReason::Forgotten));
        }
        self.retire_epochs(&agent);
        self.drop_refusals(name);
        turn.wrote = true;
        Outcome::Forgotten { known: true }
    }

    /// No session is given an epoch again that one of a forgotten agent had: its socket may still close.
    pub(super) fn retire_epochs(&mut self, agent: &Agent) {
        let epoch = agent.registration.as_ref().map_or(Ordinal::ZERO, |known| known.epoch);
        self.last_seq = self.last_seq.max(epoch);
    }

    /// Nothing that an inbox has refused is a dead letter of its agent any more.
    pub(super) fn drop_refusals(&mut self, name: &AgentId) {
        for logged in self.log.entries.values_mut() {
            logged.refused.remove(name);
        }
    }
}
