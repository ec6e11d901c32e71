//! `Granted` says the TTL that was asked for, which is what is stored: out of the queue the lease ends
//! after thirty seconds, and its holder believes for longer.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep, Outcome};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::belief_within_grant;
use crate::mutants::rearrange::Planted;
use crate::mutants::{Mutant, planted_object, rough};

pub(super) const MUTANT: Mutant = Mutant {
    name: "granted_says_the_term_asked_for",
    source: "spec/rules/refuted.md#belief-in-the-term-asked-for",
    breaks: belief_within_grant::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: rough,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let mut step = state.handle(host, event);
    let asked = |token| state.leases.get(&token).map(|lease| lease.content.ttl);
    if let Some(reply) = &mut step.reply
        && let Ok(Outcome::Granted { token, ttl, .. }) = &mut reply.answer
    {
        *ttl = asked(*token).unwrap_or(*ttl);
    }
    for push in &mut step.pushes {
        if let Notice::Granted { token, ttl, .. } = &mut push.notice {
            *ttl = asked(*token).unwrap_or(*ttl);
        }
    }
    step
}
