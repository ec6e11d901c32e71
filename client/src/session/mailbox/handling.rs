//! In the hands of a handler: how long it may take, and which delivery has been there longest.

use std::time::Duration;

use mailbus_spec::Ordinal;
use mailbus_spec::belief::Reading;

use super::MailboxSession;
use super::delivery::{Delivery, Stage};
use super::event::{DeliveryId, Event, InHand};

impl MailboxSession {
    /// Work on a delivery goes on: where handlers have a
    /// [`limit`](super::Config::handler_timeout), it counts anew from now.
    pub fn progress(&mut self, at: Reading, delivery: DeliveryId) {
        let until = self.config.handler_timeout.map(|limit| at.monotonic.saturating_add(limit));
        if let Some(Delivery { stage: Stage::Handling(handling), .. }) =
            self.deliveries.get_mut(&delivery.seq)
            && handling.number == delivery.number
        {
            handling.until = until;
        }
    }

    /// Number of deliveries that handlers have, and the one that has been with its handler longest.
    #[must_use]
    pub fn in_hand(&self, at: Reading) -> (usize, Option<InHand>) {
        let in_hand = || {
            self.deliveries
                .iter()
                .filter_map(|(seq, delivery)| Some((*seq, delivery, delivery.handling()?)))
        };
        let oldest = in_hand().min_by_key(|(_, _, handling)| handling.since);
        let oldest = oldest.map(|(seq, delivery, handling)| {
            delivery.in_hand(seq, at.monotonic.saturating_sub(handling.since))
        });
        (in_hand().count(), oldest)
    }

    /// True if a handler has something.
    pub(super) fn is_handling(&self) -> bool {
        self.deliveries.values().any(|delivery| delivery.handling().is_some())
    }

    /// The time's share in handling: what takes too long is given back, what takes long is told of.
    pub(super) fn handling_in_time(&mut self, seq: Ordinal, now: Duration) {
        let Some(delivery) = self.deliveries.get_mut(&seq) else { return };
        let Stage::Handling(handling) = &mut delivery.stage else { return };
        if handling.until.is_some_and(|until| until <= now) {
            let (number, generation) = (handling.number, delivery.generation);
            let delivery = DeliveryId { number, seq, generation };
            self.events.push_back(Event::Abandoned { delivery });
            self.give_back(seq, now);
        } else if handling.tell_at <= now {
            let lasted = now.saturating_sub(handling.since);
            handling.tell_at = now.saturating_add(lasted);
            self.events.push_back(Event::LongInHand(delivery.in_hand(seq, lasted)));
        }
    }
}
