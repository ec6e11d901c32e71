//! Operations of the random runs.

use proptest::prelude::*;

use super::world::AGENTS;

/// One thing that happens. Every operation is legal in every state, so histories shrink by deletion.
#[derive(Clone, Debug)]
pub enum Op {
    Publish { from: usize },
    Send { from: usize, to: usize },
    Finish { agent: usize, nth: usize, done: bool },
    Deliver { nth: usize },
    DeliverAll,
    Lose { nth: usize },
    Repeat { nth: usize },
    Cut { agent: usize },
    Restart { agent: usize },
    Crash,
    Pass { ms: u64 },
    Alarm,
}

pub fn op() -> impl Strategy<Value = Op> {
    let agent = || 0..AGENTS;
    let nth = || 0..8_usize;
    prop_oneof![
        4 => agent().prop_map(|from| Op::Publish { from }),
        3 => (agent(), agent()).prop_map(|(from, to)| Op::Send { from, to }),
        6 => (agent(), nth(), prop::bool::weighted(0.8))
            .prop_map(|(agent, nth, done)| Op::Finish { agent, nth, done }),
        8 => nth().prop_map(|nth| Op::Deliver { nth }),
        5 => Just(Op::DeliverAll),
        2 => nth().prop_map(|nth| Op::Lose { nth }),
        1 => nth().prop_map(|nth| Op::Repeat { nth }),
        1 => agent().prop_map(|agent| Op::Cut { agent }),
        1 => agent().prop_map(|agent| Op::Restart { agent }),
        1 => Just(Op::Crash),
        8 => prop::sample::select(vec![1, 10, 100, 700, 5_000, 12_000, 31_000])
            .prop_map(|ms| Op::Pass { ms }),
        2 => Just(Op::Alarm),
    ]
}
