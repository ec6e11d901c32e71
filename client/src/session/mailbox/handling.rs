//! In the hands of a handler: how long it may take, and which delivery has been there longest.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::MessageType;
use mailbus_spec::{AgentId, Ordinal};

use super::MailboxSession;
use super::deliver::{Delivery, Stage};
use super::event::{DeliveryId, Event};

/// After how long in its handler's hands a delivery is told of for the first time.
const LONG: Duration = Duration::from_secs(300);

/// A delivery that a handler has.
#[derive(Debug)]
pub(super) struct Handling {
    pub(super) number: u64,
    since: Duration,
    /// Time at which it is given back, where handlers have a limit.
    until: Option<Duration>,
    /// Time at which it is told of as one that has been there for long.
    tell_at: Duration,
}

impl Handling {
    pub(super) fn begun(number: u64, now: Duration, limit: Option<Duration>) -> Self {
        let until = limit.map(|limit| now.saturating_add(limit));
        Self { number, since: now, until, tell_at: now.saturating_add(LONG) }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.until.map_or(self.tell_at, |until| until.min(self.tell_at))
    }
}

/// A delivery in the hands of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InHand {
    /// The message's place in the workspace's order.
    pub seq: Ordinal,
    /// Its sender.
    pub from: AgentId,
    /// Its type.
    pub kind: MessageType,
    /// For how long the handler has had it, by the client's monotonic clock.
    pub lasted: Duration,
}

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
            in_hand_of(seq, delivery, at.monotonic.saturating_sub(handling.since))
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
            self.events.push_back(Event::LongInHand(in_hand_of(seq, delivery, lasted)));
        }
    }
}

fn in_hand_of(seq: Ordinal, delivery: &Delivery, lasted: Duration) -> InHand {
    let (from, kind) = (delivery.message.from.clone(), delivery.message.kind.clone());
    InHand { seq, from, kind, lasted }
}
