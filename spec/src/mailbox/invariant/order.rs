//! Order: the next push is the lowest message that is pending, not in flight and due.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use super::{Transition, ensure, lowest_due};
use crate::id::AgentId;
use crate::ordinal::Ordinal;

pub(super) fn order(transition: &Transition<'_>) -> Result<(), String> {
    let Some(now) = transition.now() else { return Ok(()) };
    let mut last: BTreeMap<&AgentId, Ordinal> = BTreeMap::new();
    for delivery in transition.deliveries() {
        let (seq, name) = (delivery.seq, &delivery.to.agent);
        let previous = last.insert(name, seq);
        ensure(previous < Some(seq), || format!("{seq} was pushed to {name} after {previous:?}"))?;
        let (Some(agent), Some(live)) =
            (transition.after.agents.get(name), transition.live_after(name))
        else {
            return Err(format!("{seq} was pushed to {name}, who has no session"));
        };
        let passed = lowest_due(agent, live, now).filter(|(lowest, _)| *lowest < seq);
        ensure(passed.is_none(), || format!("{seq} was pushed to {name} before {passed:?}"))?;
        let is_first = live.flights.get(&seq).is_some_and(|flight| !flight.again);
        let before = transition.live_before(name).filter(|before| before.epoch == live.epoch);
        let flights = before.into_iter().flat_map(|before| before.flights.iter());
        let first = flights.filter(|(_, flight)| !flight.again).map(|(seq, _)| *seq).max();
        ensure(!is_first || first < Some(seq), || {
            format!("{seq} was pushed to {name} for the first time after {first:?}")
        })?;
    }
    Ok(())
}
