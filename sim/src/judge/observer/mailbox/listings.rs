//! Taking pages and what comes of them in: inboxes, dead letters, losses.

use std::collections::BTreeSet;

use mailbus_spec::mailbox::{DeadLetter, DeadReason, Gap, Pending};
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use crate::judge::observer::mailbox::{Fact, MailboxObserver, Owed, Owing};

impl MailboxObserver {
    pub(super) fn read_inbox(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        (after, through): (Ordinal, Ordinal),
        messages: &[Pending],
        facts: &mut Vec<Fact>,
    ) {
        let listed: BTreeSet<Ordinal> = messages.iter().map(|pending| pending.seq).collect();
        let inside = |seq: &Ordinal| after < *seq && *seq <= through;
        let missing: Vec<Ordinal> = self
            .certainly_owed(agent, now)
            .filter(|seq| inside(seq) && !listed.contains(seq))
            .collect();
        let mailbox = self.agents.entry(agent.clone()).or_default();
        let owing = |seq: &Ordinal| mailbox.owed.get(seq).map(|owed| owed.owing);
        let strange = messages.iter().filter(|pending| {
            let accepted = self.messages.get(&pending.seq);
            owing(&pending.seq) != Some(Owing::Pending)
                || accepted.is_none_or(|accepted| *accepted.message != pending.message)
        });
        let strange: Vec<Ordinal> = strange.map(|pending| pending.seq).collect();
        for (seq, owed) in &mut mailbox.owed {
            if owed.owing != Owing::Pending {
                continue;
            }
            if listed.contains(seq) {
                owed.may_be_over = false;
            } else if inside(seq) {
                owed.owing = Owing::Gone;
            }
        }
        facts.push(Fact::Listed { agent: agent.clone(), missing, strange });
    }

    pub(super) fn read_letters(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        after: Ordinal,
        letters: &[DeadLetter],
        more: bool,
        facts: &mut Vec<Fact>,
    ) {
        let through = if more { letters.last().map(|letter| letter.seq) } else { None };
        let expired: BTreeSet<Ordinal> = self
            .messages
            .iter()
            .filter(|(_, accepted)| accepted.is_expired(now))
            .map(|(seq, _)| *seq)
            .collect();
        let mailbox = self.mailbox(agent);
        for letter in letters {
            let owed = mailbox.owed.get_mut(&letter.seq);
            let (reason, seq) = (letter.reason, letter.seq);
            facts.push(Fact::Letter {
                agent: agent.clone(),
                seq,
                reason,
                owing: owed.as_ref().map(|owed| owed.owing),
                failures: owed.as_ref().map_or(0, |owed| owed.failures),
            });
            if let Some(owed) = owed {
                owed.owing =
                    if reason == DeadReason::Failed { Owing::Dead } else { Owing::Refused };
                owed.was_dead = true;
                owed.died = owed.died.or(Some(letter.at));
            }
        }
        let dead = mailbox.owed.iter().filter(|(seq, owed)| {
            let refused = owed.owing == Owing::Refused && !expired.contains(seq);
            (refused || owed.is_letter(now))
                && after < **seq
                && through.is_none_or(|through| **seq <= through)
        });
        let missing = dead.filter(|(seq, _)| letters.iter().all(|letter| letter.seq != **seq));
        facts.extend(
            missing.map(|(seq, _)| Fact::LetterMissing { agent: agent.clone(), seq: *seq }),
        );
    }

    pub(super) fn read_redrive(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        seqs: &[Ordinal],
        told: u64,
    ) {
        let is_over =
            |seq: &Ordinal| self.messages.get(seq).is_none_or(|accepted| accepted.is_expired(now));
        let named: BTreeSet<Ordinal> = seqs.iter().filter(|seq| !is_over(seq)).copied().collect();
        let mailbox = self.mailbox(agent);
        let mut dead: Vec<&mut Owed> = mailbox
            .owed
            .iter_mut()
            .filter(|(seq, owed)| {
                named.contains(seq) && matches!(owed.owing, Owing::Dead | Owing::Refused)
            })
            .map(|(_, owed)| owed)
            .collect();
        let all = u64::try_from(dead.len()).is_ok_and(|dead| dead == told);
        for owed in dead.iter_mut().filter(|_| told > 0) {
            owed.owing = Owing::Pending;
            owed.failures = 0;
            owed.due = Some(now);
            owed.may_be_over = !all;
        }
    }

    pub(super) fn read_gap(&mut self, agent: &AgentId, told: Option<Gap>, facts: &mut Vec<Fact>) {
        let mailbox = self.mailbox(agent);
        facts.push(Fact::Gap {
            agent: agent.clone(),
            told,
            lost: mailbox.lost,
            acknowledged: mailbox.acknowledged,
        });
        if let Some(gap) = told {
            mailbox.lost = mailbox.lost.max(gap.through);
        }
    }
}
