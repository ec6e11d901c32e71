//! Random histories against the specification's object: what is handed out, what is said to be accepted
//! and what is left once faults stop.

use mailbus_client::session::mailbox::Config;
use mailbus_spec::mailbox::Window;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::operation::{Op, op};
use super::stage::cases;
use super::world::{Mistake, World};

fn run(config: Config, mistake: Mistake, ops: &[Op]) -> Result<(), String> {
    let mut world = World::new(config, mistake);
    for op in ops {
        world.pump();
        world.apply(op);
        world.check()?;
    }
    world.heal()
}

fn config() -> impl Strategy<Value = Config> {
    let window = prop_oneof![Just(Some(Window::DEFAULT)), Just(Window::new(2, 1_000)), Just(None),];
    (window, 1..4_usize).prop_map(|(window, concurrency)| Config {
        window,
        concurrency,
        ..Config::default()
    })
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn once_faults_stop_everything_is_delivered_settled_and_known(
        config in config(),
        ops in prop::collection::vec(op(), 0..200),
    ) {
        if let Err(violation) = run(config, Mistake::None, &ops) {
            prop_assert!(false, "{violation}");
        }
    }
}

/// The violation that random histories find, if somebody makes this mistake.
fn find(mistake: Mistake) -> String {
    let mut runner = TestRunner::deterministic();
    let histories = (config(), prop::collection::vec(op(), 0..200));
    for _ in 0..200 {
        let (config, ops) = histories.new_tree(&mut runner).unwrap().current();
        if let Err(violation) = run(config, mistake, &ops) {
            return violation;
        }
    }
    panic!("{mistake:?} is not found");
}

#[test]
fn a_message_that_nobody_looked_at_is_missed() {
    let found = find(Mistake::DoneUnseen);
    assert!(found.contains("never handled"), "{found}");
}

#[test]
fn a_handler_whose_failure_settles_is_found() {
    let found = find(Mistake::FailedIsDone);
    assert!(found.contains("never handled"), "{found}");
}

#[test]
fn copies_under_other_ids_are_found() {
    let found = find(Mistake::FreshIds);
    assert!(found.contains("accepted before"), "{found}");
}

#[test]
fn a_socket_that_loses_pushes_is_found() {
    let found = find(Mistake::LostPushes);
    assert!(found.contains("pending"), "{found}");
}
