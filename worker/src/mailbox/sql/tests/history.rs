//! Histories in a world small enough that everything meets everything.

use mailbus_spec::HostTime;
use proptest::prelude::*;

use super::wish::{Draft, Wish};

pub(super) const NOON: u64 = 1_800_000_000_000;
const YEAR: i64 = 31_557_600_000;
const DAY: i64 = 86_400_000;

/// One event, legal in every state.
#[derive(Clone, Debug)]
pub(super) struct Op {
    /// How the host's clock moves before it, in milliseconds.
    pub clock_ms: i64,
    /// What happens to the object before it.
    pub fate: ObjectFate,
    /// Statement of it that fails the first time it is tried.
    pub failing_statement: Option<u64>,
    /// What happens.
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectFate {
    GoesOn,
    Evicted,
    Crashed,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Alarm,
    /// So many messages from the first agent to this one.
    Burst {
        to: usize,
        count: usize,
    },
    /// The `back`-th last push to the agent is given back until it is given up.
    Kill {
        agent: usize,
        back: usize,
    },
    /// So many sessions of the agent that negotiate nothing, one after the other.
    Crowd {
        agent: usize,
        count: usize,
    },
    /// A command, and over which socket of the agent's: none, its last, one before.
    Command(Wish, usize),
}

/// What the host's clock says at an event before which it moved by `by_ms`, and from then on: a
/// clock that cannot be is a matter of one event.
pub(super) fn moved(host: HostTime, by_ms: i64) -> (HostTime, HostTime) {
    let at = HostTime(host.0.saturating_add_signed(by_ms));
    (at, if at.is_plausible() { at } else { host })
}

/// Frequency of long messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub long: f64,
    pub bursts: u32,
}

fn draft(world: World) -> impl Strategy<Value = Draft> {
    let to = prop_oneof![2 => Just(None), 2 => (0..3usize).prop_map(Some), 1 => Just(Some(3))];
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.05));
    let long = prop::bool::weighted(world.long);
    (0..3usize, to, 0..8usize, 0..3usize, 0..2usize, flags, long).prop_map(
        |(from, to, id, kind, payload, (ack_required, ephemeral), long)| Draft {
            from,
            to,
            id,
            kind,
            payload,
            ack_required,
            ephemeral,
            long: long && !ephemeral,
        },
    )
}

fn wish(world: World) -> impl Strategy<Value = Wish> {
    let types = || prop_oneof![2 => Just(None), 1 => (0..16u8).prop_map(Some)];
    let seen = prop_oneof![8 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(1_u64 << 40))];
    let connect = (0..3usize, 0..3usize, 0..8usize, types(), seen).prop_map(
        |(agent, session, window, types, last_seen)| Wish::Connect {
            agent,
            session,
            window,
            types,
            last_seen,
        },
    );
    let who = || 0..3usize;
    let anybody = || 0..4usize;
    let delay = prop::sample::select(vec![0, 0, 0, 1_000, 10_000, 3_600_000]);
    let after = || prop::option::of(0..6usize);
    let limit = || prop::sample::select(vec![1, 2, 5, 1_000]);
    prop_oneof![
        12 => connect,
        3 => (0..4usize).prop_map(|back| Wish::Disconnect { back }),
        2 => (anybody(), 0..16u8).prop_map(|(agent, types)| Wish::Subscribe { agent, types }),
        2 => (anybody(), 0..16u8).prop_map(|(agent, types)| Wish::Unsubscribe { agent, types }),
        22 => draft(world).prop_map(Wish::Message),
        3 => (0..4usize).prop_map(|back| Wish::Again { back }),
        10 => (anybody(), prop::collection::vec(0..5usize, 0..4), prop::option::of(0..8usize))
            .prop_map(|(agent, pushed, accepted)| Wish::Ack { agent, pushed, accepted }),
        4 => (who(), 0..4usize).prop_map(|(agent, back)| Wish::UpTo { agent, back }),
        3 => (anybody(), 0..4usize).prop_map(|(agent, id)| Wish::AckId { agent, id }),
        3 => (who(), 0..6u64).prop_map(|(agent, through)| Wish::AckGap { agent, through }),
        16 => (who(), 0..4usize, delay)
            .prop_map(|(agent, back, delay_ms)| Wish::Nack { agent, back, delay_ms }),
        5 => (who(), 0..3usize).prop_map(|(agent, back)| Wish::Working { agent, back }),
        3 => (anybody(), after(), limit())
            .prop_map(|(agent, after, limit)| Wish::Inbox { agent, after, limit }),
        1 => (prop::option::of(0..4usize), 0..4usize)
            .prop_map(|(after, limit)| Wish::Agents { after, limit }),
        1 => who().prop_map(|agent| Wish::Heartbeat { agent }),
        3 => (anybody(), after(), limit())
            .prop_map(|(agent, after, limit)| Wish::DeadLetters { agent, after, limit }),
        4 => (anybody(), prop::collection::vec(0..6usize, 0..4))
            .prop_map(|(agent, backs)| Wish::Redrive { agent, backs }),
        2 => anybody().prop_map(|agent| Wish::Forget { agent }),
        1 => (0..2usize, prop::sample::select(vec![0, 1_000, 100_000, 4_000_000]))
            .prop_map(|(back, ahead_ms)| Wish::Recover { back, ahead_ms }),
    ]
}

fn op(world: World) -> impl Strategy<Value = Op> {
    let clock_ms = prop_oneof![
        48 => prop::sample::select(vec![0, 0, 1, 300, 1_000, 5_000]),
        10 => prop::sample::select(vec![60_000, 119_999, 120_000, 185_000, 600_000, 700_000]),
        1 => prop::sample::select(vec![DAY, 6 * DAY, 7 * DAY, 8 * DAY]),
        1 => prop::sample::select(vec![
            -1, -1_000, -59_999, -60_001, -90_000, -4_000_000, YEAR, -YEAR, 200 * YEAR, -200 * YEAR,
        ]),
    ];
    let fate = prop_oneof![
        40 => Just(ObjectFate::GoesOn),
        6 => Just(ObjectFate::Evicted),
        1 => Just(ObjectFate::Crashed),
    ];
    let action = prop_oneof![
        10 => Just(Action::Alarm),
        world.bursts => (0..4usize, prop::sample::select(vec![20, 270]))
            .prop_map(|(to, count)| Action::Burst { to, count }),
        2 => (0..3usize, 0..2usize).prop_map(|(agent, back)| Action::Kill { agent, back }),
        world.bursts => (0..3usize, prop::sample::select(vec![2, 9]))
            .prop_map(|(agent, count)| Action::Crowd { agent, count }),
        90 => (wish(world), prop::sample::select(vec![0, 0, 0, 1, 1, 1, 2]))
            .prop_map(|(wish, over)| Action::Command(wish, over)),
    ];
    let failing = prop::option::weighted(0.1, 1..9u64);
    (clock_ms, fate, failing, action).prop_map(|(clock_ms, fate, failing_statement, action)| Op {
        clock_ms,
        fate,
        failing_statement,
        action,
    })
}

/// Histories of up to `most` events; the shrinker deletes down to none.
pub(super) fn history(world: World, most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(world), 0..=most)
}
