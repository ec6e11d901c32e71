//! Subscriptions of the agent: chosen by somebody, or everything because nobody has.
//!
//! An agent that never chose is sent everything. That is nobody's wish, so what nobody handles of it is
//! settled: given back, it would come five times and end as a loss of something that nobody missed.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{MessageType, Patterns};
use mailbus_spec::{Ordinal, Timestamp};

use super::MailboxSession;
use super::delivery::Stage;
use super::event::Event;

/// Time that what nobody chose waits for a handler while nothing is chosen. No handler waits behind it.
const UNCHOSEN_HOLD: Duration = Duration::from_secs(30);

/// Mail that comes though nobody has chosen it.
#[derive(Debug)]
pub(super) struct Unchosen {
    /// Types that somebody has chosen all the same, in an earlier run.
    chosen: Patterns,
    /// The last message that may have been addressed so; `None` as long as it goes on.
    through: Option<Ordinal>,
}

impl MailboxSession {
    /// True if the session says at every connect what the agent is subscribed to.
    #[must_use]
    pub fn has_chosen(&self) -> bool {
        self.types.is_some()
    }

    /// The agent is sent everything, and nobody has chosen that; `chosen` is what somebody has. What
    /// comes for no other reason and finds no handler is settled and told as [`Event::Unhandled`].
    pub fn note_unchosen(&mut self, at: Reading, chosen: Patterns) {
        self.unchosen = Some(Unchosen { chosen, through: None });
        self.hold_unchosen(at.monotonic.saturating_add(UNCHOSEN_HOLD));
    }

    /// The session has chosen `types`, as of the object's time `now`, and says so with every connect.
    pub fn note_chosen(&mut self, at: Reading, types: Patterns, now: Timestamp) {
        let after = now.ms().saturating_add(1).checked_shl(Ordinal::SHIFT).and_then(Ordinal::new);
        if let Some(unchosen) = &mut self.unchosen {
            unchosen.through.get_or_insert(after.unwrap_or(Ordinal::MAX));
        }
        self.types = Some(types);
        self.hold_unchosen(at.monotonic.saturating_add(self.config.hold));
    }

    /// Lets what waits for a handler and was not chosen wait until then.
    fn hold_unchosen(&mut self, end: Duration) {
        let Some(unchosen) = &self.unchosen else { return };
        for (seq, delivery) in &mut self.deliveries {
            if let Stage::Held { until } = &mut delivery.stage
                && unchosen.is(*seq, &delivery.message.kind)
            {
                *until = end;
            }
        }
    }

    /// Time that a delivery without a handler waits for one.
    pub(super) fn hold(&self, seq: Ordinal, kind: &MessageType) -> Duration {
        match &self.unchosen {
            Some(unchosen) if unchosen.through.is_none() && unchosen.is(seq, kind) => UNCHOSEN_HOLD,
            _ => self.config.hold,
        }
    }

    /// Settles a delivery that found no handler, if nobody has chosen to be sent it.
    pub(super) fn settle_unchosen(&mut self, seq: Ordinal, now: Duration) -> bool {
        let Some(unchosen) = &self.unchosen else { return false };
        let Some(delivery) = self.deliveries.get(&seq) else { return false };
        if !unchosen.is(seq, &delivery.message.kind) {
            return false;
        }
        if let Some(delivery) = self.deliveries.remove(&seq) {
            let message = delivery.message;
            self.events.push_back(Event::Unhandled { seq, message });
        }
        self.acks.settle(seq, now.saturating_add(self.config.ack_linger), now);
        self.pushed.settled(seq);
        true
    }
}

impl Unchosen {
    fn is(&self, seq: Ordinal, kind: &MessageType) -> bool {
        self.through.is_none_or(|through| seq <= through)
            && !self.chosen.iter().any(|pattern| pattern.matches(kind))
    }
}
