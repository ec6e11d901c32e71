//! Planted bugs of the client: one of its rules replaced, or what its carrier brings changed.

use mailbus_client::session::lease::{Attempts, Credit, CreditRules, Ending, Sound};
use mailbus_spec::Ttl;
use mailbus_spec::belief::{Belief, ClockAnomaly, ClockBound, Reading};
use serde_json::Value;

use super::hunt::PlantedBug;
use super::plans;
use crate::judge::invariants::{belief_exclusion, belief_within_grant, mail_liveness, no_loss};
use crate::sut::{MailClientRules, Sut};

/// Those of a client of leases, which production's object meets.
pub(super) const OF_LEASES: &[PlantedBug] = &[
    // The client believes in a grant from the sending of the attempt that was answered. The object may
    // have executed an earlier one.
    PlantedBug {
        name: "belief_from_the_retrys_sending",
        source: "spec/rules/refuted.md#a-grant-believed-from-the-answered-attempt",
        breaks: belief_within_grant::NAME,
        sut: believing(|| {
            Box::new(Rules {
                grant: |acquires, _, granted| {
                    let latest = acquires.recent.last().copied();
                    Credit {
                        from: acquires.named.or(latest).unwrap_or(acquires.first),
                        ttl: granted,
                    }
                },
                ..Rules::SOUND
            })
        }),
        plan: plans::answers_lost,
    },
    // The client takes an attempt that failed for one that was not carried out, and counts from the next.
    PlantedBug {
        name: "failed_attempt_did_not_happen",
        source: "spec/rules/refuted.md#a-grant-believed-from-the-answered-attempt",
        breaks: belief_within_grant::NAME,
        sut: believing(|| {
            Box::new(Rules {
                grant: |acquires, _, granted| {
                    let alive = acquires.recent.iter().find(|sending| !sending.failed);
                    Credit { from: *alive.unwrap_or(&acquires.first), ttl: granted }
                },
                ..Rules::SOUND
            })
        }),
        plan: plans::answers_lost,
    },
    // The client takes an answer to a renewal for the answer to the last one it sent.
    PlantedBug {
        name: "renewal_from_the_latest_sending",
        source: "spec/rules/refuted.md#a-renewal-believed-from-the-latest-attempt",
        breaks: belief_within_grant::NAME,
        sut: believing(|| {
            Box::new(Rules {
                renewal: |renewals, ttl| {
                    let latest = renewals.recent.last().copied();
                    latest.map(|from| Credit { from, ttl })
                },
                ..Rules::SOUND
            })
        }),
        plan: plans::slow_and_then_cut,
    },
    // The client allows for clocks that run unevenly and not for one that is set: ε is missing from L.
    PlantedBug {
        name: "step_of_the_clock_is_left_out",
        source: "spec/rules/refuted.md#belief-without-room-for-steps",
        breaks: belief_within_grant::NAME,
        sut: believing(|| {
            Box::new(Rules {
                belief: |credit, bound| {
                    let without_step = ClockBound { step_ms: 0, ..*bound };
                    Belief::in_term(credit.from.at, credit.ttl, &without_step)
                },
                ..Rules::SOUND
            })
        }),
        plan: plans::set_ahead_while_silent,
    },
    // The client measures by its monotonic clock, "which nobody can set": while the computer sleeps it
    // stands still.
    PlantedBug {
        name: "monotonic_clock_alone",
        source: "spec/rules/refuted.md#belief-by-the-monotonic-clock-alone",
        breaks: belief_within_grant::NAME,
        sut: believing(|| {
            Box::new(Rules {
                holds: |belief, at| {
                    at.monotonic.saturating_sub(belief.sent.monotonic) < belief.lasts
                },
                compare: |_, _, _| Ok(()),
                ..Rules::SOUND
            })
        }),
        plan: plans::rough,
    },
    // The client believes until somebody tells it otherwise: paused past its TTL, it goes on as if
    // nothing had happened.
    PlantedBug {
        name: "belief_never_ends",
        source: "spec/rules/refuted.md#a-lease-without-a-token",
        breaks: belief_exclusion::NAME,
        sut: believing(|| {
            Box::new(Rules { holds: |_, _| true, compare: |_, _, _| Ok(()), ..Rules::SOUND })
        }),
        plan: plans::rough,
    },
    // The client believes until its release is confirmed. By then another may hold the lease.
    PlantedBug {
        name: "belief_kept_while_releasing",
        source: "spec/rules/refuted.md#belief-until-the-release-is-answered",
        breaks: belief_within_grant::NAME,
        sut: believing(|| {
            Box::new(Rules { outlives: |ending| ending == Ending::Release, ..Rules::SOUND })
        }),
        plan: plans::mixed,
    },
];

/// Those of a client of mailboxes.
pub(super) const OF_MAILBOXES: &[PlantedBug] = &[
    // A client whose socket cannot be opened once never tries again.
    PlantedBug {
        name: "one_failed_open_is_the_last",
        source: "spec/rules/refuted.md#a-failed-reconnect-that-is-the-last",
        breaks: mail_liveness::NAME,
        sut: mail(MailClientRules { gives_up_on_a_failed_open: true, ..MailClientRules::SOUND }),
        plan: plans::rough_mail,
    },
    // The application settles a message when it is given it, and handles it then: if its process dies
    // meanwhile, nobody has handled it and nobody will.
    PlantedBug {
        name: "acks_before_handling",
        source: "spec/rules/mailboxes.md#what-a-client-of-mailboxes-does",
        breaks: no_loss::NAME,
        sut: mail(MailClientRules { acks_before_handling: true, ..MailClientRules::SOUND }),
        plan: plans::calm_mail,
    },
    // A client takes what comes with a second attempt for a repetition and drops it, settling nothing.
    PlantedBug {
        name: "seen_messages_are_dropped",
        source: "spec/rules/mailboxes.md#what-a-client-of-mailboxes-does",
        breaks: mail_liveness::NAME,
        sut: mail(MailClientRules {
            incoming: Some(without_repetitions),
            ..MailClientRules::SOUND
        }),
        plan: plans::calm_mail,
    },
];

/// Rules, each a function of its own: a bug replaces one and leaves the others as they are in
/// [`Rules::SOUND`].
#[derive(Clone, Copy)]
struct Rules {
    grant: fn(&Attempts<'_>, Ttl, Ttl) -> Credit,
    renewal: fn(&Attempts<'_>, Ttl) -> Option<Credit>,
    belief: fn(&Credit, &ClockBound) -> Belief,
    holds: fn(&Belief, Reading) -> bool,
    compare: fn(Reading, Reading, &ClockBound) -> Result<(), ClockAnomaly>,
    outlives: fn(Ending) -> bool,
}

impl Rules {
    /// The rules of production.
    const SOUND: Self = Self {
        grant: |acquires, asked, granted| Sound.grant(acquires, asked, granted),
        renewal: |renewals, ttl| Sound.renewal(renewals, ttl),
        belief: |credit, bound| Sound.belief(credit, bound),
        holds: |belief, at| Sound.holds(belief, at),
        compare: |earlier, later, bound| Sound.compare(earlier, later, bound),
        outlives: |ending| Sound.outlives(ending),
    };
}

impl CreditRules for Rules {
    fn grant(&self, acquires: &Attempts<'_>, asked: Ttl, granted: Ttl) -> Credit {
        (self.grant)(acquires, asked, granted)
    }

    fn renewal(&self, renewals: &Attempts<'_>, ttl: Ttl) -> Option<Credit> {
        (self.renewal)(renewals, ttl)
    }

    fn belief(&self, credit: &Credit, bound: &ClockBound) -> Belief {
        (self.belief)(credit, bound)
    }

    fn holds(&self, belief: &Belief, at: Reading) -> bool {
        (self.holds)(belief, at)
    }

    fn compare(
        &self,
        earlier: Reading,
        later: Reading,
        bound: &ClockBound,
    ) -> Result<(), ClockAnomaly> {
        (self.compare)(earlier, later, bound)
    }

    fn outlives(&self, ending: Ending) -> bool {
        (self.outlives)(ending)
    }
}

const fn believing(rules: fn() -> Box<dyn CreditRules + Send>) -> Sut {
    Sut { client: rules, ..Sut::NATIVE }
}

const fn mail(rules: MailClientRules) -> Sut {
    Sut { mail_client: rules, ..Sut::NATIVE }
}

fn without_repetitions(text: &str) -> Option<String> {
    let again = |object: &Value| object["attempt"].as_u64().is_some_and(|attempt| attempt > 1);
    match serde_json::from_str(text) {
        Ok(Value::Array(objects)) if objects.iter().any(again) => {
            let kept: Vec<Value> = objects.into_iter().filter(|object| !again(object)).collect();
            Some(Value::Array(kept).to_string())
        }
        Ok(object) if again(&object) => None,
        _ => Some(text.to_owned()),
    }
}
