//! Mutants that count a failure that is none, or lose what has failed.

use mailbus_spec::mailbox::state::Agent;
use mailbus_spec::mailbox::{Ask, Delay, Fate, Outcome, Window};
use mailbus_spec::{Ordinal, StateMachine, limits};

use super::{Mutant, ask_of, asking, flights, live, now, outcome_mut};

/// The end of a session is a failure of everything that was in flight to it.
pub const INNOCENT_NEIGHBOURS_FAIL: Mutant = Mutant::rule(
    "innocent_neighbours_fail",
    "spec/rules/refuted.md#deliveries-that-kill-a-message",
    |state, host, event| {
        let Some(Ask::Disconnect { connection }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let name = connection.agent.clone();
        let in_flight = if state.is_live(connection) { flights(state, &name) } else { [].into() };
        let working = live(state, &name).and_then(|live| live.working);
        let step = state.handle(host, event);
        if let Some(agent) = state.agents.get_mut(&name) {
            for seq in in_flight.into_iter().filter(|seq| Some(*seq) != working) {
                fail(agent, seq);
            }
        }
        step
    },
);

/// A nack gives back whatever is in flight by then, be it what was pushed after it.
pub const NACK_NAMES_NO_PUSH: Mutant = Mutant::rule(
    "nack_names_no_push",
    "spec/rules/refuted.md#a-nack-without-a-fence",
    |state, host, event| match ask_of(event) {
        Some(Ask::Nack { agent, seq, delay, .. }) => {
            let (agent, seq, delay) = (agent.clone(), *seq, *delay);
            state.handle(host, &asking(event, Ask::Nack { agent, seq, fence: None, delay }))
        }
        _ => state.handle(host, event),
    },
);

/// A message that is given back stays away for as long as its client asks, be it not at all.
pub const FAILURES_HAVE_NO_FLOOR: Mutant = Mutant::rule(
    "failures_have_no_floor",
    "spec/rules/refuted.md#five-failures-in-seconds",
    |state, host, event| {
        let mut step = state.handle(host, event);
        let at = now(state, host);
        if let Some(Ask::Nack { agent, seq, delay, .. }) = ask_of(event)
            && let Some(Outcome::Returned(Fate::Due { at: due })) = outcome_mut(&mut step)
            && let Some(agent) = state.agents.get_mut(agent)
            && let Some(open) = agent.inbox.open.get_mut(seq)
        {
            *due = at.plus_ms(delay.ms());
            open.due = Some(*due);
        }
        step
    },
);

/// A message that is given back comes at once where four windows of others wait for their time.
pub const DELAYS_END_WHERE_MANY_WAIT: Mutant = Mutant::rule(
    "delays_end_where_many_wait",
    "spec/rules/refuted.md#delays-that-end-where-many-wait",
    |state, host, event| {
        let now = now(state, host);
        let Some(Ask::Nack { agent: name, seq, fence, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let agent = state.agents.get(name);
        let window = live(state, name).and_then(|live| live.window).unwrap_or(Window::DEFAULT);
        let open = agent.into_iter().flat_map(|agent| agent.inbox.open.values());
        let delayed = open.filter(|open| open.due > Some(now)).count() as u64;
        if delayed < 4 * window.messages() {
            return state.handle(host, event);
        }
        let (agent, seq, fence) = (name.clone(), *seq, *fence);
        let at_once = Ask::Nack { agent, seq, fence, delay: Delay::NONE };
        state.handle(host, &asking(event, at_once))
    },
);

/// A message is given up after five deliveries, failed or not.
pub const ATTEMPTS_KILL_A_MESSAGE: Mutant = Mutant::rule(
    "attempts_kill_a_message",
    "spec/rules/refuted.md#deliveries-that-kill-a-message",
    |state, host, event| {
        if let Some(Ask::Nack { agent, seq, .. }) = ask_of(event)
            && let Some(agent) = state.agents.get_mut(agent)
            && let Some(open) = agent.inbox.open.get_mut(seq)
            && open.attempts + 1 >= limits::MAX_DELIVERIES
        {
            open.failures = limits::MAX_DELIVERIES - 1;
        }
        state.handle(host, event)
    },
);

/// A dead letter that is given a second chance keeps its failures, and dies of the next.
pub const REDRIVE_KEEPS_THE_FAILURES: Mutant = Mutant::rule(
    "redrive_keeps_the_failures",
    "spec/rules/refuted.md#a-redrive-that-keeps-its-failures",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Redrive { agent, seqs }) = ask_of(event) {
            let open =
                state.agents.get_mut(agent).into_iter().flat_map(|a| a.inbox.open.iter_mut());
            for (_, open) in open.filter(|(seq, _)| seqs.contains(seq)) {
                open.failures = limits::MAX_DELIVERIES - 1;
            }
        }
        step
    },
);

/// A run that takes its own session over has failed at what it had announced.
pub const TAKE_OVER_IS_A_FAILURE: Mutant = Mutant::rule(
    "take_over_is_a_failure",
    "spec/rules/mailboxes.md#failures",
    |state, host, event| {
        if let Some(Ask::Connect { agent, session, .. }) = ask_of(event)
            && let Some(live) = live(state, agent)
            && live.session == *session
            && let Some(seq) = live.working
            && let Some(agent) = state.agents.get_mut(agent)
        {
            fail(agent, seq);
        }
        state.handle(host, event)
    },
);

/// A run in the place of another hides what that died of.
pub const REPLACEMENT_IS_NOBODYS_FAILURE: Mutant = Mutant::rule(
    "replacement_is_nobodys_failure",
    "spec/rules/refuted.md#a-death-that-its-successor-hides",
    |state, host, event| {
        if let Some(Ask::Connect { agent, .. }) = ask_of(event)
            && let Some(live) = state.agents.get_mut(agent).and_then(|agent| agent.live.as_mut())
        {
            live.working = None;
        }
        state.handle(host, event)
    },
);

/// A run that connects begins with messages that have never failed.
pub const FAILURES_END_WITH_THE_SESSION: Mutant = Mutant::rule(
    "failures_end_with_the_session",
    "spec/rules/mailboxes.md#failures",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Connect { agent, .. }) = ask_of(event)
            && let Some(agent) = state.agents.get_mut(agent)
        {
            agent.inbox.open.values_mut().for_each(|open| open.failures = 0);
        }
        step
    },
);

/// The end of a session is a failure of the oldest delivery in flight.
pub const END_FAILS_THE_OLDEST: Mutant = Mutant::rule(
    "end_fails_the_oldest",
    "spec/rules/refuted.md#deliveries-that-kill-a-message",
    |state, host, event| {
        if let Some(Ask::Disconnect { connection }) = ask_of(event)
            && state.is_live(connection)
            && let Some(seq) = flights(state, &connection.agent).first().copied()
            && let Some(agent) = state.agents.get_mut(&connection.agent)
        {
            fail(agent, seq);
        }
        state.handle(host, event)
    },
);

/// An announcement outlives its delivery.
pub const ANNOUNCEMENT_OUTLIVES_ITS_DELIVERY: Mutant = Mutant::rule(
    "announcement_outlives_its_delivery",
    "spec/rules/mailboxes.md#failures",
    |state, host, event| {
        let Some(Ask::Nack { agent, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let working = live(state, agent).and_then(|live| live.working);
        let step = state.handle(host, event);
        if let Some(live) = state.agents.get_mut(agent).and_then(|agent| agent.live.as_mut()) {
            live.working = working;
        }
        step
    },
);

/// A delivery that was given back holds its place in the window.
pub const GIVEN_BACK_HOLDS_ITS_PLACE: Mutant = Mutant::rule(
    "given_back_holds_its_place",
    "spec/rules/mailboxes.md#giving-back",
    |state, host, event| {
        let Some(Ask::Nack { agent, seq, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let flight = live(state, agent).and_then(|live| live.flights.get(seq).copied());
        let step = state.handle(host, event);
        if let Some(live) = state.agents.get_mut(agent).and_then(|agent| agent.live.as_mut())
            && let Some(flight) = flight
        {
            live.flights.entry(*seq).or_insert(flight);
        }
        step
    },
);

/// A message that was given back is out for good.
pub const GIVEN_BACK_NEVER_RETURNS: Mutant = Mutant::rule(
    "given_back_never_returns",
    "spec/rules/mailboxes.md#giving-back",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Nack { agent, seq, .. }) = ask_of(event)
            && let Some(agent) = state.agents.get_mut(agent)
            && let Some(open) = agent.inbox.open.get_mut(seq)
        {
            open.due = open.due.map(|due| due.plus_ms(2 * limits::RETENTION_MS));
        }
        step
    },
);

/// Counts a failure of a message; the next one is its last at most.
fn fail(agent: &mut Agent, seq: Ordinal) {
    if let Some(open) = agent.inbox.open.get_mut(&seq) {
        open.failures = (open.failures + 1).min(limits::MAX_DELIVERIES - 1);
    }
}
