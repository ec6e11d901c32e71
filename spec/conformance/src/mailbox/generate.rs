//! Random mailbox commands from a world so small that mail meets: three agents that connect, one name
//! that never does, four types, three ids each.

use std::collections::BTreeSet;

use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, RngExt};

use super::body::Written;
use super::hints;
use crate::subject::{Generate, Hints, Load, Pace};
use mailbus_spec::id::{AgentId, SessionId};
use mailbus_spec::mailbox::state::{Agent, Logged};
use mailbus_spec::mailbox::{
    Ask, Command, Connection, Delay, Fence, MailboxMachine, Message, MessageId, MessageType,
    Pattern, Patterns, Settled, Window,
};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::HostTime;

/// Those who connect.
const AGENTS: [&str; 3] = ["ann", "bob", "cid"];
/// A name that others use.
const UNKNOWN: &str = "dan";
const SESSIONS: [&str; 3] = ["", "1", "2"];
const TYPES: [&str; 4] = ["a", "b", "b.x", "b.y"];
const PATTERNS: [&str; 5] = ["*", "a", "b.*", "b.x", "c"];
const IDS: [&str; 3] = ["m1", "m2", "m3"];
/// Bodies of up to 300 bytes: one fills the smallest window, two the next.
const WINDOWS: [(u64, u64); 5] = [(1, 1 << 20), (2, 1 << 20), (3, 100), (3, 400), (256, 4 << 20)];
/// About as long as a message may be.
const LONG_BYTES: usize = 1_000_000;
const LONG_DELAYS_MS: [u64; 9] = [0, 0, 0, 0, 0, 1, 1_000, 60_000, 86_400_000];
const SHORT_DELAYS_MS: [u64; 6] = [0, 0, 0, 1, 20, 86_400_000];

impl Generate for MailboxMachine {
    /// Drawn so that most touch something that is there.
    fn generate(&self, random: &mut impl Rng, pace: Pace) -> Command {
        draw(self, random, pace).or_else(|| publish(random)).unwrap_or_else(Self::probe)
    }

    /// Commands that fill an inbox, push budget, window or socket's place, or take a message its chances.
    fn flood(&self, random: &mut impl Rng, load: Load) -> Vec<Command> {
        try_flood(self, random, load).unwrap_or_default()
    }

    fn peers_of_the_small_world() -> Vec<Connection> {
        Vec::new()
    }

    /// Sessions that negotiated nothing can say little; and no session begins over another.
    fn is_sayable(&self, command: &Command) -> bool {
        let Some(over) = &command.over else { return true };
        let agent = self.agents.get(&over.agent);
        let live = agent.and_then(|agent| agent.live.as_ref());
        let is_silent = live.is_some_and(|live| live.epoch == over.epoch && live.window.is_none())
            || agent.is_some_and(|agent| agent.superseded.contains(&over.epoch));
        !matches!(command.ask, Ask::Connect { .. })
            && (!is_silent || hints::is_original(&command.ask))
    }
}

fn try_flood(state: &MailboxMachine, random: &mut impl Rng, load: Load) -> Option<Vec<Command>> {
    let from = name(AGENTS[0])?;
    let to = some_name(random)?;
    let (count, bytes) = match load {
        Load::Some => (20, None),
        Load::Many => (270, None),
        Load::Long => (1, Some(LONG_BYTES)),
        Load::Longs => (70, Some(LONG_BYTES)),
    };
    let asks: Vec<Ask> = match random.random_range(0..4_u32) {
        0 if load == Load::Some => {
            let (agent, seq) = in_flight(state, random)?;
            return death(state, agent, seq);
        }
        1 if load == Load::Some => {
            let (agent, session) = (some_agent(random)?, SessionId::original());
            let connect =
                Ask::Connect { agent, session, window: None, types: None, last_seen: None };
            vec![connect; 9]
        }
        kind => {
            let message = |number: usize| {
                let text = TYPES.get(number % TYPES.len())?;
                let written = Written {
                    from: &from,
                    id: None,
                    kind: MessageType::new(*text).ok()?,
                    ack_required: number.is_multiple_of(3),
                    says_ephemeral: false,
                    payload: None,
                    extra: None,
                };
                let message = written.message(bytes).ok()?;
                Some(if kind == 2 && bytes.is_none() {
                    Ask::Publish { message }
                } else {
                    Ask::Send { to: to.clone(), message, must_know: false }
                })
            };
            (0..count).filter_map(message).collect()
        }
    };
    Some(asks.into_iter().map(Command::alone).collect())
}

/// The end of a session that had announced the message, which its next begins with.
fn death(state: &MailboxMachine, agent: AgentId, seq: Ordinal) -> Option<Vec<Command>> {
    let live = state_of(state, &agent)?.live.as_ref().filter(|live| live.window.is_some())?;
    let connection = Connection { agent: agent.clone(), epoch: live.epoch };
    let connect = Ask::Connect {
        agent: agent.clone(),
        session: live.session.clone(),
        window: live.window,
        types: None,
        last_seen: None,
    };
    Some(vec![
        Command::over(connection.clone(), Ask::Working { agent, seq }),
        Command::alone(Ask::Disconnect { connection }),
        Command::alone(connect),
    ])
}

fn publish(random: &mut impl Rng) -> Option<Command> {
    let message = message(some_agent(random)?, random)?;
    Some(Command::alone(Ask::Publish { message }))
}

fn draw(state: &MailboxMachine, random: &mut impl Rng, pace: Pace) -> Option<Command> {
    let who = some_agent(random)?;
    let ask = match random.random_range(0..1_000_u32) {
        0..=89 => return connect(state, who, random).map(Command::alone),
        90..=119 => return disconnect(state, random).map(Command::alone),
        120..=269 => Ask::Publish { message: message(who, random)? },
        270..=379 => Ask::Send {
            to: some_name(random)?,
            message: message(who, random)?,
            must_know: random.random_bool(0.1),
        },
        380..=419 => repeat(state, random)?,
        420..=599 => {
            let agent = owed_something(state, random).unwrap_or(who);
            Ask::Ack { what: settled(state, &agent, random)?, agent }
        }
        600..=739 => {
            let (agent, seq) = in_flight(state, random)?;
            let fence = some_fence(state, &agent, seq, random);
            Ask::Nack { agent, seq, fence, delay: some_delay(random, pace)? }
        }
        740..=799 => {
            let (agent, seq) = in_flight(state, random)?;
            Ask::Working { agent, seq }
        }
        800..=849 => Ask::Inbox {
            after: some_place(state, random),
            limit: random.random_range(1..=4),
            agent: some_name(random)?,
        },
        850..=879 => Ask::Subscribe { types: patterns(random), agent: some_name(random)? },
        880..=889 => Ask::Unsubscribe { types: patterns(random), agent: who },
        890..=929 => {
            let agent = given_up_on(state, random).unwrap_or(who);
            Ask::Redrive { seqs: dead_letters(state, &agent, random), agent }
        }
        930..=969 => Ask::DeadLetters {
            after: Ordinal::ZERO,
            limit: random.random_range(1..=2),
            agent: given_up_on(state, random).unwrap_or(who),
        },
        970..=979 => {
            let after = some_agent(random).filter(|_| random.random_bool(0.5));
            Ask::Agents { after, limit: 2 }
        }
        980..=989 => Ask::Heartbeat { agent: who },
        990..=995 => {
            let agent = some_name(random)?;
            Ask::Forget { epoch: some_epoch(state, &agent, random), agent }
        }
        _ => recover(state, random, pace)?,
    };
    let over = speaks_over(state, &ask, random);
    Some(Command { over, ask })
}

/// So many of these, or all.
fn few<T: Clone + Default>(
    all: impl Iterator<Item = T>,
    random: &mut impl Rng,
    count: usize,
) -> Vec<T> {
    let mut drawn = vec![T::default(); count];
    let found = all.sample_fill(random, &mut drawn);
    drawn.truncate(found);
    drawn
}

fn name(text: &str) -> Option<AgentId> {
    AgentId::new(text).ok()
}

fn some_agent(random: &mut impl Rng) -> Option<AgentId> {
    AGENTS.choose(random).and_then(|text| name(text))
}

fn some_name(random: &mut impl Rng) -> Option<AgentId> {
    if random.random_bool(0.15) { name(UNKNOWN) } else { some_agent(random) }
}

fn state_of<'a>(state: &'a MailboxMachine, who: &AgentId) -> Option<&'a Agent> {
    state.agents.get(who)
}

/// Mostly the live session of who asks, if it can send that; now and then one that is over.
fn speaks_over(state: &MailboxMachine, ask: &Ask, random: &mut impl Rng) -> Option<Connection> {
    let who = ask.agent()?;
    let agent = state_of(state, who)?;
    let live = agent.live.as_ref().filter(|live| live.window.is_some() || hints::is_original(ask));
    let connection = |epoch| Connection { agent: who.clone(), epoch };
    if let Some(superseded) =
        agent.superseded.first().filter(|_| hints::is_original(ask) && random.random_bool(0.3))
    {
        return Some(connection(*superseded));
    }
    if random.random_bool(0.03) {
        let earlier = Ordinal::new(live?.epoch.get().saturating_sub(1))?;
        return Some(connection(earlier));
    }
    live.filter(|_| random.random_bool(0.7)).map(|live| connection(live.epoch))
}

fn connect(state: &MailboxMachine, agent: AgentId, random: &mut impl Rng) -> Option<Ask> {
    let session = SessionId::new(*SESSIONS.choose(random)?).ok()?;
    let negotiated = random.random_bool(0.75);
    let (messages, bytes) = *WINDOWS.choose(random)?;
    let window = if negotiated { Window::new(messages, bytes) } else { None };
    let types = random.random_bool(0.3).then(|| patterns(random));
    let last_seen = random.random_bool(0.2).then(|| some_place(state, random));
    Some(Ask::Connect { agent, session, window, types, last_seen })
}

/// Mostly the end of a session that has announced something, if there is one.
fn disconnect(state: &MailboxMachine, random: &mut impl Rng) -> Option<Ask> {
    let works = |connection: &Connection| {
        let live = state_of(state, &connection.agent).and_then(|agent| agent.live.as_ref());
        live.is_some_and(|live| live.epoch == connection.epoch && live.working.is_some())
    };
    let (at_work, idle): (Vec<_>, Vec<_>) = hints::sessions(state).into_iter().partition(works);
    let dying = at_work.choose(random).filter(|_| random.random_bool(0.8)).cloned();
    let connection = dying.or_else(|| at_work.into_iter().chain(idle).choose(random))?;
    Some(Ask::Disconnect { connection })
}

fn patterns(random: &mut impl Rng) -> Patterns {
    let count = random.random_range(0..=2);
    let drawn = few(PATTERNS.into_iter(), random, count);
    drawn.into_iter().filter_map(|text| Pattern::new(text).ok()).collect()
}

fn message(from: AgentId, random: &mut impl Rng) -> Option<Message> {
    let ephemeral = random.random_bool(0.08);
    let kind = if random.random_bool(0.02) { "heartbeat" } else { *TYPES.choose(random)? };
    let id = IDS.choose(random).filter(|_| random.random_bool(0.6));
    let payload = ["1", "2"].choose(random).copied().filter(|_| random.random_bool(0.3));
    let written = Written {
        from: &from,
        id: id.and_then(|text| MessageId::new(*text).ok()),
        kind: MessageType::new(kind).ok()?,
        ack_required: random.random_bool(0.3),
        says_ephemeral: ephemeral,
        payload,
        extra: None,
    };
    let bytes = [150, 300].choose(random).copied().filter(|_| random.random_bool(0.4));
    written.message(bytes).ok()
}

/// Message that was accepted lately, again: from the same sender, and mostly the same.
fn repeat(state: &MailboxMachine, random: &mut impl Rng) -> Option<Ask> {
    let named = |logged: &&Logged| logged.message.id.is_some();
    let logged = state.log.entries.values().rev().filter(named).take(4).choose(random)?;
    let message = (*logged.message).clone();
    Some(match &logged.to {
        Some(to) => Ask::Send { to: to.clone(), message, must_know: random.random_bool(0.1) },
        None => Ask::Publish { message },
    })
}

/// A delivery in flight, mostly one of a message that has failed before, if there is any; now and then
/// any place.
fn in_flight(state: &MailboxMachine, random: &mut impl Rng) -> Option<(AgentId, Ordinal)> {
    let of = |(name, agent): (&AgentId, &Agent)| {
        let flights = agent.live.iter().flat_map(|live| live.flights.keys());
        let failures = |seq| agent.inbox.open.get(seq).map_or(0, |open| open.failures);
        flights.map(|seq| (failures(seq), name.clone(), *seq)).collect::<Vec<_>>()
    };
    let mut flights: Vec<(u64, AgentId, Ordinal)> = state.agents.iter().flat_map(of).collect();
    flights.sort_unstable();
    let worst = flights.last().filter(|_| random.random_bool(0.6)).cloned();
    let drawn = worst.or_else(|| flights.choose(random).cloned());
    if random.random_bool(0.07) {
        return Some((some_agent(random)?, some_place(state, random)));
    }
    drawn.map(|(_, name, seq)| (name, seq))
}

/// Mostly the fence of this delivery; now and then none, or that of an earlier push.
fn some_fence(
    state: &MailboxMachine,
    who: &AgentId,
    seq: Ordinal,
    random: &mut impl Rng,
) -> Option<Fence> {
    let fence = state_of(state, who)?.fence(seq).filter(|_| random.random_bool(0.7))?;
    let earlier = u64::from(random.random_bool(0.1));
    Some(Fence { attempt: fence.attempt.saturating_sub(earlier), ..fence })
}

/// The epoch of an agent, an earlier one, or none.
fn some_epoch(state: &MailboxMachine, who: &AgentId, random: &mut impl Rng) -> Option<Ordinal> {
    let latest = state_of(state, who)?.latest();
    match random.random_range(0..3_u32) {
        0 => None,
        1 => Ordinal::new(latest.get().saturating_sub(1)),
        _ => Some(latest),
    }
}

/// Mostly somebody with mail.
fn owed_something(state: &MailboxMachine, random: &mut impl Rng) -> Option<AgentId> {
    let owed = state.agents.iter().filter(|(_, agent)| !agent.inbox.is_empty());
    let drawn = owed.map(|(name, _)| name.clone()).choose(random);
    drawn.filter(|_| random.random_bool(0.8)).or_else(|| some_name(random))
}

/// Somebody with dead letters.
fn given_up_on(state: &MailboxMachine, random: &mut impl Rng) -> Option<AgentId> {
    let failed = state.agents.iter().filter(|(_, agent)| !agent.failed.is_empty());
    failed.map(|(name, _)| name.clone()).choose(random)
}

/// A `seq` that was issued, the first place or, now and then, one that was not issued yet.
fn some_place(state: &MailboxMachine, random: &mut impl Rng) -> Ordinal {
    match random.random_range(0..10_u32) {
        0..=3 => Ordinal::ZERO,
        4..=8 => state.log.entries.keys().copied().choose(random).unwrap_or(state.last_seq),
        _ => Ordinal::new(state.last_seq.get().saturating_add(1)).unwrap_or(state.last_seq),
    }
}

fn settled(state: &MailboxMachine, who: &AgentId, random: &mut impl Rng) -> Option<Settled> {
    let agent = state_of(state, who);
    let has_losses = agent
        .and_then(|agent| agent.registration.as_ref())
        .is_some_and(|known| known.losses.count > 0);
    let kinds = if has_losses || random.random_bool(0.1) { 20_u32 } else { 17 };
    Some(match random.random_range(0..kinds) {
        0..=10 => {
            let count = random.random_range(1..=3);
            let pending = agent.into_iter().flat_map(|agent| agent.inbox.open.keys().copied());
            let mut seqs = few(pending, random, count);
            if seqs.is_empty() || random.random_bool(0.1) {
                seqs.push(some_place(state, random));
            }
            Settled::Seqs(seqs)
        }
        11..=15 => {
            let flights = agent.and_then(|agent| agent.live.as_ref());
            let seq = flights.and_then(|live| live.flights.keys().copied().choose(random));
            Settled::UpTo(seq.unwrap_or_else(|| some_place(state, random)))
        }
        16 => Settled::Id(MessageId::new(*IDS.choose(random)?).ok()?),
        _ => {
            let known = agent.and_then(|agent| agent.registration.as_ref());
            let losses = known.map(|known| known.losses).unwrap_or_default();
            let back = random.random_range(0..=losses.count.saturating_add(1));
            Settled::Gap(losses.through.saturating_add(1).saturating_sub(back))
        }
    })
}

fn dead_letters(state: &MailboxMachine, who: &AgentId, random: &mut impl Rng) -> Vec<Ordinal> {
    let letters = state.dead_letters(who);
    let count = random.random_range(1..=2);
    let mut seqs = few(letters.iter().map(|letter| letter.seq), random, count);
    if seqs.is_empty() || random.random_bool(0.2) {
        seqs.push(some_place(state, random));
    }
    let once: BTreeSet<Ordinal> = seqs.into_iter().collect();
    once.into_iter().collect()
}

fn some_delay(random: &mut impl Rng, pace: Pace) -> Option<Delay> {
    let choices: &[u64] = match pace {
        Pace::Long => &LONG_DELAYS_MS,
        Pace::Short => &SHORT_DELAYS_MS,
    };
    choices.choose(random).copied().and_then(Delay::from_ms)
}

/// A recovery near what was issued: from a minute behind to, under exact time, a minute ahead.
fn recover(state: &MailboxMachine, random: &mut impl Rng, pace: Pace) -> Option<Ask> {
    let last = state.last_seq.anchor_ms();
    let ahead = match pace {
        Pace::Long => 60_000,
        Pace::Short => 0,
    };
    let anchor = random.random_range(last.saturating_sub(60_000)..=last.saturating_add(ahead));
    let at_least = Ordinal::ZERO.next(HostTime(anchor))?;
    HostTime(anchor).is_plausible().then_some(Ask::Recover { at_least })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::{Coverage, check};
    use crate::{ModelSystem, block_on};

    #[test]
    fn the_histories_reach_every_kind_of_answer() {
        let mut reached = Coverage::new();
        for seed in 0..300 {
            let mut model = ModelSystem::<MailboxMachine>::default();
            for (kind, count) in block_on(check(seed, 120, &mut model)).unwrap() {
                *reached.entry(kind).or_default() += count;
            }
        }
        for kind in [
            "connected as new",
            "connected again",
            "disconnected",
            "subscribed to",
            "subscribed to nothing",
            "accepted",
            "duplicate of",
            "sent",
            "settled",
            "returned: due",
            "returned: given up",
            "returned: not in flight",
            "noted",
            "noted: not in flight",
            "inbox through",
            "heard",
            "no dead letters",
            "redriven",
            "forgotten",
            "forgotten: nobody",
            "recovered",
            "refused: the id stands for something else",
            "refused: replaced",
            "refused: nobody is known by that name",
            "refused: ahead of",
            "alarm pending for",
        ] {
            assert!(reached.contains_key(kind), "{kind} is not reached: {reached:#?}");
        }
    }
}
