//! Every rule broken once: the search finds the violation, by name, on a shortest trace. They show
//! that each check can fail, and why each rule is there: spec/rules/refuted.md has the traces in words.

use crate::mistake::Mistake;
use crate::search::{holds, refuted};
use crate::setting::{Budget, Clocks, CountedFrom, Setting, UNLIMITED};
use crate::worlds;

fn named(name: &'static str, setting: Setting) -> Setting {
    Setting { name, ..setting }
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
    holds(named("revived guards", world));
}

#[test]
fn copies_without_end_are_harmless_from_a_client_that_cancels() {
    let mut world = worlds::cancel();
    world.rules.stops_retrying = false;
    world.parts[1].repeats = UNLIMITED;
    world.parts[1].cancels = true;
    world.budget.duplicates = 0;
    holds(named("endless copies", world));
}

// The object's rules.

#[test]
fn a_lease_that_lives_at_its_expiry_is_refuted() {
    refuted(named(
        "> for >=",
        worlds::direct().with_mistake(Mistake::LivesAtExpiry, "ttl_honoured"),
    ));
}

#[test]
fn expiry_by_the_alarm_alone_is_refuted() {
    let world = worlds::queue().with_mistake(Mistake::ExpiresByAlarmOnly, "ttl_honoured");
    refuted(named("expiry by alarm only", world));
}

#[test]
fn barging_is_refuted() {
    refuted(named("barging", worlds::sets().with_mistake(Mistake::Barges, "fifo")));
}

#[test]
fn a_lapsed_lease_left_live_is_refuted() {
    let world = worlds::queue().with_mistake(Mistake::ExpiresByAlarmOnly, "bounded_leases");
    refuted(named("lapsed and live", world));
}

#[test]
fn looking_at_one_path_of_a_set_is_refuted() {
    let world = worlds::sets().with_mistake(Mistake::LooksAtFirstPathOnly, "server_exclusion");
    refuted(named("first path only", world));
}

#[test]
fn a_release_that_hands_nothing_on_is_refuted() {
    let world = worlds::queue().with_mistake(Mistake::ReleaseSparesQueue, "lease_liveness");
    refuted(named("release spares queue", world));
}

#[test]
fn a_clock_that_is_never_reanchored_is_refuted() {
    let world = worlds::patient().with_mistake(Mistake::NeverReanchors, "lease_liveness");
    refuted(named("never re-anchored", world));
}

#[test]
fn a_refusal_that_is_remembered_is_refuted() {
    let world = worlds::direct().with_mistake(Mistake::RemembersRefusals, "no_stale_effect");
    refuted(named("refusals remembered", world));
}

#[test]
fn a_write_that_is_not_said_is_refuted() {
    let world = worlds::direct().with_mistake(Mistake::RenewsSilently, "silent_is_unchanged");
    refuted(named("silent renewal", world));
}

#[test]
fn granting_the_latest_ticket_first_is_refuted() {
    let world = worlds::queue().with_mistake(Mistake::GrantsLatestFirst, "fifo");
    refuted(named("latest ticket first", world));
}

#[test]
fn an_extension_that_loses_the_place_is_refuted() {
    let world = worlds::queue().with_mistake(Mistake::ExtensionLosesPlace, "no_lost_place");
    refuted(named("extension loses place", world));
}

#[test]
fn a_cancel_without_tombstone_is_refuted() {
    let world = worlds::cancel().with_mistake(Mistake::NoTombstone, "no_orphan");
    refuted(named("no tombstone", world));
}

#[test]
fn a_cancel_that_spares_leases_is_refuted() {
    let world = worlds::cancel().with_mistake(Mistake::CancelSparesLeases, "no_orphan");
    refuted(named("cancel spares leases", world));
}

#[test]
fn a_cancel_that_renews_no_memory_is_refuted() {
    let world = worlds::cancel().with_mistake(Mistake::CancelRenewsNoMemory, "no_orphan");
    refuted(named("memory not renewed", world));
}

#[test]
fn forgetting_at_once_is_refuted() {
    let world = worlds::direct().with_mistake(Mistake::NoMemory, "idempotent");
    refuted(named("no memory", world));
}

#[test]
fn believing_the_term_asked_for_is_refuted() {
    let world = worlds::queue().with_mistake(Mistake::AnswersAskedTerm, "belief_exclusion");
    refuted(named("asked term", world));
}

#[test]
fn a_renewal_that_shortens_is_refuted() {
    let world = worlds::stepping().with_mistake(Mistake::RenewShortens, "belief_within_grant");
    refuted(named("renewal shortens", world));
}

#[test]
fn a_reacquisition_that_shortens_is_refuted() {
    let world = worlds::original().with_mistake(Mistake::ReacquireShortens, "belief_within_grant");
    refuted(named("re-acquisition shortens", world));
}

#[test]
fn a_release_by_agent_alone_is_refuted() {
    let world = worlds::direct().with_mistake(Mistake::ReleaseByAgent, "belief_within_grant");
    refuted(named("release by agent", world));
}

#[test]
fn a_drained_lease_that_is_extended_is_refuted() {
    let world = worlds::original().with_mistake(Mistake::DrainIsExtended, "drain_ends");
    refuted(named("drain extended", world));
}

#[test]
fn a_force_release_without_token_is_refuted() {
    let world = worlds::admin().with_mistake(Mistake::ForceIgnoresToken, "ttl_honoured");
    refuted(named("force without token", world));
}

#[test]
fn tokens_from_the_clock_alone_are_refuted() {
    let world = worlds::stepping().with_mistake(Mistake::TokensFromClockAlone, "fencing");
    refuted(named("tokens from the clock", world));
}
