//! Every rule broken once: the search finds the violation, by name, on a shortest trace. They show
//! that each check can fail, and why each rule is there: spec/rules/refuted.md has the traces in words.

use mailbus_conformance::mutants::lease::{Mutant, ending, grant, memory, queue, waking};

use crate::harness;
use crate::harness::UNLIMITED;
use crate::lease::model::World;
use crate::lease::scenario::{Budget, Clocks, CountedFrom, Scenario};
use crate::lease::worlds;

fn refuted(scenario: Scenario) {
    harness::refuted(World { scenario });
}

fn named(name: &'static str, scenario: Scenario) -> Scenario {
    Scenario { name, ..scenario }
}

// The client's rules.

#[test]
fn belief_from_the_answered_attempt_is_refuted() {
    let world = worlds::direct()
        .with_rules(|rules| rules.grant_counts_from = CountedFrom::Named, "belief_exclusion");
    refuted(named("answered attempt", world));
}

#[test]
fn a_renewal_counted_from_the_latest_attempt_is_refuted() {
    let world = worlds::direct()
        .with_rules(|rules| rules.renewal_counts_from = CountedFrom::Latest, "belief_within_grant");
    refuted(named("latest attempt", world));
}

#[test]
fn believing_until_a_release_is_answered_is_refuted() {
    let world =
        worlds::direct().with_rules(|rules| rules.ends_before_release = false, "belief_exclusion");
    refuted(named("belief past release", world));
}

#[test]
fn believing_more_of_what_drains_is_refuted() {
    let world =
        worlds::admin().with_rules(|rules| rules.drain_is_credited = true, "belief_within_grant");
    refuted(named("drain credited", world));
}

#[test]
fn believing_at_the_last_instant_is_refuted() {
    let world =
        worlds::direct().with_rules(|rules| rules.strictly_below = false, "belief_within_grant");
    refuted(named("elapsed <= L", world));
}

#[test]
fn believing_without_allowance_for_steps_is_refuted() {
    let world =
        worlds::stepping().with_rules(|rules| rules.allows_for_steps = false, "belief_exclusion");
    refuted(named("L without ε", world));
}

#[test]
fn two_forward_steps_are_outside_the_bound() {
    let mut world = worlds::stepping().with_rules(|_| {}, "belief_exclusion");
    world.budget.forward_steps = 2;
    refuted(named("two steps", world));
}

#[test]
fn trusting_the_monotonic_clock_alone_is_refuted() {
    let world = worlds::suspended()
        .with_rules(|rules| rules.clocks = Clocks::MonotonicOnly, "belief_exclusion");
    refuted(named("monotonic only", world));
}

#[test]
fn trusting_the_wall_clock_alone_is_refuted() {
    let world =
        worlds::wall_back().with_rules(|rules| rules.clocks = Clocks::WallOnly, "belief_exclusion");
    refuted(named("wall only", world));
}

#[test]
fn a_suspension_with_the_wall_clock_set_back_is_outside_the_bound() {
    let mut world = worlds::suspended().with_rules(|_| {}, "belief_exclusion");
    world.budget = Budget { suspends: 1, wall_steps: 1, ..Budget::default() };
    world.wall_back_ticks = 3;
    refuted(named("both clocks wrong", world));
}

#[test]
fn clocks_that_disagree_must_not_be_trusted() {
    let mut world =
        worlds::suspended().with_rules(|rules| rules.minds_anomalies = false, "belief_exclusion");
    world.budget = Budget { suspends: 1, wall_steps: 1, ..Budget::default() };
    world.wall_back_ticks = 2;
    refuted(named("anomaly ignored", world));
}

#[test]
fn a_copy_that_travels_longer_than_the_memory_is_refuted() {
    let mut world = worlds::cancel().with_rules(|_| {}, "no_orphan");
    world.travel_ticks = 3;
    refuted(named("copy outlives memory", world));
}

#[test]
fn a_force_release_breaks_belief() {
    let world =
        worlds::admin().with_rules(|rules| rules.forced_is_exempt = false, "belief_exclusion");
    refuted(named("force", world));
}

#[test]
fn opening_a_restored_workspace_at_once_is_refuted() {
    let world =
        worlds::restored().with_rules(|rules| rules.operator_closes = false, "belief_exclusion");
    refuted(named("restore, open", world));
}

#[test]
fn a_restore_without_recovery_breaks_fencing() {
    let world = worlds::restored().with_rules(
        |rules| (rules.operator_closes, rules.operator_recovers) = (false, false),
        "fencing",
    );
    refuted(named("restore, no recovery", world));
}

#[test]
fn a_restore_without_recovery_under_a_clock_behind_breaks_fencing() {
    let mut world =
        worlds::restored().with_rules(|rules| rules.operator_recovers = false, "fencing");
    world.back_ticks = 3;
    refuted(named("restore, clock behind", world));
}

// Rules that safety does not need: without them everything holds. They are there for the caller, and
// for the size of memory.

#[test]
fn a_refused_renewal_or_a_lost_guard_revived_breaks_no_belief() {
    let mut world = worlds::direct();
    (world.rules.refusal_ends, world.rules.lost_stays_lost) = (false, false);
    harness::holds(World { scenario: named("revived guards", world) });
}

#[test]
fn copies_without_end_are_harmless_from_a_client_that_cancels() {
    let mut world = worlds::cancel();
    world.rules.stops_retrying = false;
    world.peers[1].repeats = UNLIMITED;
    world.peers[1].cancels = true;
    world.budget.duplicates = 0;
    harness::holds(World { scenario: named("endless copies", world) });
}

// The object's rules.

refutations! {
    a_lease_that_lives_at_its_expiry_is_refuted:
        "> for >=", ending::LIVES_AT_ITS_EXPIRY, in direct breaks "ttl_honoured";
    expiry_by_the_alarm_alone_is_refuted:
        "expiry by alarm only", ending::EXPIRY_ONLY_BY_ALARM, in queue breaks "ttl_honoured";
    barging_is_refuted:
        "barging", queue::BARGING, in sets breaks "fifo";
    a_lapsed_lease_left_live_is_refuted:
        "lapsed and live", ending::EXPIRY_ONLY_BY_ALARM, in queue breaks "bounded_leases";
    looking_at_one_path_of_a_set_is_refuted:
        "first path only", grant::FIRST_PATH_ALONE_IS_CHECKED, in sets breaks "server_exclusion";
    paths_that_are_compared_by_their_bytes_are_refuted:
        "paths by bytes", grant::PATHS_ARE_COMPARED_BY_BYTES, in sets breaks "server_exclusion";
    a_release_that_hands_nothing_on_is_refuted:
        "release spares queue", queue::RELEASE_HANDS_NOTHING_ON, in queue breaks "lease_liveness";
    a_clock_that_is_never_reanchored_is_refuted:
        "never re-anchored", waking::CLOCK_IS_NEVER_REANCHORED, in patient breaks "lease_liveness";
    a_turn_that_forgets_the_wait_is_refuted:
        "turn without wait", queue::TURN_FORGETS_THE_WAIT, in short breaks "lease_liveness";
    a_refusal_that_is_remembered_is_refuted:
        "refusals remembered", memory::REFUSAL_IS_REMEMBERED, in direct breaks "no_stale_effect";
    a_write_that_is_not_said_is_refuted:
        "silent renewal", ending::RENEWAL_DOES_NOT_SAY_THAT_IT_WROTE, in direct breaks "silent_is_unchanged";
    granting_the_latest_ticket_first_is_refuted:
        "latest ticket first", queue::LATEST_TICKET_FIRST, in queue breaks "fifo";
    an_extension_that_loses_the_place_is_refuted:
        "extension loses place", queue::ASKING_AGAIN_GOES_TO_THE_END, in queue breaks "no_lost_place";
    a_question_in_the_first_third_that_is_forgotten_is_refuted:
        "first third forgotten", queue::QUESTION_IN_THE_FIRST_THIRD_IS_FORGOTTEN, in asking breaks "no_lost_place";
    a_cancel_without_tombstone_is_refuted:
        "no tombstone", memory::CANCEL_LEAVES_NO_TOMBSTONE, in cancel breaks "no_orphan";
    a_cancel_that_spares_leases_is_refuted:
        "cancel spares leases", memory::CANCEL_SPARES_THE_LEASE, in cancel breaks "no_orphan";
    a_cancel_that_renews_no_memory_is_refuted:
        "memory not renewed", memory::CANCEL_RENEWS_NO_MEMORY, in cancel breaks "no_orphan";
    forgetting_at_once_is_refuted:
        "no memory", memory::NO_MEMORY, in direct breaks "idempotent";
    believing_the_term_asked_for_is_refuted:
        "asked term", grant::GRANTED_SAYS_THE_TERM_ASKED_FOR, in queue breaks "belief_exclusion";
    a_renewal_that_shortens_is_refuted:
        "renewal shortens", ending::EXTENSION_SHORTENS, in stepping breaks "belief_within_grant";
    a_reacquisition_that_shortens_is_refuted:
        "re-acquisition shortens", ending::EXTENSION_SHORTENS, in original breaks "belief_within_grant";
    a_release_by_agent_alone_is_refuted:
        "release by agent", ending::RELEASE_BY_AGENT_NAME, in direct breaks "belief_within_grant";
    a_drained_lease_that_is_extended_is_refuted:
        "drain extended", ending::DRAINED_LEASE_IS_EXTENDED, in original breaks "drain_ends";
    a_drain_that_is_told_to_all_is_refuted:
        "drain told to all", ending::DRAIN_IS_TOLD_TO_ALL, in admin breaks "belief_within_grant";
    a_drain_that_says_lost_is_refuted:
        "drain told as lost", ending::DRAIN_IS_TOLD_AS_LOST, in admin breaks "drain_ends";
    a_ticket_forced_in_any_generation_is_refuted:
        "ticket of any generation", ending::TICKET_IS_FORCED_IN_ANY_GENERATION, in admin breaks "no_lost_place";
    a_force_release_without_token_is_refuted:
        "force without token", ending::FORCE_FREES_THE_NEXT_HOLDER, in admin breaks "ttl_honoured";
    tokens_from_the_clock_alone_are_refuted:
        "tokens from the clock", grant::TOKENS_FROM_THE_CLOCK_ALONE, in stepping breaks "fencing";
}
