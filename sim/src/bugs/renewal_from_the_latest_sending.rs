//! The client takes an answer to a renewal for the answer to the last one it sent.
//!
//! Source: review A2 (N1).

use mailbus_client::machine::Credit;

use crate::bugs::rules::Rules;
use crate::bugs::{Bug, planted_client};
use crate::invariants::belief_within_grant;
use crate::plan::Profile;

pub(super) const BUG: Bug = Bug {
    name: "renewal_from_the_latest_sending",
    source: "review A2 (N1)",
    breaks: belief_within_grant::NAME,
    subject: planted_client(|| {
        Box::new(Rules {
            renewal: |renewals, ttl| {
                let latest = renewals.recent.last().copied(); if latest.map(|l| l.call) != renewals.named.map(|l| l.call) { eprintln!("WRONG by {:?} ttl {:?}", latest.unwrap().at.monotonic.saturating_sub(renewals.named.unwrap().at.monotonic), ttl); }
                latest.map(|from| Credit { from, ttl })
            },
            ..Rules::SOUND
        })
    }),
    profile: Some(Profile::Rough),
};
