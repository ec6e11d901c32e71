//! Fates of the messages: pushed, settled, presumed so, lost.

use mailbus_spec::invariant::Transition;
use mailbus_spec::limits;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, Outcome};
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use crate::mailbox::marks::Mark;
use crate::mailbox::scenario::Scenario;
use crate::mailbox::state::State;

/// Messages pending no more: settled by somebody who handled them, presumed so, lost, or gone.
pub fn departures(
    scenario: &Scenario,
    state: &mut State,
    transition: &Transition<'_, MailboxMachine>,
    command: Option<&Command>,
    now: Timestamp,
) {
    for (name, before) in &transition.before.agents {
        let after = transition.after.agents.get(name);
        if forgets(transition, command, name) {
            continue;
        }
        let acks = command
            .is_some_and(|command| matches!(&command.ask, Ask::Ack { agent, .. } if agent == name));
        for seq in before.failed.keys() {
            let stays = after.is_some_and(|agent| agent.failed.contains_key(seq));
            if let Some(fate) = state.past.fate_mut(name, *seq).filter(|_| acks && !stays) {
                fate.settled = true;
                scenario.mark(Mark::Dismissed);
            }
        }
        for seq in before.inbox.open.keys() {
            if after.is_some_and(|agent| agent.inbox.open.contains_key(seq)) {
                continue;
            }
            state.past.unannounce(name, *seq);
            let Some(fate) = state.past.fate_mut(name, *seq) else { continue };
            let message = &scenario.mail(fate.mail).message;
            let silent = before.live.as_ref().is_some_and(|live| live.window.is_none());
            // What has just arrived counts: it is there before anything is pushed.
            let arrived = after.into_iter().flat_map(|agent| agent.inbox.open.iter());
            let arrived = arrived.filter(|(seq, _)| !before.inbox.open.contains_key(seq));
            let arrived = arrived.filter(|(seq, _)| !before.failed.contains_key(seq));
            let (_, filled) = before.filled();
            let bytes = arrived.fold(filled, |sum, (_, open)| sum + open.bytes);
            let is_over = bytes > limits::INBOX_BYTES;
            let is_old = now >= fate.pushed_at.plus_ms(limits::PRESUMED_MS);
            let nacked = command.is_some_and(|command| {
                matches!(&command.ask, Ask::Nack { agent, seq: named, .. } if agent == name && named == seq)
            });
            let presumed =
                silent && fate.pushed && !nacked && !message.ack_required && (is_old || is_over);
            let at = transition.before.log.entries.get(seq).map(|logged| logged.at);
            let expired = at.is_none_or(|at| at.plus_ms(limits::RETENTION_MS) <= now);
            let is_known = after.is_some_and(|agent| agent.registration.is_some());
            if after.is_some_and(|agent| agent.failed.contains_key(seq)) {
                (fate.was_dead, fate.returned) = (true, false);
                let (failures, needed) = (u64::from(fate.failures), limits::MAX_DELIVERIES);
                lose(scenario, state, name, *seq);
                scenario.mark(Mark::DeadLettered);
                if failures < needed {
                    let why = format!("{seq} of {name} was given up after {failures} failures");
                    state.violate(scenario, "no_innocent_dead", why);
                }
            } else if acks && fate.handled {
                fate.settled = true;
                scenario.mark(Mark::Settled);
            } else if presumed {
                fate.settled = true;
                scenario.mark(if is_old { Mark::Presumed } else { Mark::PresumedForRoom });
            } else if expired {
                // A name that never connected has no gap.
                if is_known {
                    lose(scenario, state, name, *seq);
                }
                scenario.mark(Mark::Expired);
            } else {
                let how = if acks { "settled, and nobody handled it" } else { "gone" };
                state.violate(scenario, "no_loss", format!("{seq} of {name} is {how}"));
            }
        }
    }
}

/// True if an admin has the agent forgotten, and is told so.
pub fn forgets(
    transition: &Transition<'_, MailboxMachine>,
    command: Option<&Command>,
    name: &AgentId,
) -> bool {
    let answer = transition.step.reply.as_ref().map(|reply| &reply.answer);
    let is_told = matches!(answer, Some(Ok(Outcome::Forgotten { known: true })));
    let ask = command.map(|command| &command.ask);
    is_told && matches!(ask, Some(Ask::Forget { agent, .. }) if agent == name)
}

pub fn lose(scenario: &Scenario, state: &mut State, name: &AgentId, seq: Ordinal) {
    let past = state.past.agent_mut(name);
    past.lost.push(seq);
    if past.lost.is_sorted() {
        return;
    }
    scenario.mark(Mark::LostOutOfOrder);
}

pub fn pushed(
    scenario: &Scenario,
    state: &mut State,
    name: &AgentId,
    seq: Ordinal,
    mail: Option<u8>,
    now: Timestamp,
) {
    state.past.unannounce(name, seq);
    let later_is_out =
        state.past.fates_of(name).any(|other| other.seq > seq && other.pushed && !other.was_dead);
    let through = state.past.agent_mut(name).first_through;
    let Some(fate) = state.past.fate_mut(name, seq) else {
        state.violate(
            scenario,
            "no_phantom",
            format!("{seq} was pushed to {name}, whom nobody sent it"),
        );
        return;
    };
    let again = fate.pushed;
    let (overtaken, settled) = (!again && later_is_out && !fate.was_dead, fate.settled);
    let (other_bytes, returned) = (mail != Some(fate.mail), fate.returned);
    (fate.pushed, fate.pushed_at) = (true, now);
    scenario.mark(if again { Mark::PushedAgain } else { Mark::Pushed });
    if settled {
        let why = format!("{seq} is settled and was pushed to {name}");
        state.violate(scenario, "no_delivery_after_settle", why);
    }
    if other_bytes {
        state.violate(
            scenario,
            "no_phantom",
            format!("{seq} was pushed to {name} with other bytes"),
        );
    }
    if overtaken {
        let why = format!("a later message was pushed to {name} before {seq} ever was");
        state.violate(scenario, "order", why);
    }
    if !returned {
        state.past.agent_mut(name).first_through = seq;
        if seq <= through {
            let why = format!("{seq} was pushed to {name} after {through}, in one session");
            state.violate(scenario, "order", why);
        }
    }
}

/// The gap an agent is told of is that of its losses which it has not acknowledged.
pub fn gaps_are_honest(scenario: &Scenario, state: &mut State, object: &MailboxMachine) {
    for past in state.past.agents.clone() {
        let known = object.agents.get(&past.agent).and_then(|agent| agent.registration.as_ref());
        let Some(known) = known else { continue };
        let open: Vec<Ordinal> =
            past.lost.iter().skip(past.acknowledged as usize).copied().collect();
        let gap = known.losses.gap();
        let count = gap.map_or(0, |gap| gap.count);
        let covered =
            gap.is_none_or(|gap| open.iter().all(|seq| gap.first <= *seq && *seq <= gap.last));
        let never_told = past.acknowledged > past.told;
        if count != open.len() as u64 || !covered || never_told {
            let why = format!("{} lost {open:?}, and its gap is {gap:?}", past.agent);
            state.violate(scenario, "honest_gap", why);
        }
    }
}
