//! The invariants, one file each, named as in the design.
//!
//! Each reads the observed history along with the [`ledger`](crate::ledger) and says how often it
//! looked and what it found first. None asks the reference model, but for [`conforms`], which does
//! nothing else.

pub mod belief_exclusion;
pub mod belief_within_grant;
pub mod bounded_leases;
pub mod conforms;
pub mod fencing;
pub mod fifo;
pub mod idempotent;
pub mod lease_liveness;
pub mod no_lost_place;
pub mod no_stale_effect;
pub mod server_exclusion;
mod timeline;
pub mod ttl_honoured;

#[cfg(test)]
pub(crate) mod example;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::TrueTime;
use crate::history::History;
use crate::ledger::{Reader, walk};
use crate::plan::ClockClass;

/// What an invariant found broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which invariant.
    pub invariant: String,
    /// When, in true microseconds from the start.
    pub at_us: u64,
    /// What was seen.
    pub why: String,
}

/// How often an invariant looked, and what it found first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often it looked.
    pub checks: u64,
    /// The first thing that it found broken.
    pub broken: Option<(TrueTime, String)>,
}

impl Tally {
    /// Looks once.
    pub fn expect(&mut self, holds: bool, at: TrueTime, why: impl FnOnce() -> String) {
        self.checks += 1;
        if !holds && self.broken.is_none() {
            self.broken = Some((at, why()));
        }
    }
}

/// What everybody found.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// By name, how often each invariant looked.
    pub checks: BTreeMap<&'static str, u64>,
    /// What is broken, the first of each invariant, by time.
    pub violations: Vec<Violation>,
    /// How often `belief_exclusion` was found broken where it is not promised.
    pub broken_outside: u64,
}

/// The names of all invariants, in the order of the design.
pub const NAMES: [&str; 12] = [
    server_exclusion::NAME,
    belief_exclusion::NAME,
    belief_within_grant::NAME,
    fencing::NAME,
    ttl_honoured::NAME,
    no_stale_effect::NAME,
    fifo::NAME,
    idempotent::NAME,
    no_lost_place::NAME,
    lease_liveness::NAME,
    bounded_leases::NAME,
    conforms::NAME,
];

/// Holds every invariant against a history.
#[must_use]
pub fn judge(history: &History, class: ClockClass) -> Judgement {
    let mut timeline = timeline::Timeline::new(history);
    let mut server_exclusion = server_exclusion::ServerExclusion::default();
    let mut fencing = fencing::Fencing::default();
    let mut ttl_honoured = ttl_honoured::TtlHonoured::default();
    let mut no_stale_effect = no_stale_effect::NoStaleEffect::default();
    let mut fifo = fifo::Fifo::default();
    let mut idempotent = idempotent::Idempotent::default();
    let mut no_lost_place = no_lost_place::NoLostPlace::default();
    let mut liveness = lease_liveness::LeaseLiveness::new(history);
    let readers: &mut [&mut dyn Reader] = &mut [
        &mut timeline,
        &mut server_exclusion,
        &mut fencing,
        &mut ttl_honoured,
        &mut no_stale_effect,
        &mut fifo,
        &mut idempotent,
        &mut no_lost_place,
        &mut liveness,
    ];
    walk(history, readers);
    fencing.check_writes(history);
    let beliefs = belief_exclusion::check(history, &timeline);
    let grants = belief_within_grant::check(history, &timeline);
    let mut judgement = Judgement::default();
    if class == ClockClass::Inside {
        judgement.add(belief_exclusion::NAME, beliefs);
        judgement.add(belief_within_grant::NAME, grants);
    } else if beliefs.broken.is_some() {
        judgement.broken_outside = 1;
    }
    judgement.add(server_exclusion::NAME, server_exclusion.tally);
    judgement.add(fencing::NAME, fencing.tally);
    judgement.add(ttl_honoured::NAME, ttl_honoured.tally);
    judgement.add(no_stale_effect::NAME, no_stale_effect.tally);
    judgement.add(fifo::NAME, fifo.tally);
    judgement.add(idempotent::NAME, idempotent.tally);
    judgement.add(no_lost_place::NAME, no_lost_place.tally);
    judgement.add(lease_liveness::NAME, liveness.finish(history));
    judgement.add(bounded_leases::NAME, bounded_leases::check(history));
    judgement.add(conforms::NAME, conforms::check(history));
    judgement.violations.sort_by_key(|violation| violation.at_us);
    judgement
}

impl Judgement {
    fn add(&mut self, name: &'static str, tally: Tally) {
        *self.checks.entry(name).or_default() += tally.checks;
        if let Some((at, why)) = tally.broken {
            self.violations.push(Violation { invariant: name.to_owned(), at_us: at.0, why });
        }
    }
}
