//! Many holders that queue for overlapping sets: who waits for whom, who is next, and which waits
//! are refused because they would never end.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Acquire, Command, Outcome, Rejection, ReleaseTarget};
use mailbus_spec::machine::Event;
use mailbus_spec::{
    AgentId, Holder, HostTime, LeasePath, Ordinal, PathSet, RequestId, SessionId, Ttl, Wait,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::pair::pair;
use crate::sql::tests::NOON;

/// One command of a crowd in which nothing ends by itself.
#[derive(Clone, Debug)]
enum Op {
    /// A new request.
    Ask { holder: usize, paths: u16 },
    /// The `n`-th last lease is given back.
    Release { back: usize },
    /// The `n`-th last request is ended.
    Cancel { back: usize },
}

fn holder(number: usize) -> Holder {
    let agent = AgentId::new(format!("agent{number}")).unwrap();
    Holder { agent, session: SessionId::new("s").unwrap() }
}

fn request(number: usize) -> RequestId {
    RequestId::new(format!("r{number}")).unwrap()
}

fn set(bits: u16) -> PathSet {
    let chosen = (0..10).filter(|bit| bits & (1 << bit) != 0);
    let paths = chosen.map(|bit| LeasePath::new(&format!("p{bit}")).unwrap()).collect();
    PathSet::new(paths).unwrap()
}

fn crowd() -> impl Strategy<Value = Vec<Op>> {
    let sets: Vec<u16> = (1..1024).filter(|bits: &u16| bits.count_ones() <= 2).collect();
    let op = prop_oneof![
        12 => (0..7usize, prop::sample::select(sets))
            .prop_map(|(holder, paths)| Op::Ask { holder, paths }),
        2 => (0..4usize).prop_map(|back| Op::Release { back }),
        1 => (0..6usize).prop_map(|back| Op::Cancel { back }),
    ];
    prop::collection::vec(op, 0..=80)
}

/// Runs a crowd and says how long the cycles were that it was refused for.
fn run(crowd: &[Op]) -> Vec<u64> {
    let mut pair = pair();
    let (mut asked, mut leases): (Vec<Holder>, Vec<(Ordinal, Holder)>) = (Vec::new(), Vec::new());
    let mut cycles = Vec::new();
    for (number, op) in crowd.iter().enumerate() {
        let command = match op {
            Op::Ask { holder: who, paths } => {
                let (ttl, wait) = (Ttl::from_ms(3_600_000), Wait::from_ms(600_000));
                let name = Some(request(asked.len()));
                asked.push(holder(*who));
                let paths = set(*paths);
                let ask = Acquire::new(holder(*who), name, paths, ttl.unwrap(), wait);
                Command::Acquire(ask.unwrap())
            }
            Op::Release { back } => match leases.len().checked_sub(1 + back) {
                Some(at) => {
                    let (token, holder) = leases.remove(at);
                    Command::Release { holder, target: ReleaseTarget::Token(token) }
                }
                None => continue,
            },
            Op::Cancel { back } => match asked.len().checked_sub(1 + back) {
                Some(at) => Command::Cancel { holder: asked[at].clone(), request: request(at) },
                None => continue,
            },
        };
        let host = HostTime(NOON + u64::try_from(number).unwrap());
        let step = pair.event(host, &Event::Command(command));
        pair.check_memory();
        match step.reply.unwrap().answer {
            Ok(Outcome::Granted { token, .. }) => {
                leases.push((token, asked.last().unwrap().clone()));
            }
            Err(Rejection::Deadlock { length, .. }) => cycles.push(length),
            _ => {}
        }
        for push in step.pushes {
            if let Notice::Granted { token, .. } = push.notice {
                leases.push((token, push.to));
            }
        }
    }
    cycles
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_crowd_is_served_as_the_model_serves_it(crowd in crowd()) {
        run(&crowd);
    }
}

#[test]
fn the_crowds_meet_cycles_of_many_lengths() {
    let mut runner = TestRunner::deterministic();
    let mut lengths = std::collections::BTreeSet::new();
    for _ in 0..300 {
        lengths.extend(run(&crowd().new_tree(&mut runner).unwrap().current()));
    }
    assert!((2..=4).all(|length| lengths.contains(&length)), "{lengths:?}");
}
