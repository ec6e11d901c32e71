//! Exhaustive search in the small: the lease machine together with clients, network and clocks.
//!
//! Goal: every rule of the lease semantics is needed and enough. In each *world* a few clients —
//! two of them sessions of one agent — ask, wait, renew, release and cancel over a network that
//! loses, delays, reorders and duplicates, while clocks step, clients sleep, admins force and
//! storage is restored, each as often as the world's budget says. All interleavings are searched,
//! breadth first, with stateright.
//!
//! * On every event `spec::lease::invariant::check` holds; at every moment so do the claims that
//!   need more than the object's state: `belief_exclusion`, `belief_within_grant`, and `fencing` and
//!   `idempotent` over the whole history, a guarded resource included. Two names are of this search:
//!   `no_orphan` (what was cancelled never lives again) and `drain_ends` (nothing moves the end of a
//!   draining lease).
//! * Each world lists the marks it must reach: vacuity is a failure.
//! * Each rule is broken once (`refutations`): the search then finds the violation by name, on a
//!   shortest trace. So each check can fail, and each rule is shown to be needed.
//! * Time is unbounded in all worlds but `restored`: states are taken by what can still matter of
//!   them (`view`), which makes the search end in a fixpoint; `view_test` holds that to account.
//! * `deadlock` searches waits without time: a cycle is refused if and only if somebody would wait
//!   for ever. `liveness` asks every state of a world whether those who keep asking are granted.
//!
//! Ticks are chosen in the scale of the constants of `spec::limits`, and `L` is that of
//! `ClockBound` with ρ = 0, q = 0 and ε zero or one tick.
//!
//! `cargo test -p mailbus-spec --test exhaustive -- --nocapture` prints a line for each world and
//! the trace of each refutation. `MAILBUS_EXHAUSTIVE_MORE=1` (or more) adds that much to every
//! budget that is not zero; worlds that then generate more than `search::generated_max()`
//! transitions are cut, and said not to be exhausted.

mod belief_check;
mod client;
mod deadlock;
mod liveness;
mod marks;
mod mistake;
mod model;
mod object;
mod refutations;
mod search;
mod setting;
mod state;
mod view;
mod view_test;
mod worlds;

macro_rules! worlds {
    ($($test:ident: $world:ident),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                search::holds(worlds::$world());
            }
        )*
    };
}

worlds! {
    direct_grants_hold: direct,
    clock_steps_inside_the_bound_hold: stepping,
    the_queue_holds: queue,
    sets_and_cycles_hold: sets,
    cancelled_requests_stay_over: cancel,
    a_reanchored_clock_holds: reanchored,
    who_keeps_asking_is_granted: patient,
    suspension_holds: suspended,
    a_wall_clock_set_back_holds: wall_back,
    force_and_drain_hold: admin,
    the_original_protocol_holds: original,
    restore_and_recovery_hold: restored,
}
