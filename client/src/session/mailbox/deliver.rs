//! From the push to the handler, and in its hands: how long it may take, and who has been there longest.

use std::time::Duration;

use mailbus_spec::Ordinal;
use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Ask, Fence, Message, MessageType, Pattern, Patterns};

use super::delivery::{Delivery, Handling, Stage};
use super::event::{DeliveryId, Event, InHand};
use super::{Due, MailboxSession, Subject};
use crate::session::call::CallNumber;
use crate::session::connection::SocketNumber;
use crate::session::retry::Attempt;

/// Most deliveries in memory. A session that negotiated nothing has no window, and what is pushed on top
/// comes again at its next connect.
const DELIVERIES_MAX: usize = 16_384;

impl MailboxSession {
    /// Hands out messages that match `pattern` from now on: a handler for them has come.
    pub fn serve(&mut self, at: Reading, pattern: Pattern) {
        self.served.insert(pattern);
        for delivery in self.deliveries.values_mut() {
            if matches!(delivery.stage, Stage::Held { .. })
                && is_served(&self.served, &delivery.message.kind)
            {
                delivery.stage = Stage::Ready;
            }
        }
        self.hand_out(at.monotonic);
    }

    /// Holds messages that match `pattern` back: their handler has gone. Those that it has begun are not
    /// affected.
    pub fn stop_serving(&mut self, at: Reading, pattern: &Pattern) {
        self.served.remove(pattern);
        let until = at.monotonic.saturating_add(self.config.hold);
        for delivery in self.deliveries.values_mut() {
            if matches!(delivery.stage, Stage::Ready)
                && !is_served(&self.served, &delivery.message.kind)
            {
                delivery.stage = Stage::Held { until };
            }
        }
    }

    /// A push of a message over the live session's socket.
    pub(super) fn on_pushed(
        &mut self,
        now: Duration,
        socket: SocketNumber,
        seq: Ordinal,
        (attempt, redriven, message): (u64, bool, Message),
    ) {
        self.last_seen = self.last_seen.max(Some(seq));
        if self.acks.was_settled(seq) {
            self.acks.settle_again(seq, now);
            return;
        }
        let is_suspect = self.pushed.note(seq, attempt);
        let full = self.deliveries.len() >= DELIVERIES_MAX;
        let fence = self.epoch.map(|epoch| Fence { epoch, attempt });
        match self.deliveries.get_mut(&seq) {
            // It was begun under an earlier session and is not begun again.
            Some(known) if known.handling().is_some() && known.message == message => {
                known.socket = socket;
                known.fence = fence;
                known.generation = self.generation;
                return;
            }
            Some(_) => {}
            None if full => return,
            None => {}
        }
        let stage = if is_served(&self.served, &message.kind) {
            Stage::Ready
        } else {
            Stage::Held { until: now.saturating_add(self.hold(seq, &message.kind)) }
        };
        let generation = self.generation;
        let delivery =
            Delivery { attempt, fence, is_suspect, redriven, message, generation, socket, stage };
        self.deliveries.insert(seq, delivery);
        self.hand_out(now);
    }

    /// Begins what may be begun, lowest `seq` first.
    ///
    /// A message that another run may have died of is announced, and handled while nothing else is, so that an
    /// end is blamed on nothing else.
    pub(super) fn hand_out(&mut self, now: Duration) {
        if self.shutdown.is_some() || self.is_over() || self.outage.pause(now).is_some() {
            return;
        }
        loop {
            let begun = self.deliveries.values().filter(|delivery| delivery.is_begun());
            let (mut count, mut alone) = (0_usize, false);
            for delivery in begun {
                count = count.saturating_add(1);
                alone |= self.is_announced(delivery);
            }
            let ready =
                |(_, delivery): &(&Ordinal, &Delivery)| matches!(delivery.stage, Stage::Ready);
            let Some((seq, next)) = self.deliveries.iter().find(ready) else { return };
            let (seq, announced) = (*seq, self.is_announced(next));
            let full = count >= self.config.concurrency.max(1);
            if alone || full || (announced && count > 0) {
                return;
            }
            if announced {
                let until = now.saturating_add(self.config.attempt_timeout);
                let Some(delivery) = self.deliveries.get_mut(&seq) else { return };
                delivery.stage = Stage::Announcing { call: None, until };
                return;
            }
            self.begin(seq, now);
        }
    }

    fn is_announced(&self, delivery: &Delivery) -> bool {
        delivery.is_suspect && self.config.window.is_some()
    }

    fn begin(&mut self, seq: Ordinal, now: Duration) {
        let number = self.next_number();
        let handling = Handling::begun(number, now, self.config.handler_timeout);
        let Some(delivery) = self.deliveries.get_mut(&seq) else { return };
        delivery.stage = Stage::Handling(handling);
        self.events.push_back(Event::Delivered {
            delivery: DeliveryId { number, seq, generation: delivery.generation },
            attempt: delivery.attempt,
            redriven: delivery.redriven,
            message: delivery.message.clone(),
        });
    }

    pub(super) fn due_announcement(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        self.connection.live()?;
        let timeout = self.config.attempt_timeout;
        self.deliveries.iter_mut().find_map(|(seq, delivery)| match &mut delivery.stage {
            Stage::Announcing { call: called @ None, until } => {
                *called = Some(call);
                let ask = Ask::Working { agent: self.agent.clone(), seq: *seq };
                let attempt = Attempt { unanswered: 0, timeout, leave_by: now.max(*until) };
                Some((Subject::Working(*seq), ask, attempt))
            }
            _ => None,
        })
    }

    /// The object knows, or does not know, the delivery that was announced.
    pub(super) fn on_noted(&mut self, seq: Ordinal, call: CallNumber, known: bool, now: Duration) {
        if !self.announces(seq, call) {
            return;
        }
        if known {
            self.begin(seq, now);
        } else {
            // It is settled or over meanwhile; if not, it comes again.
            self.deliveries.remove(&seq);
            self.hand_out(now);
        }
    }

    /// Nobody knows whether the announcement came through: it is handled all the same.
    pub(super) fn announcement_failed(&mut self, seq: Ordinal, call: CallNumber, now: Duration) {
        if self.announces(seq, call) {
            self.begin(seq, now);
        }
    }

    fn announces(&self, seq: Ordinal, call: CallNumber) -> bool {
        self.deliveries.get(&seq).is_some_and(|delivery| {
            matches!(delivery.stage, Stage::Announcing { call: Some(named), .. } if named == call)
        })
    }

    pub(super) fn deliveries_in_time(&mut self, now: Duration) {
        let over: Vec<Ordinal> = self
            .deliveries
            .iter()
            .filter(|(_, delivery)| delivery.timeout().is_some_and(|until| until <= now))
            .map(|(seq, _)| *seq)
            .collect();
        for seq in over {
            let Some(delivery) = self.deliveries.get_mut(&seq) else { continue };
            match &mut delivery.stage {
                Stage::Held { .. } => {
                    if !self.settle_unchosen(seq, now) {
                        self.give_back(seq, now);
                    }
                }
                Stage::Announcing { .. } => self.begin(seq, now),
                Stage::Handling(_) => self.handling_in_time(seq, now),
                Stage::Returning(nack) => {
                    nack.retry.pass(now, &mut self.pacing);
                }
                Stage::Ready => {}
            }
        }
        self.outage.pass(now);
        self.hand_out(now);
    }

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
            self.fail(seq, now);
        } else if handling.tell_at <= now {
            let lasted = now.saturating_sub(handling.since);
            handling.tell_at = now.saturating_add(lasted);
            self.events.push_back(Event::LongInHand(delivery.in_hand(seq, lasted)));
        }
    }

    /// True if a delivery was pushed over the socket that is live now.
    pub(super) fn is_in_flight(&self, delivery: &Delivery) -> bool {
        self.connection.live() == Some(delivery.socket)
    }

    /// With the socket goes whatever no handler has begun: it comes again.
    pub(super) fn drop_undelivered(&mut self) {
        self.deliveries.retain(|_, delivery| delivery.handling().is_some());
    }
}

fn is_served(served: &Patterns, kind: &MessageType) -> bool {
    served.iter().any(|pattern| pattern.matches(kind))
}
