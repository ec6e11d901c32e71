//! The past is brought up to date with each event, and what only it shows is checked: the claims about
//! histories.

use mailbus_spec::invariant::Transition;
use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, Fate as Verdict, Gap, MailboxMachine, Notice, Outcome, Rejection, Settled,
};
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use super::fates::{departures, forgets, gaps_are_honest, pushed};
use super::{AgentPast, Fate};
use crate::mailbox::marks::Mark;
use crate::mailbox::scenario::Scenario;
use crate::mailbox::state::State;

/// Brings the past up to date with one event, and checks what only the past shows.
pub fn remember(
    scenario: &Scenario,
    state: &mut State,
    transition: &Transition<'_, MailboxMachine>,
) {
    let Some(now) = transition.now() else { return };
    let command = match transition.event {
        Event::Command(command) => Some(command),
        Event::Alarm => None,
    };
    if let (Some(command), Some(reply)) = (command, &transition.step.reply) {
        answered(scenario, state, transition, command, &reply.answer, now);
    }
    departures(scenario, state, transition, command, now);
    guilty_are_dead(scenario, state, transition.after);
    actives_are_addressed(scenario, state, transition, command, now);
    for push in &transition.step.pushes {
        match &push.notice {
            Notice::Message { seq, message, .. } => {
                let mail = scenario.mail_of(message);
                pushed(scenario, state, &push.to.agent, *seq, mail, now);
            }
            Notice::Gap(gap) => tell(state, &push.to.agent, *gap),
            Notice::Ephemeral { .. } | Notice::Closed(_) => {}
        }
    }
    for (name, agent) in &transition.before.agents {
        if agent.registration.is_some() && !transition.after.agents.contains_key(name) {
            scenario.mark(Mark::Forgotten);
            forgotten(state, name);
        }
    }
    gaps_are_honest(scenario, state, transition.after);
}

/// A message that has failed as often as it may is pending no more.
fn guilty_are_dead(scenario: &Scenario, state: &mut State, object: &MailboxMachine) {
    let is_pending = |fate: &&Fate| {
        let agent = object.agents.get(&fate.agent);
        agent.is_some_and(|agent| agent.inbox.open.contains_key(&fate.seq))
    };
    let guilty =
        state.past.fates.iter().filter(|fate| u64::from(fate.failures) >= limits::MAX_DELIVERIES);
    if let Some(fate) = guilty.clone().find(is_pending) {
        let why = format!("{} of {} has failed {} times", fate.seq, fate.agent, fate.failures);
        state.violate(scenario, "guilty_dead", why);
    }
}

/// Agents that did anything within the retention are known; what was published is then for those that are
/// subscribed.
fn actives_are_addressed(
    scenario: &Scenario,
    state: &mut State,
    transition: &Transition<'_, MailboxMachine>,
    command: Option<&Command>,
    now: Timestamp,
) {
    for (name, _) in
        transition.before.agents.iter().filter(|(_, agent)| agent.registration.is_some())
    {
        let admins = forgets(transition, command, name);
        let seen_at = state.past.agent(name).map_or(Timestamp::ZERO, |past| past.seen_at);
        let active = now < seen_at.plus_ms(limits::RETENTION_MS);
        if active && !admins && !transition.after.is_known(name) {
            let why = format!("{name} is forgotten, and was there at {seen_at}");
            state.violate(scenario, "active_is_addressed", why);
        }
    }
    let answer = transition.step.reply.as_ref().map(|reply| &reply.answer);
    if let (true, Some(command), Some(Ok(_))) = (scenario.turns.sight, command, answer)
        && !matches!(&command.ask, Ask::Disconnect { connection } if !transition.before.is_live(connection))
        && let Some(name) = command.agent()
    {
        state.past.agent_mut(name).seen_at = now;
    }
}

fn tell(state: &mut State, name: &AgentId, gap: Gap) {
    let past = state.past.agent_mut(name);
    past.told = past.told.max(gap.through);
}

fn answered(
    scenario: &Scenario,
    state: &mut State,
    transition: &Transition<'_, MailboxMachine>,
    command: &Command,
    answer: &Result<Outcome, Rejection>,
    now: Timestamp,
) {
    match (&command.ask, answer) {
        (
            Ask::Publish { message } | Ask::Send { message, .. },
            Ok(Outcome::Accepted { seq, .. }),
        ) => {
            if let Some(mail) = scenario.mail_of(message) {
                accepted(scenario, state, transition, *seq, mail, now);
            }
        }
        (Ask::Connect { agent, session, .. }, Ok(Outcome::Connected { epoch, gap, .. })) => {
            let before = transition.before.agents.get(agent).and_then(|agent| agent.live.as_ref());
            let of_another_run =
                before.is_some_and(|live| live.window.is_some() && live.session != *session);
            if let Some(seq) = state.past.agent_mut(agent).announced.filter(|_| of_another_run) {
                state.past.fail(agent, seq);
                scenario.mark(Mark::FailedByReplacement);
            }
            let past = state.past.agent_mut(agent);
            let last = std::mem::replace(&mut past.epoch, *epoch);
            (past.first_through, past.announced) = (Ordinal::ZERO, None);
            if *epoch <= last {
                let why = format!("{agent} was given the epoch {epoch} after {last}");
                state.violate(scenario, "one_session", why);
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
                state.past.fail(&connection.agent, seq);
                scenario.mark(Mark::FailedWhileWorking);
            }
        }
        (Ask::Nack { agent, seq, .. }, Ok(Outcome::Returned(verdict)))
            if *verdict != Verdict::Unknown =>
        {
            state.past.fail(agent, *seq);
            state.past.unannounce(agent, *seq);
            if let Some(fate) = state.past.fate_mut(agent, *seq) {
                fate.returned = true;
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
            redriven(scenario, state, transition, agent, seqs);
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
    scenario: &Scenario,
    state: &mut State,
    transition: &Transition<'_, MailboxMachine>,
    seq: Ordinal,
    mail: u8,
    now: Timestamp,
) {
    let message = &scenario.mail(mail).message;
    let same = |known: &&(Ordinal, u8, Timestamp)| {
        let known = &scenario.mail(known.1).message;
        message.id.is_some() && (&known.from, &known.id) == (&message.from, &message.id)
    };
    let before = state.past.accepted.iter().filter(same).map(|known| known.2).max();
    if before.is_some_and(|at| now < at.plus_ms(limits::DEDUP_MS)) {
        let why = format!("{:?} was accepted as {seq} too", message.id);
        state.violate(scenario, "accept_once", why);
    }
    if state.past.accepted.iter().any(|(known, ..)| *known >= seq) {
        state.violate(scenario, "accept_once", format!("{seq} was given twice, or not in order"));
    }
    let told = state.past.agents.iter().find(|past| seq <= past.complete);
    if let Some(agent) = told.map(|past| past.agent.clone()) {
        let why = format!("{agent} was told that it knows everything up to {seq}");
        state.violate(scenario, "no_loss", why);
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

fn redriven(
    scenario: &Scenario,
    state: &mut State,
    transition: &Transition<'_, MailboxMachine>,
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
            scenario.mark(Mark::Redriven);
            if let Some(fate) = state.past.fate_mut(name, *seq) {
                (fate.failures, fate.returned, fate.was_dead) = (0, true, true);
            }
        }
    }
}
