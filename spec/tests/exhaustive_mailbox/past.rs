//! What the checks know of the past, whatever the object still knows: the claims about histories.

use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::invariant::Transition;
use mailbus_spec::mailbox::{
    Ask, Command, Fate as Verdict, Gap, MailboxMachine, Notice, Outcome, Rejection, Settled,
};
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use crate::marks::Mark;
use crate::setting::Setting;
use crate::state::State;

/// What happened to every message for every agent it was addressed to, and more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// Sorted by agent and `seq`.
    pub fates: Vec<Fate>,
    /// Every place in the order that was given, with the message and when.
    pub accepted: Vec<(Ordinal, u8, Timestamp)>,
    pub agents: Vec<AgentPast>,
    /// The largest `seq` or epoch that was ever issued, in every life of the storage.
    pub largest: Ordinal,
    /// Who asks for a session right now.
    pub connecting: Option<u8>,
}

/// What became of one message for one agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fate {
    pub agent: AgentId,
    pub seq: Ordinal,
    pub mail: u8,
    pub pushed: bool,
    /// When it was last pushed.
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

/// What is known of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgentPast {
    pub agent: AgentId,
    /// What it lost, in order of loss.
    pub lost: Vec<Ordinal>,
    /// How many of its losses it acknowledged.
    pub acknowledged: u64,
    /// The largest number of losses it was told of, and the largest `last`.
    pub told: u64,
    /// The largest epoch a session of it was ever given.
    pub epoch: Ordinal,
    /// The last first push in its present session.
    pub first_through: Ordinal,
    /// What its present session announced.
    pub announced: Option<Ordinal>,
    /// An inbox told it that it knows everything up to here.
    pub complete: Ordinal,
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
        }
    }
}

/// Brings the past up to date with one event, and checks what only the past shows.
pub fn remember(setting: &Setting, state: &mut State, transition: &Transition<'_>) {
    let Some(now) = transition.now() else { return };
    let command = match transition.event {
        Event::Command(command) => Some(command),
        Event::Alarm => None,
    };
    if let (Some(command), Some(reply)) = (command, &transition.step.reply) {
        answered(setting, state, transition, command, &reply.answer, now);
    }
    departures(setting, state, transition, command, now);
    for push in &transition.step.pushes {
        match &push.notice {
            Notice::Message { seq, message, .. } => {
                let mail = setting.mail_of(message);
                pushed(setting, state, &push.to.agent, *seq, mail, now);
            }
            Notice::Gap(gap) => tell(state, &push.to.agent, *gap),
            Notice::Ephemeral { .. } | Notice::Closed(_) => {}
        }
    }
    for (name, agent) in &transition.before.agents {
        if agent.registration.is_some() && !transition.after.agents.contains_key(name) {
            setting.mark(Mark::Forgotten);
            forgotten(state, name);
        }
    }
    gaps_are_honest(setting, state, transition.after);
}

fn tell(state: &mut State, name: &AgentId, gap: Gap) {
    let past = state.past.agent_mut(name);
    past.told = past.told.max(gap.through);
}

fn answered(
    setting: &Setting,
    state: &mut State,
    transition: &Transition<'_>,
    command: &Command,
    answer: &Result<Outcome, Rejection>,
    now: Timestamp,
) {
    match (&command.ask, answer) {
        (Ask::Publish { message } | Ask::Send { message, .. }, Ok(Outcome::Accepted { seq, .. })) => {
            if let Some(mail) = setting.mail_of(message) {
                accepted(setting, state, transition, *seq, mail, now);
            }
        }
        (Ask::Connect { agent, .. }, Ok(Outcome::Connected { epoch, gap, .. })) => {
            let past = state.past.agent_mut(agent);
            let last = std::mem::replace(&mut past.epoch, *epoch);
            (past.first_through, past.announced) = (Ordinal::ZERO, None);
            if *epoch <= last {
                let why = format!("{agent} was given the epoch {epoch} after {last}");
                state.violate(setting, "one_session", why);
            }
            state.past.largest = state.past.largest.max(*epoch);
            gap.iter().for_each(|gap| tell(state, agent, *gap));
        }
        (Ask::Connect { agent, .. } | Ask::Inbox { agent, .. }, Err(Rejection::Ahead { .. })) => {
            state.past.agent_mut(agent).complete = Ordinal::ZERO;
        }
        (Ask::Inbox { agent, .. }, Ok(Outcome::Inbox { complete_through, gap, .. })) => {
            let past = state.past.agent_mut(agent);
            past.complete = past.complete.max(*complete_through);
            gap.iter().for_each(|gap| tell(state, agent, *gap));
        }
        (Ask::Disconnect { connection }, Ok(_)) if transition.before.is_live(connection) => {
            if let Some(seq) = state.past.agent_mut(&connection.agent).announced.take() {
                fail(state, &connection.agent, seq);
                setting.mark(Mark::FailedWhileWorking);
            }
        }
        (Ask::Nack { agent, seq, .. }, Ok(Outcome::Returned(verdict))) => {
            if *verdict != Verdict::Unknown {
                fail(state, agent, *seq);
                unannounce(state, agent, *seq);
                if let Some(fate) = state.past.fate_mut(agent, *seq) {
                    fate.returned = true;
                }
            }
        }
        (Ask::Working { agent, seq }, Ok(Outcome::Noted { known: true })) => {
            state.past.agent_mut(agent).announced = Some(*seq);
        }
        (Ask::Ack { agent, what: Settled::Gap(through) }, Ok(Outcome::Settled { settled, .. })) => {
            let past = state.past.agent_mut(agent);
            if *settled > 0 {
                past.acknowledged = past.acknowledged.max(*through);
            }
        }
        (Ask::Redrive { agent, seqs }, Ok(Outcome::Redriven { .. })) => {
            redriven(setting, state, transition, agent, seqs);
        }
        _ => {}
    }
}

/// The object knows nothing of the agent any more; only its numbers are never used again.
fn forgotten(state: &mut State, name: &AgentId) {
    state.past.fates.retain(|fate| fate.agent != *name);
    let epoch = state.past.agent_mut(name).epoch;
    *state.past.agent_mut(name) = AgentPast { epoch, ..AgentPast::of(name) };
}

fn accepted(
    setting: &Setting,
    state: &mut State,
    transition: &Transition<'_>,
    seq: Ordinal,
    mail: u8,
    now: Timestamp,
) {
    let message = &setting.mail(mail).message;
    let same = |known: &&(Ordinal, u8, Timestamp)| {
        let known = &setting.mail(known.1).message;
        message.id.is_some() && (&known.from, &known.id) == (&message.from, &message.id)
    };
    let before = state.past.accepted.iter().filter(same).map(|known| known.2).max();
    if before.is_some_and(|at| now < at.plus_ms(limits::DEDUP_MS)) {
        let why = format!("{:?} was accepted as {seq} too", message.id);
        state.violate(setting, "accept_once", why);
    }
    if state.past.accepted.iter().any(|(known, ..)| *known >= seq) {
        state.violate(setting, "accept_once", format!("{seq} was given twice, or not in order"));
    }
    let told = state.past.agents.iter().find(|past| seq <= past.complete);
    if let Some(agent) = told.map(|past| past.agent.clone()) {
        let why = format!("{agent} was told that it knows everything up to {seq}");
        state.violate(setting, "no_loss", why);
    }
    state.past.largest = state.past.largest.max(seq);
    state.past.accepted.push((seq, mail, now));
    let logged = transition.after.log.entries.get(&seq);
    for (name, agent) in &transition.after.agents {
        let refused = logged.is_some_and(|logged| logged.refused.contains(name));
        if refused || agent.inbox.open.contains_key(&seq) {
            let fate = Fate {
                agent: name.clone(),
                seq,
                mail,
                pushed: false,
                pushed_at: Timestamp::ZERO,
                returned: false,
                handled: false,
                settled: false,
                was_dead: refused,
                failures: 0,
            };
            let key = (name.clone(), seq);
            let found = state
                .past
                .fates
                .binary_search_by(|each| (&each.agent, each.seq).cmp(&(&key.0, key.1)));
            // A number that is given twice keeps its first fate: what was settled stays so.
            if let Err(at) = found {
                state.past.fates.insert(at, fate);
            }
        }
    }
}

fn fail(state: &mut State, name: &AgentId, seq: Ordinal) {
    if let Some(fate) = state.past.fate_mut(name, seq) {
        fate.failures += 1;
    }
}

fn unannounce(state: &mut State, name: &AgentId, seq: Ordinal) {
    let past = state.past.agent_mut(name);
    past.announced = past.announced.filter(|announced| *announced != seq);
}

fn redriven(
    setting: &Setting,
    state: &mut State,
    transition: &Transition<'_>,
    name: &AgentId,
    seqs: &[Ordinal],
) {
    let is_pending = |state: &MailboxMachine, seq: &Ordinal| {
        state.agents.get(name).is_some_and(|agent| agent.inbox.open.contains_key(seq))
    };
    let is_letter = |state: &MailboxMachine, seq: &Ordinal| {
        state.agents.get(name).is_some_and(|agent| agent.failed.contains_key(seq))
            || state.log.entries.get(seq).is_some_and(|logged| logged.refused.contains(name))
    };
    for seq in seqs {
        if is_pending(transition.before, seq) || is_letter(transition.after, seq) {
            continue;
        }
        if is_pending(transition.after, seq) {
            setting.mark(Mark::Redriven);
            if let Some(fate) = state.past.fate_mut(name, *seq) {
                (fate.failures, fate.returned, fate.was_dead) = (0, true, true);
            }
        } else if is_letter(transition.before, seq) {
            // It came back after its retention, and was lost again at once.
            lose(setting, state, name, *seq);
        }
    }
}

/// What is pending no more: settled by somebody who handled it, presumed so, lost, or gone.
fn departures(
    setting: &Setting,
    state: &mut State,
    transition: &Transition<'_>,
    command: Option<&Command>,
    now: Timestamp,
) {
    for (name, before) in &transition.before.agents {
        let after = transition.after.agents.get(name);
        if command.is_some_and(|command| matches!(&command.ask, Ask::Forget { agent } if agent == name)) {
            continue;
        }
        let acks = command.is_some_and(|command| {
            matches!(&command.ask, Ask::Ack { agent, .. } if agent == name)
        });
        for seq in before.inbox.open.keys() {
            if after.is_some_and(|agent| agent.inbox.open.contains_key(seq)) {
                continue;
            }
            unannounce(state, name, *seq);
            let Some(fate) = state.past.fate_mut(name, *seq) else { continue };
            let message = &setting.mail(fate.mail).message;
            let silent = before.live.as_ref().is_some_and(|live| live.window.is_none());
            // What has just arrived counts: it is there before anything is pushed.
            let arrived = after.into_iter().flat_map(|agent| agent.inbox.open.iter());
            let arrived = arrived.filter(|(seq, _)| !before.inbox.open.contains_key(seq));
            let bytes = arrived.fold(before.inbox.bytes, |sum, (_, open)| sum + open.bytes);
            let is_over = bytes > limits::INBOX_BYTES;
            let is_old = now >= fate.pushed_at.plus_ms(limits::PRESUMED_MS);
            let nacked = command.is_some_and(|command| {
                matches!(&command.ask, Ask::Nack { agent, seq: named, .. } if agent == name && named == seq)
            });
            let presumed = silent
                && fate.pushed
                && !nacked
                && !message.ack_required
                && (is_old || is_over);
            let at = transition.before.log.entries.get(seq).map(|logged| logged.at);
            let expired = at.is_none_or(|at| at.plus_ms(limits::RETENTION_MS) <= now);
            let is_known = after.is_some_and(|agent| agent.registration.is_some());
            if after.is_some_and(|agent| agent.failed.contains_key(seq)) {
                (fate.was_dead, fate.returned) = (true, false);
                let (failures, needed) = (u64::from(fate.failures), limits::MAX_DELIVERIES);
                lose(setting, state, name, *seq);
                setting.mark(Mark::DeadLettered);
                if failures < needed {
                    let why = format!("{seq} of {name} was given up after {failures} failures");
                    state.violate(setting, "no_innocent_dead", why);
                }
            } else if acks && fate.handled {
                fate.settled = true;
                setting.mark(Mark::Settled);
            } else if presumed {
                fate.settled = true;
                setting.mark(if is_old { Mark::Presumed } else { Mark::PresumedForRoom });
            } else if expired {
                // A name that never connected has no gap.
                if is_known {
                    lose(setting, state, name, *seq);
                }
                setting.mark(Mark::Expired);
            } else {
                let how = if acks { "settled, and nobody handled it" } else { "gone" };
                state.violate(setting, "no_loss", format!("{seq} of {name} is {how}"));
            }
        }
    }
}

fn lose(setting: &Setting, state: &mut State, name: &AgentId, seq: Ordinal) {
    let past = state.past.agent_mut(name);
    past.lost.push(seq);
    if past.lost.is_sorted() {
        return;
    }
    setting.mark(Mark::LostOutOfOrder);
}

fn pushed(
    setting: &Setting,
    state: &mut State,
    name: &AgentId,
    seq: Ordinal,
    mail: Option<u8>,
    now: Timestamp,
) {
    unannounce(state, name, seq);
    let later_is_out = state
        .past
        .fates_of(name)
        .any(|other| other.seq > seq && other.pushed && !other.was_dead);
    let through = state.past.agent_mut(name).first_through;
    let Some(fate) = state.past.fate_mut(name, seq) else {
        state.violate(setting, "no_phantom", format!("{seq} was pushed to {name}, whom nobody sent it"));
        return;
    };
    let again = fate.pushed;
    let (overtaken, settled) = (!again && later_is_out && !fate.was_dead, fate.settled);
    let (other_bytes, returned) = (mail != Some(fate.mail), fate.returned);
    (fate.pushed, fate.pushed_at) = (true, now);
    setting.mark(if again { Mark::PushedAgain } else { Mark::Pushed });
    if settled {
        let why = format!("{seq} is settled and was pushed to {name}");
        state.violate(setting, "no_delivery_after_settle", why);
    }
    if other_bytes {
        state.violate(setting, "no_phantom", format!("{seq} was pushed to {name} with other bytes"));
    }
    if overtaken {
        let why = format!("a later message was pushed to {name} before {seq} ever was");
        state.violate(setting, "order", why);
    }
    if !returned {
        state.past.agent_mut(name).first_through = seq;
        if seq <= through {
            let why = format!("{seq} was pushed to {name} after {through}, in one session");
            state.violate(setting, "order", why);
        }
    }
}

/// The gap an agent is told of is that of its losses which it has not acknowledged.
fn gaps_are_honest(setting: &Setting, state: &mut State, object: &MailboxMachine) {
    for past in state.past.agents.clone() {
        let known = object.agents.get(&past.agent).and_then(|agent| agent.registration.as_ref());
        let Some(known) = known else { continue };
        let open: Vec<Ordinal> =
            past.lost.iter().skip(past.acknowledged as usize).copied().collect();
        let gap = known.losses.gap();
        let count = gap.map_or(0, |gap| gap.count);
        let covered = gap.is_none_or(|gap| open.iter().all(|seq| gap.first <= *seq && *seq <= gap.last));
        let never_told = past.acknowledged > past.told;
        if count != open.len() as u64 || !covered || never_told {
            let why = format!("{} lost {open:?}, and its gap is {gap:?}", past.agent);
            state.violate(setting, "honest_gap", why);
        }
    }
}
