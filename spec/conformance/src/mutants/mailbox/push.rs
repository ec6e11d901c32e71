//! Mutants that push another message than is next, more than fits, or something else.

use std::collections::BTreeMap;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::{Agent, Open};
use mailbus_spec::mailbox::{Command, MailboxMachine, MailboxStep, Notice, Window};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine, limits};

use super::{Mutant, joined, now, question};

/// Pushes of an event leave in the order of a set that has none: here, the latest first.
pub const PUSHES_IN_NO_ORDER: Mutant = Mutant::rule(
    "pushes_in_no_order",
    "spec/rules/mailboxes.md#the-order-of-pushes",
    |state, host, event| {
        let mut step = state.handle(host, event);
        step.pushes.reverse();
        step
    },
);

/// A window counts messages, and whatever bytes they have.
pub const WINDOW_COUNTS_MESSAGES_ALONE: Mutant = Mutant::rule(
    "window_counts_messages_alone",
    "spec/rules/refuted.md#a-window-without-bytes",
    |state, host, event| {
        with_windows(state, host, event, |window| {
            Window::new(window.messages(), limits::WINDOW_MAX_BYTES)
        })
    },
);

/// Each session gets one more than its window.
pub const WINDOW_OFF_BY_ONE: Mutant =
    Mutant::rule("window_off_by_one", "spec/rules/mailboxes.md#windows", |state, host, event| {
        with_windows(state, host, event, |window| {
            Window::new(window.messages() + 1, window.bytes())
        })
    });

/// Messages that do not fit a byte window are passed over.
pub const HEAD_IS_PASSED_OVER: Mutant = Mutant::rule(
    "head_is_passed_over",
    "spec/rules/mailboxes.md#the-order-of-pushes",
    |state, host, event| {
        let step = state.handle(host, event);
        let now = now(state, host);
        let hidden = hide(state, |agent, seq, _| {
            let Some(live) = &agent.live else { return false };
            let mut waiting = agent.inbox.open.iter().filter(|(seq, open)| {
                !live.flights.contains_key(seq) && open.due.is_none_or(|due| due <= now)
            });
            waiting.next().is_some_and(|(head, _)| *head == seq)
        });
        let more = state.handle(host, &question());
        show(state, hidden);
        joined(step, more, state)
    },
);

/// Redeliveries that are due are pushed before what was never pushed.
pub const DUE_FIRST: Mutant = Mutant::rule(
    "due_first",
    "spec/rules/mailboxes.md#the-order-of-pushes",
    |state, host, event| {
        let now = now(state, host);
        let hidden = hide(state, |agent, seq, open| {
            let is_flying =
                |seq| agent.live.as_ref().is_some_and(|live| live.flights.contains_key(seq));
            let is_due = |open: &Open| open.due.is_some_and(|due| due <= now);
            let one_is_due =
                agent.inbox.open.iter().any(|(other, open)| !is_flying(other) && is_due(open));
            one_is_due && open.due.is_none() && !is_flying(&seq)
        });
        let step = state.handle(host, event);
        show(state, hidden);
        let more = state.handle(host, &question());
        joined(step, more, state)
    },
);

/// A session is pushed nothing new while four of its windows wait for their time, few as they may be.
pub const FEW_DELAYS_STOP_THE_NEW: Mutant = Mutant::rule(
    "few_delays_stop_the_new",
    "spec/rules/mailboxes.md#giving-back",
    |state, host, event| {
        let now = now(state, host);
        let mut step = state.handle(host, event);
        step.pushes.retain(|push| {
            let Notice::Message { seq, .. } = push.notice else { return true };
            let Some(Agent { inbox, live: Some(live), .. }) = state.agents.get_mut(&push.to.agent)
            else {
                return true;
            };
            let waits = |(seq, open): &(&Ordinal, &Open)| {
                open.due > Some(now) && !live.flights.contains_key(seq)
            };
            let waiting = inbox.open.iter().filter(waits).count() as u64;
            let is_new = inbox.open.get(&seq).is_some_and(|open| open.due.is_none());
            let window = live.window.unwrap_or(Window::DEFAULT);
            let stopped = is_new && waiting >= 4 * window.messages();
            if stopped {
                live.flights.remove(&seq);
            }
            !stopped
        });
        step
    },
);

/// One event pushes all there is.
pub const NO_PUSH_BUDGET: Mutant = Mutant::rule(
    "no_push_budget",
    "spec/rules/mailboxes.md#the-order-of-pushes",
    |state, host, event| {
        let mut step = state.handle(host, event);
        while state.next_alarm().is_some_and(|at| at <= state.clock.floor) {
            let more = state.handle(host, &question());
            if more.pushes.is_empty() {
                break;
            }
            step = joined(step, more, state);
        }
        step
    },
);

/// A message that is pushed again has another body.
pub const BYTES_CHANGE_ON_THE_WAY: Mutant = Mutant::rule(
    "bytes_change_on_the_way",
    "spec/rules/mailboxes.md#bytes",
    |state, host, event| {
        let mut step = state.handle(host, event);
        for push in &mut step.pushes {
            if let Notice::Message { attempt: 2.., message, .. } = &mut push.notice {
                message.body.push(' ');
            }
        }
        step
    },
);

/// Handles the event with other windows for the sessions there are.
fn with_windows(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
    other: fn(Window) -> Option<Window>,
) -> MailboxStep {
    let mut windows: BTreeMap<AgentId, (Ordinal, Option<Window>)> = BTreeMap::new();
    for (name, agent) in &mut state.agents {
        if let Some(live) = &mut agent.live {
            windows.insert(name.clone(), (live.epoch, live.window));
            live.window = live.window.and_then(other).or(live.window);
        }
    }
    let step = state.handle(host, event);
    for (name, agent) in &mut state.agents {
        if let (Some(live), Some((epoch, window))) = (&mut agent.live, windows.get(name))
            && live.epoch == *epoch
        {
            live.window = *window;
        }
    }
    step
}

type Hidden = BTreeMap<AgentId, BTreeMap<Ordinal, Open>>;

/// Takes entries out of the inboxes for a while.
fn hide(state: &mut MailboxMachine, hides: impl Fn(&Agent, Ordinal, &Open) -> bool) -> Hidden {
    let mut hidden = Hidden::new();
    for (name, agent) in &mut state.agents {
        let open = agent.inbox.open.iter();
        let taken = open.filter(|(seq, open)| hides(agent, **seq, open));
        let taken: BTreeMap<Ordinal, Open> = taken.map(|(seq, open)| (*seq, *open)).collect();
        for (seq, open) in &taken {
            agent.inbox.open.remove(seq);
            agent.inbox.bytes -= open.bytes;
        }
        hidden.insert(name.clone(), taken);
    }
    hidden
}

fn show(state: &mut MailboxMachine, hidden: Hidden) {
    for (name, taken) in hidden {
        let Some(agent) = state.agents.get_mut(&name) else { continue };
        agent.inbox.bytes += taken.values().map(|open| open.bytes).sum::<u64>();
        agent.inbox.open.extend(taken);
    }
}
