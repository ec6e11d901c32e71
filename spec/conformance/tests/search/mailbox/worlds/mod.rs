//! The worlds: small, each built so that certain rules are refuted in it when they are broken.

mod delivery;
mod keeping;
mod sessions;
mod silence;

pub use delivery::*;
pub use keeping::*;
pub use sessions::*;
pub use silence::*;

use crate::mailbox::scenario::{Mail, Scenario};

pub fn all() -> Vec<Scenario> {
    vec![
        window_one(),
        window_two(),
        window_three(),
        byte_window(),
        push_budget(),
        up_to(),
        late_frames(),
        delays(),
        many_delayed(),
        failures(),
        copies(),
        two_agents(),
        replaced(),
        superseded(),
        superseded_and_mail(),
        crowded(),
        forgotten(),
        ephemeral(),
        silent(),
        silent_again(),
        silent_and_full(),
        gaps(),
        dedup(),
        namesakes(),
        told(),
        retention(),
        busy(),
        strangers(),
        subscriptions(),
        overflow(),
        chatter(),
        letters(),
        restored(),
        recovered_ahead(),
        ahead(),
        clocks(),
    ]
}

/// Messages to `r` with these ids.
fn to_r<const N: usize>(ids: [&str; N]) -> Vec<Mail> {
    ids.map(|id| Mail::published(id).to("r")).to_vec()
}
