//! Ledger of what many agents sent and were delivered, through kills and restarts, held against
//! what mailboxes promise end to end.
//!
//! It knows nothing of the machine: only what clients saw. Subscriptions are fixed before the first
//! message, nobody gives a delivery back and nobody is forgotten, so everything that was accepted is owed
//! to every one of its recipients.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::id::AgentId;
use mailbus_spec::mailbox::{Connection, Message, MessageId, Patterns};
use mailbus_spec::ordinal::Ordinal;

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Types that each agent wants, all the time.
    pub wanted: BTreeMap<AgentId, Patterns>,
    /// Messages that were sent, every attempt apart, in any order.
    pub sent: Vec<Sending>,
    /// Deliveries, in the order in which each agent received them.
    pub delivered: Vec<Delivery>,
    /// Messages that the object confirmed as settled, in any order.
    pub settled: Vec<Settlement>,
}

/// One attempt to send a message. Its id is new with every message, and the same in every attempt.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Message of it.
    pub message: Message,
    /// Agent that it went to; `None` if it was published.
    pub to: Option<AgentId>,
    /// Time at which it began, by an order that all agents share.
    pub started: u64,
    /// Time at which it was answered, and with which place in the order; `None` if the outcome is unknown.
    pub accepted: Option<(u64, Ordinal)>,
}

/// One delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Session that it came over.
    pub to: Connection,
    /// Its name.
    pub seq: Ordinal,
    /// Message that came.
    pub message: Message,
    /// Time of it, by the order that all share.
    pub at: u64,
}

/// The object said that a delivery is settled.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Agent that it concerns.
    pub agent: AgentId,
    /// Place of the message in the workspace's order.
    pub seq: Ordinal,
    /// Time at which the answer was there, by the order that all share.
    pub at: u64,
}

/// Totals of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that were accepted, as their senders know.
    pub accepted: u64,
    /// Messages whose senders know nothing and that were delivered all the same.
    pub unknown_but_delivered: u64,
    /// Messages whose senders know nothing and that nobody received.
    pub unknown_and_absent: u64,
    /// Deliveries, every one.
    pub delivered: u64,
    /// Those of a message that the agent had been delivered before.
    pub again: u64,
}

/// A name of a message: who sent it, under which id.
type Name = (AgentId, Option<MessageId>);

impl Ledger {
    /// True if everything is as it was promised.
    ///
    /// # Errors
    /// The first promise that was broken, for a reader.
    pub fn check(&self) -> Result<Totals, String> {
        let seqs = self.places()?;
        self.nothing_is_invented(&seqs)?;
        self.nothing_is_lost(&seqs)?;
        self.sessions_keep_order()?;
        self.what_is_settled_does_not_come_again()?;
        self.the_order_is_that_of_real_time()?;
        Ok(self.totals(&seqs))
    }

    fn name(message: &Message) -> Name {
        (message.from.clone(), message.id.clone())
    }

    /// The one place of every message that has one: accepted once, under any number of attempts.
    fn places(&self) -> Result<BTreeMap<Name, Ordinal>, String> {
        let mut places: BTreeMap<Name, Ordinal> = BTreeMap::new();
        let mut names: BTreeMap<Ordinal, Name> = BTreeMap::new();
        let told =
            self.sent.iter().filter_map(|sending| Some((&sending.message, sending.accepted?.1)));
        let came = self.delivered.iter().map(|delivery| (&delivery.message, delivery.seq));
        for (message, seq) in told.chain(came) {
            let name = Self::name(message);
            let place = *places.entry(name.clone()).or_insert(seq);
            if place != seq {
                return Err(format!("{name:?} was accepted twice: as {place} and as {seq}"));
            }
            let other = names.entry(seq).or_insert_with(|| name.clone());
            if *other != name {
                return Err(format!("{seq} is {other:?} and {name:?}"));
            }
        }
        Ok(places)
    }

    fn is_addressed(&self, agent: &AgentId, sending: &Sending) -> bool {
        match &sending.to {
            Some(to) => to == agent,
            None => {
                let wanted = self.wanted.get(agent);
                *agent != sending.message.from
                    && wanted.is_some_and(|types| {
                        types.iter().any(|pattern| pattern.matches(&sending.message.kind))
                    })
            }
        }
    }

    fn nothing_is_invented(&self, seqs: &BTreeMap<Name, Ordinal>) -> Result<(), String> {
        let mut sent: BTreeMap<Name, &Sending> = BTreeMap::new();
        for sending in &self.sent {
            sent.insert(Self::name(&sending.message), sending);
        }
        for delivery in &self.delivered {
            let name = Self::name(&delivery.message);
            let sending = sent.get(&name).filter(|_| seqs.contains_key(&name));
            let Some(sending) = sending else {
                return Err(format!("nobody sent {:?}", delivery.message));
            };
            if sending.message != delivery.message {
                let (was, is) = (&sending.message.body, &delivery.message.body);
                return Err(format!("{was} was delivered as {is}"));
            }
            if !self.is_addressed(&delivery.to.agent, sending) {
                return Err(format!("{name:?} was not for {}", delivery.to.agent));
            }
        }
        Ok(())
    }

    /// Completeness: what is accepted, or was delivered to anybody, comes to all it is addressed to.
    fn nothing_is_lost(&self, seqs: &BTreeMap<Name, Ordinal>) -> Result<(), String> {
        let pair = |delivery: &Delivery| (delivery.to.agent.clone(), delivery.seq);
        let came: BTreeSet<(AgentId, Ordinal)> = self.delivered.iter().map(pair).collect();
        for sending in &self.sent {
            let name = Self::name(&sending.message);
            let Some(seq) = seqs.get(&name) else { continue };
            for agent in self.wanted.keys().filter(|agent| self.is_addressed(agent, sending)) {
                if !came.contains(&(agent.clone(), *seq)) {
                    return Err(format!("{name:?}, {seq}, never came to {agent}"));
                }
            }
        }
        Ok(())
    }

    /// A session is delivered a message once, in order; and what an agent is delivered for the first
    /// time comes in order through all its sessions.
    fn sessions_keep_order(&self) -> Result<(), String> {
        let mut last: BTreeMap<&Connection, Ordinal> = BTreeMap::new();
        let mut epochs: BTreeMap<&AgentId, Ordinal> = BTreeMap::new();
        let mut first: BTreeMap<&AgentId, BTreeSet<Ordinal>> = BTreeMap::new();
        for Delivery { to, seq, .. } in &self.delivered {
            let before = last.insert(to, *seq);
            if before.is_some_and(|before| before >= *seq) {
                return Err(format!("the session {to} was delivered {seq} after {before:?}"));
            }
            let epoch = epochs.entry(&to.agent).or_insert(to.epoch);
            if *epoch > to.epoch {
                return Err(format!("{to} was delivered something after the session {epoch}"));
            }
            *epoch = to.epoch;
            let known = first.entry(&to.agent).or_default();
            let latest = known.last().copied();
            if known.insert(*seq) && latest.is_some_and(|latest| latest > *seq) {
                return Err(format!(
                    "{seq} came to {} for the first time after {latest:?}",
                    to.agent
                ));
            }
        }
        Ok(())
    }

    fn what_is_settled_does_not_come_again(&self) -> Result<(), String> {
        let mut settled: BTreeMap<(&AgentId, Ordinal), u64> = BTreeMap::new();
        for Settlement { agent, seq, at } in &self.settled {
            let first = settled.entry((agent, *seq)).or_insert(*at);
            *first = (*first).min(*at);
        }
        for Delivery { to, seq, at, .. } in &self.delivered {
            if settled.get(&(&to.agent, *seq)).is_some_and(|settled| settled < at) {
                return Err(format!("{seq} came to {} after it was settled", to.agent));
            }
        }
        Ok(())
    }

    /// Order of real time: what was accepted before another message was sent has an earlier place.
    fn the_order_is_that_of_real_time(&self) -> Result<(), String> {
        let mut attempts: BTreeMap<Name, u64> = BTreeMap::new();
        for sending in &self.sent {
            let first = attempts.entry(Self::name(&sending.message)).or_insert(sending.started);
            *first = (*first).min(sending.started);
        }
        // By the time of their answers, with the largest place that was told by then.
        let mut told: Vec<(u64, Ordinal)> =
            self.sent.iter().filter_map(|sending| sending.accepted).collect();
        told.sort_unstable();
        let mut largest = Ordinal::ZERO;
        for (_, seq) in &mut told {
            largest = largest.max(*seq);
            *seq = largest;
        }
        for sending in &self.sent {
            let Some((_, seq)) = sending.accepted else { continue };
            let name = Self::name(&sending.message);
            let started = attempts.get(&name).copied().unwrap_or(sending.started);
            let before = told.partition_point(|(ended, _)| *ended < started);
            let earlier = before.checked_sub(1).and_then(|at| told.get(at));
            if let Some((_, earlier)) = earlier.filter(|(_, earlier)| *earlier >= seq) {
                return Err(format!(
                    "{name:?} was sent after {earlier} had been accepted, and is {seq}"
                ));
            }
        }
        Ok(())
    }

    fn totals(&self, seqs: &BTreeMap<Name, Ordinal>) -> Totals {
        let names = |known: bool| -> BTreeSet<Name> {
            let of = self.sent.iter().filter(|sending| sending.accepted.is_some() == known);
            of.map(|sending| Self::name(&sending.message)).collect()
        };
        let (accepted, attempted) = (names(true), names(false));
        let unknown: Vec<&Name> =
            attempted.iter().filter(|name| !accepted.contains(*name)).collect();
        let delivered = unknown.iter().filter(|name| seqs.contains_key(**name)).count() as u64;
        let pair = |delivery: &Delivery| (delivery.to.agent.clone(), delivery.seq);
        let pairs: BTreeSet<(AgentId, Ordinal)> = self.delivered.iter().map(pair).collect();
        Totals {
            accepted: accepted.len() as u64,
            unknown_but_delivered: delivered,
            unknown_and_absent: unknown.len() as u64 - delivered,
            delivered: self.delivered.len() as u64,
            again: (self.delivered.len() - pairs.len()) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::body;
    use mailbus_spec::mailbox::Pattern;

    fn agent(name: &str) -> AgentId {
        AgentId::new(name).unwrap()
    }

    fn ordinal(value: u64) -> Ordinal {
        Ordinal::new(value).unwrap()
    }

    fn message(from: &str, id: &str) -> Message {
        body::parse(&agent(from), "task", &[&format!("id={id}")]).unwrap()
    }

    fn sending(id: &str, started: u64, accepted: Option<(u64, u64)>) -> Sending {
        let accepted = accepted.map(|(ended, seq)| (ended, ordinal(seq)));
        Sending { message: message("ann", id), to: None, started, accepted }
    }

    fn delivery(to: (&str, u64), seq: u64, id: &str, at: u64) -> Delivery {
        let to = Connection { agent: agent(to.0), epoch: ordinal(to.1) };
        Delivery { to, seq: ordinal(seq), message: message("ann", id), at }
    }

    /// Ann publishes three messages to Bob and Cid. The second is sent twice and the third's outcome
    /// stays unknown; Bob's first session ends before it has settled anything.
    fn ledger() -> Ledger {
        let wanted = |name| (agent(name), Patterns::from([Pattern::everything()]));
        Ledger {
            wanted: BTreeMap::from([wanted("ann"), wanted("bob"), wanted("cid")]),
            sent: vec![
                sending("1", 1, Some((2, 10))),
                sending("2", 3, None),
                sending("2", 5, Some((6, 20))),
                sending("3", 7, None),
                sending("4", 7, None),
            ],
            delivered: vec![
                delivery(("bob", 1), 10, "1", 11),
                delivery(("bob", 1), 20, "2", 12),
                delivery(("cid", 1), 10, "1", 11),
                delivery(("cid", 1), 20, "2", 12),
                delivery(("cid", 1), 30, "3", 13),
                delivery(("bob", 2), 10, "1", 14),
                delivery(("bob", 2), 20, "2", 15),
                delivery(("bob", 2), 30, "3", 16),
            ],
            settled: vec![Settlement { agent: agent("cid"), seq: ordinal(10), at: 12 }],
        }
    }

    #[test]
    fn what_was_promised_is_accepted() {
        let totals = ledger().check().unwrap();
        let expected = Totals {
            accepted: 2,
            unknown_but_delivered: 1,
            unknown_and_absent: 1,
            delivered: 8,
            again: 2,
        };
        assert_eq!(totals, expected);
    }

    fn broken(change: impl FnOnce(&mut Ledger)) -> String {
        let mut ledger = ledger();
        change(&mut ledger);
        ledger.check().expect_err("a broken promise must be found")
    }

    #[test]
    fn each_broken_promise_is_found() {
        let lost = broken(|ledger| {
            ledger.delivered.remove(4);
        });
        assert!(lost.contains("never came to cid"), "{lost}");
        let lost = broken(|ledger| ledger.delivered.retain(|one| one.to.agent != agent("bob")));
        assert!(lost.contains("never came to bob"), "{lost}");

        let invented = broken(|ledger| {
            ledger.delivered.push(delivery(("bob", 2), 40, "5", 17));
        });
        assert!(invented.contains("nobody sent"), "{invented}");
        let changed = broken(|ledger| {
            ledger.delivered[0].message.body.push(' ');
        });
        assert!(changed.contains("was delivered as"), "{changed}");
        let astray = broken(|ledger| {
            ledger.delivered.push(delivery(("ann", 1), 10, "1", 17));
        });
        assert!(astray.contains("was not for ann"), "{astray}");

        let twice = broken(|ledger| ledger.delivered.push(delivery(("bob", 2), 30, "3", 17)));
        assert!(twice.contains("the session bob@2 was delivered 30"), "{twice}");
        let disorder = broken(|ledger| ledger.delivered.swap(0, 1));
        assert!(disorder.contains("the session bob@1 was delivered 10"), "{disorder}");
        let disorder = broken(|ledger| {
            ledger.delivered.remove(0);
        });
        assert!(disorder.contains("for the first time after"), "{disorder}");
        let old = broken(|ledger| ledger.delivered[7].to.epoch = ordinal(1));
        assert!(old.contains("after the session 2"), "{old}");

        let settled = broken(|ledger| ledger.settled[0].at = 10);
        assert!(settled.contains("after it was settled"), "{settled}");
        let accepted_twice = broken(|ledger| {
            ledger.sent.push(sending("1", 8, Some((9, 40))));
        });
        assert!(accepted_twice.contains("was accepted twice"), "{accepted_twice}");
        let one_place = broken(|ledger| {
            ledger.sent.push(sending("4", 8, Some((9, 30))));
        });
        assert!(one_place.contains("30 is"), "{one_place}");
        let early = broken(|ledger| {
            // To nobody.
            ledger.wanted.clear();
            ledger.delivered.clear();
            ledger.sent.push(sending("6", 8, Some((9, 15))));
        });
        assert!(early.contains("was sent after 20 had been accepted, and is 15"), "{early}");
    }
}
