//! Planted bugs: realistic mistakes, each made at a seam of the [system under test](crate::sut), which the
//! simulator has to catch. They show that the invariants can fail, and which of them is needed.
//!
//! Each is one file, named after what somebody did: its first line is the mistake, and its `source` the
//! heading of `spec/rules` that says why not. Mistakes of the client replace one of its rules; mistakes of
//! the object are the reference model with its state rearranged around an event, in production's place.
//! Those of mail are in [`mail`], and are looked for in plans without leases, as those of leases in plans
//! without mail.

mod alarm_follows_the_wall_clock_alone;
mod asking_again_extends_nothing;
mod asking_again_goes_to_the_end;
mod barging;
mod belief_from_the_retrys_sending;
mod belief_kept_while_releasing;
mod belief_never_ends;
mod cancel_leaves_no_tombstone;
mod cancel_spares_the_lease;
mod clock_is_never_reanchored;
mod dead_ticket_is_granted;
mod drained_lease_is_extended;
mod early_alarm_is_forgotten;
mod expiry_only_by_alarm;
mod extension_shortens;
mod failed_attempt_did_not_happen;
mod first_path_alone_is_checked;
mod force_frees_the_next_holder;
mod granted_says_the_term_asked_for;
mod grants_from_a_snapshot;
mod hunt;
mod lapsed_lease_is_renewed;
mod mail;
mod memory_sets_no_alarm;
mod monotonic_clock_alone;
mod order_of_a_hash_map;
mod own_lease_is_no_obstacle;
mod rearrange;
mod release_by_agent_name;
mod renewal_from_the_latest_sending;
mod rules;
mod session_is_ignored;
mod short_memory;
mod small_claims_overtake;
mod step_of_the_clock_is_left_out;
mod token_no_smaller_than_the_last;
mod tokens_from_the_clock_alone;
mod wait_behind_a_ticket_is_overlooked;
mod zombie_answers_from_memory;

use mailbus_client::session::lease::CreditRules;

use crate::plan::{Fault, FaultKind, Plan, Profile};
use crate::sut::{MailVariant, Model, ObjectVariant, Sut};

pub use hunt::{Catch, PARTS, SEEDS, catch, hunt};

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name: what somebody did.
    pub name: &'static str,
    /// Heading of `spec/rules` that says the rule, or the trace that refuted a simpler one.
    pub source: &'static str,
    /// The invariant that has to find it.
    pub breaks: &'static str,
    /// Who has it.
    pub sut: Sut,
    /// The plan of a seed in which it is looked for.
    pub plan: fn(u64) -> Plan,
}

/// The plan of a seed, out of the mix of profiles.
fn mixed(seed: u64) -> Plan {
    Plan::with_leases_alone(seed, None)
}

/// The plan of a seed with many faults at once.
fn hostile(seed: u64) -> Plan {
    Plan::with_leases_alone(seed, Some(Profile::Hostile))
}

/// The plan of a seed with every kind of fault and clocks inside the bound: for what costs belief.
fn rough(seed: u64) -> Plan {
    Plan::with_leases_alone(seed, Some(Profile::Rough))
}

/// Every planted bug.
pub static GALLERY: std::sync::LazyLock<Vec<Mutant>> =
    std::sync::LazyLock::new(|| [LEASES, mail::GALLERY, HOST].concat());

/// Those of the host that runs the objects.
const HOST: &[Mutant] = &[alarm_follows_the_wall_clock_alone::MUTANT];

/// Those of leases.
const LEASES: &[Mutant] = &[
    // The client's.
    belief_from_the_retrys_sending::MUTANT,
    failed_attempt_did_not_happen::MUTANT,
    renewal_from_the_latest_sending::MUTANT,
    granted_says_the_term_asked_for::MUTANT,
    step_of_the_clock_is_left_out::MUTANT,
    monotonic_clock_alone::MUTANT,
    belief_never_ends::MUTANT,
    belief_kept_while_releasing::MUTANT,
    // Whose lease it is, and until when.
    session_is_ignored::MUTANT,
    release_by_agent_name::MUTANT,
    lapsed_lease_is_renewed::MUTANT,
    extension_shortens::MUTANT,
    drained_lease_is_extended::MUTANT,
    force_frees_the_next_holder::MUTANT,
    expiry_only_by_alarm::MUTANT,
    tokens_from_the_clock_alone::MUTANT,
    token_no_smaller_than_the_last::MUTANT,
    zombie_answers_from_memory::MUTANT,
    // Sets.
    first_path_alone_is_checked::MUTANT,
    own_lease_is_no_obstacle::MUTANT,
    // The queue.
    grants_from_a_snapshot::MUTANT,
    barging::MUTANT,
    small_claims_overtake::MUTANT,
    asking_again_goes_to_the_end::MUTANT,
    asking_again_extends_nothing::MUTANT,
    dead_ticket_is_granted::MUTANT,
    wait_behind_a_ticket_is_overlooked::MUTANT,
    // What is over.
    short_memory::MUTANT,
    cancel_leaves_no_tombstone::MUTANT,
    cancel_spares_the_lease::MUTANT,
    memory_sets_no_alarm::MUTANT,
    early_alarm_is_forgotten::MUTANT,
    clock_is_never_reanchored::MUTANT,
];

/// What no plan could reproduce: for the check that a plan run twice gives one event log.
pub const CANARY: Mutant = order_of_a_hash_map::MUTANT;

/// The bug with this name, the canary among them.
#[must_use]
pub fn named(name: &str) -> Option<Mutant> {
    GALLERY.iter().chain([&CANARY]).find(|mutant| mutant.name == name).copied()
}

impl Mutant {
    /// The same system under test without the bug.
    #[must_use]
    pub fn without(&self) -> Sut {
        match (self.sut.object, self.sut.mail) {
            (ObjectVariant::Native, MailVariant::Native) => Sut::NATIVE,
            _ => Sut::SPEC,
        }
    }
}

/// The plan of a seed in which links bring no answers for some seconds, are good for a moment, and
/// then silent: what was carried out is answered to a later attempt, and not renewed.
fn answers_lost(seed: u64) -> Plan {
    let mut plan = Plan::with_leases_alone(seed, Some(Profile::Calm));
    for begins_ms in (5_000..plan.heal_at_ms - 20_000).step_by(20_000) {
        for machine in plan.machines.iter().map(|machine| machine.machine) {
            let at_ms = begins_ms + (seed * 811 + begins_ms / 7) % 3_000;
            let cut = FaultKind::CutReplies { machine, for_ms: 4_000 };
            let silence = FaultKind::Partition { machine, for_ms: 10_000 };
            plan.faults.push(Fault { at_ms, kind: cut });
            plan.faults.push(Fault { at_ms: at_ms + 5_000, kind: silence });
        }
    }
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}

/// A mistake of the object, which production's client meets.
const fn planted_object(model: fn() -> Box<dyn Model>) -> Sut {
    Sut { object: ObjectVariant::Model(model), ..Sut::SPEC }
}

/// A mistake of the client, which meets production's object.
const fn planted_client(rules: fn() -> Box<dyn CreditRules + Send>) -> Sut {
    Sut { client: rules, ..Sut::NATIVE }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::invariants;

    #[test]
    fn every_bug_has_a_name_of_its_own_and_an_invariant_that_must_find_it() {
        let names: BTreeSet<&str> = GALLERY.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), GALLERY.len());
        for mutant in GALLERY.iter() {
            assert!(invariants::NAMES.contains(&mutant.breaks), "{}", mutant.name);
            assert!(!invariants::compares(mutant.breaks), "{} breaks a promise", mutant.name);
            assert_eq!(named(mutant.name).map(|mutant| mutant.breaks), Some(mutant.breaks));
        }
    }

    #[test]
    fn every_invariant_has_a_bug_that_it_must_find() {
        let found: BTreeSet<&str> = GALLERY.iter().map(|mutant| mutant.breaks).collect();
        let idle: Vec<&str> = invariants::NAMES
            .into_iter()
            .filter(|name| !invariants::compares(name) && !found.contains(name))
            .collect();
        assert!(idle.is_empty(), "no planted mutant for {idle:?}");
    }
}
