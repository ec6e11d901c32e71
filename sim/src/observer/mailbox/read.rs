//! Taking an event in.

use mailbus_spec::Timestamp;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, Connection, Outcome, Rejection};

use crate::history::MailEvent;
use crate::observer::mailbox::{Fact, Mailbox, MailboxObserver};

impl MailboxObserver {
    /// Object time of an event: what its reply says, else what the clock makes of the host's.
    #[must_use]
    pub fn object_time(&self, event: &MailEvent) -> Timestamp {
        let told = event.step.reply.as_ref().map(|reply| reply.commit.now);
        let seen = self.clock.observe(event.host).ok();
        told.or(seen.map(|seen| seen.now)).unwrap_or(self.clock.floor)
    }

    /// Takes an event in, and says what it shows.
    pub fn read(&mut self, event: &MailEvent, now: Timestamp) -> Vec<Fact> {
        let mut facts = Vec::new();
        if let (Event::Command(command), Some(reply)) = (&event.event, &event.step.reply) {
            self.read_command(now, command, &reply.answer, &mut facts);
        }
        for push in &event.step.pushes {
            self.read_push(now, push, &mut facts);
        }
        if event.step.wrote
            && let Ok(seen) = self.clock.observe(event.host)
        {
            self.clock = self.clock.advanced_to(&seen);
            self.clock.floor = self.clock.floor.max(now);
        }
        facts
    }

    /// The sockets of all other sessions are gone.
    pub fn keep_sessions(&mut self, open: &[Connection]) {
        let now = self.clock.floor;
        for (name, mailbox) in &mut self.agents {
            let is_open =
                |epoch| open.iter().any(|open| open.agent == *name && open.epoch == epoch);
            if mailbox.live.as_ref().is_some_and(|live| !is_open(live.epoch)) {
                mailbox.end_session(now);
            }
            mailbox.superseded.retain(|epoch| mailbox.live.is_some() && is_open(*epoch));
        }
    }

    pub(super) fn is_live(&self, connection: &Connection) -> bool {
        let mailbox = self.agents.get(&connection.agent);
        let live = mailbox.and_then(|mailbox| mailbox.live.as_ref());
        live.is_some_and(|live| live.epoch == connection.epoch)
    }

    pub(super) fn mailbox(&mut self, agent: &mailbus_spec::AgentId) -> &mut Mailbox {
        self.agents.entry(agent.clone()).or_default()
    }

    fn read_command(
        &mut self,
        now: Timestamp,
        command: &Command,
        answer: &Result<Outcome, Rejection>,
        facts: &mut Vec<Fact>,
    ) {
        if let Some(over) = &command.over
            && !matches!(command.ask, Ask::Disconnect { .. })
        {
            let (connection, asked) = (over.clone(), command.ask.name());
            match (self.is_live(over), answer) {
                (_, Err(Rejection::Clock(_))) | (true, Ok(_)) => {}
                (false, Err(Rejection::Replaced)) => {
                    facts.push(Fact::Refused { connection, asked });
                }
                (false, _) => facts.push(Fact::Obeyed { connection, asked }),
                (true, Err(Rejection::Replaced)) => facts.push(Fact::Denied { connection }),
                (true, Err(_)) => {}
            }
        }
        if let Ok(outcome) = answer {
            self.read_outcome(now, command, outcome, facts);
        }
    }
}
