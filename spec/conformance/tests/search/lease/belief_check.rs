//! Claims about the beliefs of all clients at one true instant.

use crate::lease::scenario::Scenario;
use crate::lease::state::{Guard, State};

/// `belief_exclusion` and `belief_within_grant` of this moment.
pub fn check(scenario: &Scenario, state: &mut State) {
    let now = state.object_now();
    state.history.forced.retain(|(_, until)| now < *until);
    let believed = believed(scenario, state);
    for (client, claim, guard) in &believed {
        let lease = state.object.leases.get(&guard.token);
        let holder = scenario.holder(*client);
        let is_grant = lease.is_some_and(|lease| {
            lease.key.holder == *holder
                && lease.expires_at > now
                && lease.content.paths == scenario.claim(*client, *claim).paths
        });
        if !is_grant && state.history.void_up_to.is_none_or(|void| guard.token > void) {
            let why = format!("{holder} believes in {}, the object has {lease:?}", guard.token);
            state.violate(scenario, "belief_within_grant", why);
        }
    }
    for (index, (client, claim, guard)) in believed.iter().enumerate() {
        for (other, second, _) in &believed[..index] {
            let (paths, others) =
                (scenario.claim(*client, *claim), scenario.claim(*other, *second));
            if client != other && paths.paths.overlaps(&others.paths) {
                let (one, two) = (scenario.holder(*other), scenario.holder(*client));
                let why = format!("{one} and {two} believe at once, the latter in {}", guard.token);
                state.violate(scenario, "belief_exclusion", why);
            }
        }
    }
}

/// Beliefs of all clients, leases that an admin has ended before their time aside.
fn believed(scenario: &Scenario, state: &State) -> Vec<(u8, u8, Guard)> {
    let mut believed = Vec::new();
    for (index, client) in state.clients.iter().enumerate() {
        for (claim, attempt) in client.attempts.iter().enumerate() {
            let Some(guard) = attempt.guard.filter(|guard| guard.belief.is_some()) else {
                continue;
            };
            let forced = scenario.rules.forced_is_exempt
                && state.history.forced.iter().any(|(token, _)| *token == guard.token);
            if !client.suspended && !forced {
                believed.push((index as u8, claim as u8, guard));
            }
        }
    }
    believed
}
