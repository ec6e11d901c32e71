//! Watching, after the healing, whether everybody has had their mail.

use std::collections::BTreeSet;

use mailbus_spec::AgentId;

use crate::clock::TrueTime;
use crate::judge::invariants::mail_liveness::open_mail;
use crate::judge::observer::Walker;
use crate::judge::observer::mailbox::MailboxObserver;
use crate::plan::Transport;
use crate::workload::mailbox::name_of;
use crate::world::Context;

/// How long after the healing mail may take at most: a message that fails as often as it may, each time
/// after a handler that took too long, and a clock that stands still before it is re-anchored.
const MAIL_HEALING_MS: u64 = 420_000;
/// Interval at which it is looked whether mail is still open.
const LOOK_MS: u64 = 1_000;

/// Messages by the agents that are to have had them.
pub(super) struct MailWatch {
    /// Agents whose mail has to come through.
    pub listening: BTreeSet<AgentId>,
    /// True if alarms ring after the healing.
    pub alarms_ring: bool,
    walker: Walker<MailboxObserver>,
    looked: TrueTime,
    open: bool,
}

impl MailWatch {
    pub fn new(context: &Context) -> Self {
        let agents = context.plan.agents.iter().filter(|agent| {
            agent.mail.as_ref().is_some_and(|mail| mail.by != Transport::Poll)
                && context.plan.machine_of(agent.agent).is_some()
        });
        Self {
            listening: agents.map(|agent| name_of(agent.agent)).collect(),
            alarms_ring: context.alarms.lost_until.get() <= context.now(),
            walker: Walker::new(&context.history.borrow().mail),
            looked: TrueTime(0),
            open: true,
        }
    }

    /// True if somebody still waits for something, and may wait longer.
    pub fn is_open(&mut self, context: &Context, now: TrueTime) -> bool {
        let latest = context.heals_at().plus_ms(MAIL_HEALING_MS);
        if self.listening.is_empty() || !self.alarms_ring || latest <= now {
            return false;
        }
        if self.open && self.looked.plus_ms(LOOK_MS) <= now {
            self.looked = now;
            self.walker.read(&context.history.borrow().mail, &mut []);
            let observer = &self.walker.observer;
            self.open = self.listening.iter().any(|agent| open_mail(observer, agent).is_some());
        }
        self.open
    }
}
