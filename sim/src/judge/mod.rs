//! The judge: evidence, and what it says of the invariants. It knows nothing of how a simulation is run.
//!
//! | module | what it holds |
//! |---|---|
//! | [`history`] | what was seen from outside: the only evidence, and the [marks](history::marks) that were met |
//! | [`observer`] | what follows from it about leases and about mail, by the object's own words |
//! | [`invariants`] | one property a file, with an example that breaks it |
//! | [`witness`] | marks that show in a history afterwards |

pub mod history;
pub mod invariants;
pub mod observer;
pub mod witness;

use std::collections::BTreeMap;

use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::mailbox::MailboxMachine;
use serde::{Deserialize, Serialize};

use crate::plan::ClockClass;

use history::History;
use invariants::timeline::OfBeliefs;
use invariants::{
    Check, Finally, Invariant, Tally, accept_once, active_is_addressed, belief_exclusion,
    belief_within_grant, bounded_leases, conforms, fencing, fifo, guilty_dead, honest_gap,
    idempotent, lease_liveness, mail_liveness, no_delivery_after_settle, no_innocent_dead, no_loss,
    no_lost_place, no_phantom, no_stale_effect, one_session, order, retention, sender_told,
    server_exclusion, ttl_honoured, window,
};
use observer::lease::LeaseObserver;
use observer::mailbox::MailboxObserver;
use observer::{Observer, Reader, walk};

/// Row of an invariant in the table of an object: its name, and how it begins.
type Row<O> = (&'static str, fn(&History) -> Box<dyn Invariant<O>>);

/// Invariants of leases, in the order of the page of rules.
const OF_LEASES: &[Row<LeaseObserver>] = &[
    (server_exclusion::NAME, |_| Box::new(server_exclusion::ServerExclusion)),
    (belief_exclusion::NAME, |history| Box::new(OfBeliefs::new(history, belief_exclusion::check))),
    (belief_within_grant::NAME, |history| {
        Box::new(OfBeliefs::new(history, belief_within_grant::check))
    }),
    (fencing::NAME, |_| Box::new(fencing::Fencing::default())),
    (ttl_honoured::NAME, |_| Box::new(ttl_honoured::TtlHonoured)),
    (no_stale_effect::NAME, |_| Box::new(no_stale_effect::NoStaleEffect)),
    (fifo::NAME, |_| Box::new(fifo::Fifo)),
    (idempotent::NAME, |_| Box::new(idempotent::Idempotent::default())),
    (no_lost_place::NAME, |_| Box::new(no_lost_place::NoLostPlace::default())),
    (lease_liveness::NAME, |history| Box::new(lease_liveness::LeaseLiveness::new(history))),
    (bounded_leases::NAME, |_| Box::new(Finally(bounded_leases::check))),
    (conforms::NAME, |_| Box::new(Finally(conforms::check::<LeaseMachine>))),
];

/// Invariants of mail, in the order of the page of rules.
const OF_MAIL: &[Row<MailboxObserver>] = &[
    (no_loss::NAME, |_| Box::new(no_loss::NoLoss::default())),
    (no_phantom::NAME, |_| Box::new(no_phantom::NoPhantom::default())),
    (no_delivery_after_settle::NAME, |_| Box::new(no_delivery_after_settle::NoDeliveryAfterSettle)),
    (order::NAME, |_| Box::new(order::Order)),
    (accept_once::NAME, |_| Box::new(accept_once::AcceptOnce)),
    (sender_told::NAME, |_| Box::new(sender_told::SenderTold)),
    (one_session::NAME, |_| Box::new(one_session::OneSession)),
    (window::NAME, |_| Box::new(window::WindowKept)),
    (honest_gap::NAME, |_| Box::new(honest_gap::HonestGap)),
    (active_is_addressed::NAME, |_| Box::new(active_is_addressed::ActiveIsAddressed)),
    (no_innocent_dead::NAME, |_| Box::new(no_innocent_dead::NoInnocentDead)),
    (guilty_dead::NAME, |_| Box::new(guilty_dead::GuiltyDead)),
    (retention::NAME, |_| Box::new(retention::Retention)),
    (mail_liveness::NAME, |history| Box::new(mail_liveness::MailLiveness::new(history))),
    (conforms::MAIL_NAME, |_| Box::new(Finally(conforms::check::<MailboxMachine>))),
];

/// Invariants that are promised only while clocks keep inside the bound.
const INSIDE_THE_BOUND: [&str; 2] = [belief_exclusion::NAME, belief_within_grant::NAME];

/// Violation that an invariant found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Invariant that is meant.
    pub invariant: String,
    /// True microseconds from the start.
    pub at_us: u64,
    /// Evidence that was seen.
    pub why: String,
}

/// Findings of all invariants.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// By name, how often each invariant looked.
    pub checks: BTreeMap<&'static str, u64>,
    /// Violations, the first of each invariant, by time.
    pub violations: Vec<Violation>,
    /// Number of times that `belief_exclusion` was found broken where it is not promised.
    pub broken_outside: u64,
}

/// The names of all invariants, in the order of the pages of [rules](mailbus_spec::rules).
pub fn names() -> impl Iterator<Item = &'static str> {
    OF_LEASES.iter().map(|(name, _)| *name).chain(OF_MAIL.iter().map(|(name, _)| *name))
}

/// True if an invariant compares with a reference model: a bug it finds breaks no promise by itself.
#[must_use]
pub fn compares(name: &str) -> bool {
    name == conforms::NAME || name == conforms::MAIL_NAME
}

/// Holds every invariant against a history.
#[must_use]
pub fn judge(history: &History, class: ClockClass) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.hold(OF_LEASES, history, class);
    judgement.hold(OF_MAIL, history, class);
    judgement.violations.sort_by_key(|violation| violation.at_us);
    judgement
}

impl Judgement {
    fn hold<O: Observer>(&mut self, rows: &[Row<O>], history: &History, class: ClockClass) {
        let mut checks: Vec<_> = rows.iter().map(|(_, begin)| Check::new(begin(history))).collect();
        let mut readers: Vec<&mut dyn Reader<O>> = Vec::new();
        readers.extend(checks.iter_mut().map(|check| check as &mut dyn Reader<O>));
        let observer = walk(history, &mut readers);
        for ((name, _), check) in rows.iter().zip(checks) {
            let tally = check.finish(history, &observer);
            if class == ClockClass::Inside || !INSIDE_THE_BOUND.contains(name) {
                self.add(name, tally);
            } else if *name == belief_exclusion::NAME && tally.broken.is_some() {
                self.broken_outside = 1;
            }
        }
    }

    fn add(&mut self, name: &'static str, tally: Tally) {
        *self.checks.entry(name).or_default() += tally.checks;
        if let Some((at, why)) = tally.broken {
            self.violations.push(Violation { invariant: name.to_owned(), at_us: at.0, why });
        }
    }
}
