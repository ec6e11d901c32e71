//! One event on the object of a world: executed, checked on both sides, answered and pushed.

use std::sync::Arc;

use mailbus_conformance::mutants;
use mailbus_spec::StateMachine;
use mailbus_spec::invariant::Transition;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, CloseReason, Command, Fate, MailboxMachine, MailboxStep, Notice, Outcome, Rejection,
};

use crate::mailbox::marks::Mark;
use crate::mailbox::past;
use crate::mailbox::scenario::Scenario;
use crate::mailbox::state::State;

pub type Answer = Result<Outcome, Rejection>;

/// One command of a request of its own.
pub fn ask(scenario: &Scenario, state: &mut State, ask: Ask) -> Answer {
    command(scenario, state, Command::alone(ask))
}

/// The next of the world's messages is sent.
pub fn send_next(scenario: &Scenario, state: &mut State) {
    let next = scenario.mail(state.sent).ask();
    state.sent += 1;
    let _ = ask(scenario, state, next);
}

pub fn command(scenario: &Scenario, state: &mut State, command: Command) -> Answer {
    execute(scenario, state, &Event::Command(command)).expect("a command is answered")
}

/// One event, whoever caused it; every invariant of state, step and history is checked on it.
pub fn execute(scenario: &Scenario, state: &mut State, event: &Event<Command>) -> Option<Answer> {
    let host = state.host();
    let before = Arc::clone(&state.object);
    let mut after = MailboxMachine::clone(&before);
    let step = mutants::wake(scenario.mutant).handle(&mut after, host, event);
    let after = Arc::new(after);
    let transition = Transition { before: &*before, host, event, step: &step, after: &*after };
    if let Err((name, why)) = transition.check(scenario.only) {
        state.violate(scenario, name, why);
    }
    past::remember(scenario, state, &transition);
    mark_transition(scenario, &transition);
    state.object = Arc::clone(&after);
    let answer = step.reply.as_ref().map(|reply| reply.answer.clone());
    begin(scenario, state, event, answer.as_ref());
    receive(scenario, state, &step);
    answer
}

/// A session that began belongs to the process that asked for it: the one that is in none and asks as
/// its agent in its session.
fn begin(scenario: &Scenario, state: &mut State, event: &Event<Command>, answer: Option<&Answer>) {
    let (Event::Command(Command { ask: Ask::Connect { .. }, .. }), Some(Ok(outcome))) =
        (event, answer)
    else {
        return;
    };
    let Outcome::Connected { epoch, .. } = outcome else { return };
    let Some(process) = state.past.connecting.take() else { return };
    scenario.mark(Mark::Connected);
    let client = &mut state.clients[usize::from(process)];
    (client.epoch, client.is_gone) = (Some(*epoch), false);
}

/// Pushes reach the processes that are in the sessions, or are under way to them.
fn receive(scenario: &Scenario, state: &mut State, step: &MailboxStep) {
    for push in &step.pushes {
        let client = state.client_in(scenario, &push.to.agent, push.to.epoch);
        match (&push.notice, client) {
            (Notice::Message { seq, .. }, Some(at)) if scenario.slow => {
                state.clients[at].pipe.push(*seq);
            }
            (Notice::Message { seq, .. }, Some(at)) => state.clients[at].take(*seq),
            (Notice::Closed(reason), client) => {
                if let Some(at) = client {
                    state.clients[at].leave();
                    state.clients[at].is_done |= *reason == CloseReason::Replaced;
                    // The platform may tell of a close that the object asked for, too.
                    if scenario.exact {
                        state.clients[at].closing.push(push.to.epoch);
                    }
                }
                scenario.mark(closed(*reason));
            }
            (Notice::Ephemeral { .. }, _) => scenario.mark(Mark::EphemeralSent),
            (Notice::Gap(_), _) => scenario.mark(Mark::GapPushed),
            _ => {}
        }
    }
}

fn closed(reason: CloseReason) -> Mark {
    match reason {
        CloseReason::Replaced => Mark::Replaced,
        CloseReason::TakenOver => Mark::TakenOver,
        CloseReason::Reopen => Mark::Reopened,
        CloseReason::Crowded => Mark::Crowded,
        CloseReason::Disconnected => Mark::Disconnected,
        CloseReason::Forgotten => Mark::Forgotten,
    }
}

fn mark_transition(scenario: &Scenario, transition: &Transition<'_, MailboxMachine>) {
    let (before, after) = (transition.before, transition.after);
    let mark = |condition: bool, mark| {
        if condition {
            scenario.mark(mark);
        }
    };
    if let Ok(seen) = before.clock.observe(transition.host) {
        mark(seen.reanchored, Mark::Reanchored);
        let host_ms = transition.host.0 as i64 + seen.offset;
        mark((seen.now.ms() as i64) > host_ms, Mark::FrozenClock);
    }
    mark(after.log.entries.len() < before.log.entries.len(), Mark::Collected);
    mark(after.log.entries.is_empty() && !before.log.entries.is_empty(), Mark::Drained);
    let superseded = |state: &MailboxMachine| {
        state.agents.values().map(|agent| agent.superseded.len()).sum::<usize>()
    };
    mark(superseded(after) > superseded(before), Mark::BecameSuperseded);
    mark(after.next_alarm().is_some_and(|at| at <= after.clock.floor), Mark::LeftToTheAlarm);
    let gap = |outcome: &Outcome| match outcome {
        Outcome::Connected { gap, .. } | Outcome::Inbox { gap, .. } => gap.is_some(),
        _ => false,
    };
    let Some(reply) = &transition.step.reply else { return };
    let Event::Command(command) = transition.event else { return };
    let reached = match (&command.ask, &reply.answer) {
        (_, Ok(outcome @ (Outcome::Connected { .. } | Outcome::Inbox { .. }))) => {
            mark(gap(outcome), Mark::GapTold);
            let stale = matches!(outcome, Outcome::Connected { resumed: true, .. });
            mark(stale, Mark::Resumed);
            return;
        }
        (_, Ok(Outcome::Accepted { recipients, refused, .. })) => {
            mark(!refused.is_empty(), Mark::RefusedByFullInbox);
            mark(*recipients == 0, Mark::ForNobody);
            Mark::Accepted
        }
        (_, Ok(Outcome::Duplicate { .. })) => Mark::Duplicate,
        (_, Err(Rejection::Conflict)) => Mark::Conflict,
        (_, Err(Rejection::Replaced)) => Mark::StaleFrame,
        (_, Err(Rejection::Ahead { .. })) => Mark::Ahead,
        (_, Err(Rejection::Limit(_))) => Mark::Limit,
        (_, Err(Rejection::UnknownAgent { .. })) => Mark::UnknownAgent,
        (Ask::Ack { .. }, Ok(Outcome::Settled { settled: 0, .. })) => Mark::SettledNothing,
        (_, Ok(Outcome::Returned(Fate::Due { at }))) => {
            if *at > reply.commit.now {
                Mark::NackedForLater
            } else {
                Mark::Nacked
            }
        }
        (_, Ok(Outcome::Returned(Fate::Unknown))) => Mark::NackUnknown,
        (_, Ok(Outcome::Noted { known: true })) => Mark::Announced,
        (_, Ok(Outcome::Redriven { refused, .. })) if *refused > 0 => Mark::RedriveRefused,
        (Ask::Disconnect { connection }, _) if !before.is_live(connection) => Mark::LateClose,
        (_, Ok(Outcome::Recovered)) => Mark::Recovered,
        _ => return,
    };
    scenario.mark(reached);
}
