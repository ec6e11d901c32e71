//! Taking pushes in.

use mailbus_spec::mailbox::{Connection, Message, Notice, Push};
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use crate::judge::observer::mailbox::{Fact, Flight, Flying, MailboxObserver, Owing, Pushed};

impl MailboxObserver {
    pub(super) fn read_push(&mut self, now: Timestamp, push: &Push, facts: &mut Vec<Fact>) {
        match &push.notice {
            Notice::Message { seq, attempt, message, .. } => {
                let pushed = self.read_delivery(now, &push.to, (*seq, *attempt), message);
                facts.push(Fact::Pushed(pushed));
            }
            Notice::Ephemeral { .. } if !self.is_live(&push.to) => {
                facts.push(Fact::SentAside { to: push.to.clone() });
            }
            Notice::Gap(gap) => self.read_gap(&push.to.agent, Some(*gap), facts),
            Notice::Closed(_) if self.is_live(&push.to) => {
                facts.push(Fact::ClosedAlive { to: push.to.clone() });
            }
            Notice::Ephemeral { .. } | Notice::Closed(_) => {}
        }
    }

    fn read_delivery(
        &mut self,
        now: Timestamp,
        to: &Connection,
        (seq, attempt): (Ordinal, u64),
        message: &Message,
    ) -> Pushed {
        let is_live = self.is_live(to);
        let accepted = self.messages.get(&seq);
        let is_genuine = accepted.is_some_and(|accepted| *accepted.message == *message);
        let is_expired = accepted.is_some_and(|accepted| accepted.is_expired(now));
        let overtakes = self.never_pushed_before(&to.agent, seq, now);
        let messages = &self.messages;
        let mailbox = self.agents.entry(to.agent.clone()).or_default();
        let owed = mailbox.owed.get(&seq).copied();
        let again = owed.is_some_and(|owed| owed.due.is_some());
        let is_first = owed.is_none_or(|owed| !owed.pushed);
        let was_dead = owed.is_some_and(|owed| owed.was_dead);
        let is_early = owed.and_then(|owed| owed.due).is_some_and(|due| now < due);
        let mut is_behind = false;
        let mut flying = Flying { deliveries: 0, bytes: 0, window: None };
        if let Some(live) = mailbox.live.as_mut().filter(|_| is_live) {
            is_behind = !again && seq <= live.sent_through;
            if !again {
                live.sent_through = live.sent_through.max(seq);
            }
            live.working = live.working.filter(|working| *working != seq);
            let (bytes, ack_required) = (message.bytes(), message.ack_required);
            live.flights.push(Flight { seq, attempt, bytes, at: now, again, ack_required });
            // What has expired meanwhile went without a word.
            live.flights.retain(|flight| {
                messages.get(&flight.seq).is_some_and(|accepted| !accepted.is_expired(now))
            });
            flying = Flying {
                deliveries: u64::try_from(live.flights.len()).unwrap_or(u64::MAX),
                bytes: live.flights.iter().map(|flight| flight.bytes).sum(),
                window: live.window,
            };
        }
        if let Some(owed) = mailbox.owed.get_mut(&seq) {
            owed.pushed = true;
            if owed.owing == Owing::Pending {
                // Had it been over, it would not be pushed.
                owed.may_be_over = false;
            }
        }
        Pushed {
            to: to.clone(),
            seq,
            is_live,
            is_genuine,
            owing: owed.map(|owed| owed.owing),
            is_expired,
            is_first,
            overtakes: overtakes.filter(|_| is_first && !was_dead),
            is_behind,
            is_early,
            flying,
        }
    }

    /// The first message before this one that an agent is certainly owed and was never pushed.
    fn never_pushed_before(
        &self,
        agent: &AgentId,
        seq: Ordinal,
        now: Timestamp,
    ) -> Option<Ordinal> {
        let mailbox = self.agents.get(agent)?;
        let earlier = mailbox
            .owed
            .range(..seq)
            .filter(|(_, owed)| owed.owing == Owing::Pending && !owed.pushed && !owed.was_dead);
        let mut certain =
            earlier.filter(|(seq, owed)| !self.may_be_over(mailbox, **seq, owed, now));
        certain.next().map(|(seq, _)| *seq)
    }
}
