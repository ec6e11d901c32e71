//! The invariants, one file each, named as on the pages of [rules](mailbus_spec::rules).
//!
//! Each reads the history along with the observer of [leases](crate::observer::lease) or of
//! [mailboxes](crate::observer::mailbox), and says how often it looked and what it found first. None asks
//! a reference model, but for [`conforms`] and [`mail_conforms`], which do nothing else.

pub mod accept_once;
pub mod belief_exclusion;
pub mod belief_within_grant;
pub mod bounded_leases;
pub mod conforms;
pub mod fencing;
pub mod fifo;
pub mod honest_gap;
pub mod idempotent;
pub mod lease_liveness;
pub mod mail_conforms;
pub mod mail_liveness;
pub mod no_delivery_after_settle;
pub mod no_innocent_dead;
pub mod no_loss;
pub mod no_lost_place;
pub mod no_phantom;
pub mod no_stale_effect;
pub mod one_session;
pub mod order;
pub mod retention;
pub mod server_exclusion;
mod timeline;
pub mod ttl_honoured;
mod waits;
pub mod window;

#[cfg(test)]
pub(crate) mod example;
#[cfg(test)]
pub(crate) mod mail_example;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::TrueTime;
use crate::history::{History, restore_points};
use crate::observer::lease::{Reader, walk};
use crate::observer::mailbox::{MailboxReader, Walker};
use crate::plan::ClockClass;

/// What an invariant found broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Invariant that is meant.
    pub invariant: String,
    /// True microseconds from the start.
    pub at_us: u64,
    /// What was seen.
    pub why: String,
}

/// Number of times that an invariant looked, and what it found first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of times that it looked.
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
    /// Number of times that `belief_exclusion` was found broken where it is not promised.
    pub broken_outside: u64,
}

/// The names of all invariants, in the order of the pages of [rules](mailbus_spec::rules).
pub const NAMES: [&str; 24] = [
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
    no_loss::NAME,
    no_phantom::NAME,
    no_delivery_after_settle::NAME,
    order::NAME,
    accept_once::NAME,
    one_session::NAME,
    window::NAME,
    honest_gap::NAME,
    no_innocent_dead::NAME,
    retention::NAME,
    mail_liveness::NAME,
    mail_conforms::NAME,
];

/// True if an invariant compares with a reference model: a bug it finds breaks no promise by itself.
#[must_use]
pub fn compares(name: &str) -> bool {
    name == conforms::NAME || name == mail_conforms::NAME
}

/// Holds every invariant against a history.
#[must_use]
pub fn judge(history: &History, class: ClockClass) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.judge_leases(history, class);
    judgement.judge_mail(history);
    judgement.violations.sort_by_key(|violation| violation.at_us);
    judgement
}

impl Judgement {
    fn judge_leases(&mut self, history: &History, class: ClockClass) {
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
        if class == ClockClass::Inside {
            self.add(belief_exclusion::NAME, beliefs);
            self.add(belief_within_grant::NAME, grants);
        } else if beliefs.broken.is_some() {
            self.broken_outside = 1;
        }
        self.add(server_exclusion::NAME, server_exclusion.tally);
        self.add(fencing::NAME, fencing.tally);
        self.add(ttl_honoured::NAME, ttl_honoured.tally);
        self.add(no_stale_effect::NAME, no_stale_effect.tally);
        self.add(fifo::NAME, fifo.tally);
        self.add(idempotent::NAME, idempotent.tally);
        self.add(no_lost_place::NAME, no_lost_place.tally);
        self.add(lease_liveness::NAME, liveness.finish(history));
        self.add(bounded_leases::NAME, bounded_leases::check(history));
        self.add(conforms::NAME, conforms::check(history));
    }

    fn judge_mail(&mut self, history: &History) {
        let mut no_loss = no_loss::NoLoss::default();
        let mut no_phantom = no_phantom::NoPhantom::default();
        let mut after_settle = no_delivery_after_settle::NoDeliveryAfterSettle::default();
        let mut order = order::Order::default();
        let mut accept_once = accept_once::AcceptOnce::default();
        let mut one_session = one_session::OneSession::default();
        let mut window = window::WindowKept::default();
        let mut honest_gap = honest_gap::HonestGap::default();
        let mut no_innocent_dead = no_innocent_dead::NoInnocentDead::default();
        let mut retention = retention::Retention::default();
        let readers: &mut [&mut dyn MailboxReader] = &mut [
            &mut no_loss,
            &mut no_phantom,
            &mut after_settle,
            &mut order,
            &mut accept_once,
            &mut one_session,
            &mut window,
            &mut honest_gap,
            &mut no_innocent_dead,
            &mut retention,
        ];
        let mut walker = Walker::new(restore_points(&history.mail));
        let mut healed = None;
        for entry in &history.mail {
            if history.healing_ended <= entry.at() && healed.is_none() {
                healed = Some(walker.observer.clone());
            }
            walker.read(entry, readers);
        }
        let healed = healed.unwrap_or_else(|| walker.observer.clone());
        no_loss.check_sendings(history);
        no_loss.check_handlings(history);
        no_phantom.check_handlings(history);
        no_phantom.check_sendings(history);
        after_settle.check_handlings(history);
        retention.check_residue(history, &walker.observer);
        self.add(no_loss::NAME, no_loss.tally);
        self.add(no_phantom::NAME, no_phantom.tally);
        self.add(no_delivery_after_settle::NAME, after_settle.tally);
        self.add(order::NAME, order.tally);
        self.add(accept_once::NAME, accept_once.tally);
        self.add(one_session::NAME, one_session.tally);
        self.add(window::NAME, window.tally);
        self.add(honest_gap::NAME, honest_gap.tally);
        self.add(no_innocent_dead::NAME, no_innocent_dead.tally);
        self.add(retention::NAME, retention.tally);
        self.add(mail_liveness::NAME, mail_liveness::check(history, &healed));
        self.add(mail_conforms::NAME, mail_conforms::check(history));
    }

    fn add(&mut self, name: &'static str, tally: Tally) {
        *self.checks.entry(name).or_default() += tally.checks;
        if let Some((at, why)) = tally.broken {
            self.violations.push(Violation { invariant: name.to_owned(), at_us: at.0, why });
        }
    }
}
