//! Sessions begin, are replaced and end; agents choose what they want.

use mailbus_spec::mailbox::{
    CloseReason, Connection, LimitKind, Notice, Outcome, Pattern, Patterns, Rejection, Window,
};
use mailbus_spec::{AgentId, Ordinal, SessionId, limits};

use super::session::LiveSession;
use super::state::MailboxMemory;
use super::turn::{Answer, Turn};

/// Request of a session that begins.
pub(super) struct Asked<'c> {
    pub session: &'c SessionId,
    pub window: Option<Window>,
    pub types: Option<&'c Patterns>,
    pub last_seen: Option<Ordinal>,
}

impl MailboxMemory {
    /// Begins a session in place of the one before.
    pub(super) fn connect(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        asked: &Asked<'_>,
    ) -> Answer {
        let last_seq = self.header.last_ordinal;
        if asked.last_seen.is_some_and(|seen| seen > last_seq) {
            return Err(Rejection::Ahead { last: last_seq }.into());
        }
        let resumed = self.is_known(name);
        let epoch = self.next_epoch(turn, name)?;
        self.register(turn, name)?;
        self.replace(turn, name, asked);
        let agent = self.agents.entry(name.clone()).or_default();
        if let Some(registration) = &mut agent.registration {
            registration.epoch = epoch;
            let subscriptions = &mut registration.subscriptions;
            match asked.types {
                Some(types) => subscriptions.choose(types, last_seq),
                None if subscriptions.types().is_none() => {
                    subscriptions.choose(&Patterns::from([Pattern::everything()]), last_seq);
                }
                None => {}
            }
        }
        agent.live = Some(LiveSession::new(asked.session.clone(), epoch, asked.window, turn.now()));
        agent.stir();
        turn.gathered.changes_session(name);
        let (gap, refused) = (agent.gap(), agent.dead_letters.refused());
        Ok(Outcome::Connected { epoch, resumed, gap, refused })
    }

    /// The end of the session that another one replaces. One that negotiated nothing stays open and
    /// superseded: its client would come back at once, and the two would evict each other for ever. Another
    /// run in the place of one that had announced a delivery is a failure of that.
    fn replace(&mut self, turn: &mut Turn<'_>, name: &AgentId, by: &Asked<'_>) {
        self.record(turn, name);
        let live = self.agents.get(name).and_then(|agent| agent.live.as_ref());
        let Some(same) = live.map(|live| live.session == *by.session) else { return };
        let negotiated = live.filter(|live| live.window.is_some());
        if let Some(seq) = negotiated.filter(|_| !same).and_then(|live| live.working) {
            self.fail(turn, name, seq);
        }
        let Some(agent) = self.agents.get_mut(name) else { return };
        let Some(old) = agent.end_session() else { return };
        if old.window.is_some() {
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
    pub(super) fn disconnect(&mut self, turn: &mut Turn<'_>, which: &Connection) -> Outcome {
        let Connection { agent: name, epoch } = which;
        if let Some(live) = self.live(which) {
            let working = live.working;
            if live.flights.messages > 0 {
                self.record(turn, name);
                self.touch(turn, name);
            }
            if let Some(seq) = working {
                self.fail(turn, name, seq);
            }
            turn.push(name, *epoch, Notice::Closed(CloseReason::Disconnected));
            let Some(agent) = self.agents.get_mut(name) else { return Outcome::Disconnected };
            agent.end_session();
            for superseded in std::mem::take(&mut agent.superseded) {
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

    pub(super) fn subscribe(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        types: &Patterns,
    ) -> Answer {
        let (before, resumed) = (self.types(name), self.is_known(name));
        let mut wanted = before.clone().unwrap_or_default();
        wanted.extend(types.iter().cloned());
        if wanted.len() > limits::AGENT_PATTERNS {
            return Err(Rejection::Limit(LimitKind::Patterns).into());
        }
        if before.as_ref() != Some(&wanted) {
            self.register(turn, name)?;
            self.choose(name, &wanted);
        }
        Ok(Outcome::Subscribed { types: Some(wanted), resumed })
    }

    pub(super) fn unsubscribe(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        types: &Patterns,
    ) -> Outcome {
        let resumed = self.is_known(name);
        let Some(before) = self.types(name) else {
            return Outcome::Subscribed { types: None, resumed };
        };
        let left: Patterns = before.difference(types).cloned().collect();
        if left.len() < before.len() {
            self.touch(turn, name);
            self.choose(name, &left);
        }
        Outcome::Subscribed { types: Some(left), resumed }
    }

    fn types(&self, name: &AgentId) -> Option<Patterns> {
        self.agents.get(name)?.registration.as_ref()?.subscriptions.types()
    }

    fn choose(&mut self, name: &AgentId, types: &Patterns) {
        let last_seq = self.header.last_ordinal;
        let registration = self.agents.get_mut(name).and_then(|agent| agent.registration.as_mut());
        if let Some(registration) = registration {
            registration.subscriptions.choose(types, last_seq);
        }
    }
}
