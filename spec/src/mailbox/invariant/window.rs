//! Window: unsettled deliveries to a session never exceed it, a single message excepted.

use alloc::format;
use alloc::string::String;

use super::ensure;
use crate::limits;
use crate::mailbox::state::MailboxMachine;

pub(super) fn window(state: &MailboxMachine) -> Result<(), String> {
    for (name, agent) in &state.agents {
        let Some(live) = &agent.live else { continue };
        let again = live.flights.values().filter(|flight| flight.again).count() as u64;
        let count = live.flights.len() as u64;
        let sizes = live.flights.keys().filter_map(|seq| agent.inbox.open.get(seq));
        let bytes = sizes.fold(0_u64, |sum, open| sum.saturating_add(open.bytes));
        let holds = match live.window {
            Some(window) => count <= 1 || (count <= window.messages() && bytes <= window.bytes()),
            None => again <= limits::WINDOWLESS_REDELIVERIES,
        };
        ensure(holds, || {
            format!("{name} has {count} deliveries of {bytes} bytes in flight, {again} again")
        })?;
    }
    Ok(())
}
