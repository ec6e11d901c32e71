//! Failures that are due: each is counted and none is forgotten, and as many as there may be are the end of a
//! message.

use alloc::format;
use alloc::string::String;

use super::no_innocent_dead::has_failed;
use super::{Transition, ensure};
use crate::limits;

pub(super) fn guilty_dead(transition: &Transition<'_>) -> Result<(), String> {
    for (name, agent) in &transition.after.agents {
        let before = transition.before.agents.get(name);
        for (seq, open) in &agent.inbox.open {
            ensure(open.failures < limits::MAX_DELIVERIES, || {
                format!("{seq} of {name} has failed {} times and is pending", open.failures)
            })?;
            let old = before.and_then(|agent| agent.inbox.open.get(seq));
            let failures = old.map_or(0, |old| old.failures);
            let own = u64::from(has_failed(transition, name, *seq));
            ensure(failures.saturating_add(own) <= open.failures, || {
                format!(
                    "{seq} of {name} has {} failures, after {failures} and {own}",
                    open.failures
                )
            })?;
        }
    }
    Ok(())
}
