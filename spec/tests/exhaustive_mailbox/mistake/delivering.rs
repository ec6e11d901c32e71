//! Mistakes about what is pushed, in which order, and how much of it.

use std::collections::BTreeMap;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Open;
use mailbus_spec::mailbox::{Command, MailboxMachine, MailboxStep, Notice, Window};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine, limits};

use super::{Mistake, joined, now, question};

type Hidden = BTreeMap<AgentId, BTreeMap<Ordinal, Open>>;

pub fn handle(
    mistake: Mistake,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> Option<MailboxStep> {
    let step = match mistake {
        Mistake::IgnoresByteWindow => with_windows(object, host, event, |window| {
            Window::new(window.messages(), limits::WINDOW_MAX_BYTES)
        }),
        Mistake::WindowOffByOne => with_windows(object, host, event, |window| {
            Window::new(window.messages() + 1, window.bytes())
        }),
        Mistake::PassesOverTheHead => {
            let step = object.handle(host, event);
            let now = now(object, host);
            let hidden = hide(object, |agent, seq, open| {
                let head = agent.live.as_ref().and_then(|live| {
                    agent.inbox.open.iter().find(|(seq, open)| {
                        !live.flights.contains_key(seq) && open.due.is_none_or(|due| due <= now)
                    })
                });
                head == Some((&seq, open))
            });
            let more = object.handle(host, &question());
            show(object, hidden);
            joined(step, more, object)
        }
        Mistake::PushesDueFirst => {
            let now = now(object, host);
            let hidden = hide(object, |agent, seq, open| {
                let flying =
                    |seq| agent.live.as_ref().is_some_and(|live| live.flights.contains_key(seq));
                let due_waits =
                    agent.inbox.open.iter().any(|(other, open)| {
                        !flying(other) && open.due.is_some_and(|due| due <= now)
                    });
                due_waits && open.due.is_none() && !flying(&seq)
            });
            let step = object.handle(host, event);
            show(object, hidden);
            let more = object.handle(host, &question());
            joined(step, more, object)
        }
        Mistake::NoBites => {
            let mut step = object.handle(host, event);
            while object.next_alarm().is_some_and(|at| at <= object.clock.floor) {
                let more = object.handle(host, &question());
                if more.pushes.is_empty() {
                    break;
                }
                step = joined(step, more, object);
            }
            step
        }
        Mistake::ChangesBytes => {
            let mut step = object.handle(host, event);
            for push in &mut step.pushes {
                if let Notice::Message { attempt: 2.., message, .. } = &mut push.notice {
                    message.body.push(' ');
                }
            }
            step
        }
        _ => return None,
    };
    Some(step)
}

/// Handles the event with other windows for the sessions there are.
fn with_windows(
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
    other: fn(Window) -> Option<Window>,
) -> MailboxStep {
    let mut windows: BTreeMap<AgentId, (Ordinal, Option<Window>)> = BTreeMap::new();
    for (name, agent) in &mut object.agents {
        if let Some(live) = &mut agent.live {
            windows.insert(name.clone(), (live.epoch, live.window));
            live.window = live.window.and_then(other).or(live.window);
        }
    }
    let step = object.handle(host, event);
    for (name, agent) in &mut object.agents {
        if let (Some(live), Some((epoch, window))) = (&mut agent.live, windows.get(name))
            && live.epoch == *epoch
        {
            live.window = *window;
        }
    }
    step
}

/// Takes entries out of the inboxes for a while.
fn hide(
    object: &mut MailboxMachine,
    hides: impl Fn(&mailbus_spec::mailbox::state::Agent, Ordinal, &Open) -> bool,
) -> Hidden {
    let mut hidden = Hidden::new();
    for (name, agent) in &mut object.agents {
        let taken: BTreeMap<Ordinal, Open> = agent
            .inbox
            .open
            .iter()
            .filter(|(seq, open)| hides(agent, **seq, open))
            .map(|(seq, open)| (*seq, *open))
            .collect();
        for (seq, open) in &taken {
            agent.inbox.open.remove(seq);
            agent.inbox.bytes -= open.bytes;
        }
        hidden.insert(name.clone(), taken);
    }
    hidden
}

fn show(object: &mut MailboxMachine, hidden: Hidden) {
    for (name, taken) in hidden {
        let Some(agent) = object.agents.get_mut(&name) else { continue };
        for (seq, open) in taken {
            agent.inbox.bytes += open.bytes;
            agent.inbox.open.insert(seq, open);
        }
    }
}
