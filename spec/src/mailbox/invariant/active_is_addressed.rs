//! Signs of life: who did anything within the retention is addressed.

use alloc::format;
use alloc::string::String;

use super::{Transition, ensure};
use crate::id::AgentId;
use crate::limits;
use crate::machine::Event;
use crate::mailbox::command::Ask;
use crate::mailbox::state::Registration;
use crate::time::Timestamp;

/// A row is at most a day older than the last sign of life, and nobody is forgotten before it is a day older
/// than the retention: so the claim holds of whole histories.
pub(super) fn active_is_addressed(transition: &Transition<'_>) -> Result<(), String> {
    let Some(now) = transition.now() else { return Ok(()) };
    for (name, agent) in &transition.before.agents {
        let Some(before) = &agent.registration else { continue };
        let after = transition.after.agents.get(name);
        match after.and_then(|agent| agent.registration.as_ref()) {
            Some(after) => {
                ensure(!gives_sign(transition, name, now) || is_fresh(after, now), || {
                    format!("{name} was there, and its row is of {}", after.written_at)
                })?
            }
            None => {
                let long_ago = before.written_at.plus_ms(limits::KNOWN_MS) <= now;
                ensure(long_ago || transition.forgets(name), || {
                    format!("{name} was forgotten, and its row is of {}", before.written_at)
                })?;
            }
        }
    }
    Ok(())
}

fn is_fresh(known: &Registration, now: Timestamp) -> bool {
    now < known.written_at.plus_ms(limits::SIGHT_MS)
}

/// True if the agent takes part in what was not refused, or has a session when a round of collection looks.
fn gives_sign(transition: &Transition<'_>, name: &AgentId, now: Timestamp) -> bool {
    let Some(agent) = transition.before.agents.get(name) else { return false };
    match transition.event {
        Event::Command(command) => {
            let by = match &command.ask {
                Ask::Disconnect { connection } => {
                    let live = agent.live.as_ref().map(|live| live.epoch);
                    let open = live == Some(connection.epoch)
                        || agent.superseded.contains(&connection.epoch);
                    open.then_some(&connection.agent)
                }
                _ => command.agent(),
            };
            transition.outcome().is_some() && by == Some(name)
        }
        Event::Alarm => {
            let round = transition.before.round_at.plus_ms(limits::COLLECTION_MS);
            agent.has_session() && round <= now
        }
    }
}
