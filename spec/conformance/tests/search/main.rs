//! Exhaustive search in the small: each machine together with its clients, a network, clocks and faults.
//!
//! Goal: every rule is needed and enough. In each *world* of `lease` and `mailbox` a few clients do what its
//! budget allows, and all interleavings are searched, breadth first, with stateright.
//!
//! * On every event the invariants of [`mailbus_spec`] hold, and claims that need more than the object's state.
//! * Each world lists the marks it must reach: vacuity is a failure.
//! * Each rule is broken once (`refutations`): the search then finds the violation by name, on a shortest
//!   trace. So each check can fail, and each rule is shown to be needed. Rules of the object are broken by the
//!   mutants of [`mailbus_conformance::mutants`].
//! * States are taken by what can still matter of them (`view`), which makes a search end in a fixpoint;
//!   [`harness::meetings`] holds that to account.
//!
//! `cargo test -p mailbus-conformance --test search -- --nocapture` prints a line for each world and the trace
//! of each refutation. `MAILBUS_EXHAUSTIVE_MORE=1` (or more) adds that much to budgets that are not zero; worlds
//! that then generate more than [`harness::generated_max`] transitions are cut, and said not to be exhausted.

macro_rules! worlds {
    ($($test:ident: $world:ident),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                crate::harness::holds(model::World { scenario: worlds::$world() });
            }
        )*
    };
}

macro_rules! refutations {
    ($($test:ident: $name:literal, $mutant:path, in $world:ident breaks $invariant:literal;)*) => {
        $(
            #[test]
            fn $test() {
                static MUTANT: Mutant = $mutant;
                let scenario = worlds::$world().with_mutant(&MUTANT, $invariant);
                crate::harness::refuted(World { scenario: Scenario { name: $name, ..scenario } });
            }
        )*
    };
}

mod harness;
mod lease;
mod mailbox;
