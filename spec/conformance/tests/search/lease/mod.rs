//! Worlds of the lease machine, with clients, network and clocks.
//!
//! In each world a few clients — two of them sessions of one agent — ask, wait, renew, release and cancel over
//! a network that loses, delays, reorders and duplicates, while clocks step, clients sleep, admins force and
//! storage is restored, each as often as the world's budget says.
//!
//! * On every event `spec::lease::invariant::check` holds; at every moment so do the claims that
//!   need more than the object's state: `belief_exclusion`, `belief_within_grant`, and `fencing` and
//!   `idempotent` over the whole history, a guarded resource included. Two names are of this search:
//!   `no_orphan` (what was cancelled never lives again) and `drain_ends` (nothing moves the end of a
//!   draining lease).
//! * Time is unbounded in all worlds but `restored`.
//! * `deadlock` searches waits without time: a cycle is refused if and only if somebody would wait
//!   for ever. `liveness` asks every state of a world whether those who keep asking are granted.
//!
//! Ticks are chosen in the scale of the constants of `spec::limits`, and `L` is that of
//! `ClockBound` with ρ = 0, q = 0 and ε zero or one tick.

mod belief_check;
mod client;
mod deadlock;
mod liveness;
mod marks;
mod model;
mod object;
mod refutations;
mod scenario;
mod state;
mod view;
mod worlds;

worlds! {
    direct_grants_hold: direct,
    clock_steps_inside_the_bound_hold: stepping,
    the_queue_holds: queue,
    sets_and_cycles_hold: sets,
    cancelled_requests_stay_over: cancel,
    a_reanchored_clock_holds: reanchored,
    who_keeps_asking_is_granted: patient,
    a_question_that_counts_holds: asking,
    who_asks_for_less_than_a_question_learns_of_it: short,
    suspension_holds: suspended,
    a_wall_clock_set_back_holds: wall_back,
    force_and_drain_hold: admin,
    the_original_protocol_holds: original,
    restore_and_recovery_hold: restored,
}

#[test]
fn states_of_one_view_have_successors_of_the_same_views() {
    let worlds = worlds::all().into_iter().map(|scenario| model::World { scenario });
    let all: usize = worlds.map(|world| crate::harness::meetings(&world, 300, 40)).sum();
    assert!(all > 1_000, "the walks met only {all} times");
}
