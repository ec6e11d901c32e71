//! From the handler to the ack or nack.

use std::collections::BTreeSet;
use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Ask, Delay, Gap, Settled};
use mailbus_spec::{Ordinal, limits};

use super::delivery::{Delivery, Nack, Stage};
use super::event::{DeliveryId, Event, Handled};
use super::{Due, MailboxSession, Subject};
use crate::session::call::CallNumber;
use crate::session::retry::Retry;

/// Number of settled messages that are remembered, besides those whose ack is not answered.
const SETTLED_MEMORY: usize = 16_384;
/// Most names in one ack. Invariant: at most [`limits::ACK_SEQS`].
const ACK_MOST: usize = 1_000;
/// At this many an ack does not wait for more.
const ACK_FULL: usize = 128;

const _: () = assert!(ACK_MOST <= limits::ACK_SEQS);

/// Settled messages of the session, and what the object has not confirmed of them.
///
/// Invariant: `due` and `sending` are parts of `settled`.
#[derive(Debug, Default)]
pub(super) struct Acks {
    settled: BTreeSet<Ordinal>,
    due: BTreeSet<Ordinal>,
    flush_at: Option<Duration>,
    sending: Option<Batch>,
    end: Option<Duration>,
}

/// The ack that is under way. One at a time: the next collects meanwhile.
#[derive(Debug)]
struct Batch {
    seqs: Vec<Ordinal>,
    retry: Retry,
}

/// The acknowledgement of losses that is under way.
#[derive(Debug)]
pub(super) struct GapAck {
    through: u64,
    pub(super) retry: Retry,
}

impl Acks {
    pub(super) fn was_settled(&self, seq: Ordinal) -> bool {
        self.settled.contains(&seq)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.sending.is_none()
    }

    /// A settled message came again: its ack was lost, or crossed it.
    pub(super) fn settle_again(&mut self, seq: Ordinal, now: Duration) {
        if self.sending.as_ref().is_none_or(|batch| !batch.seqs.contains(&seq)) {
            self.due.insert(seq);
            self.flush_at.get_or_insert(now);
        }
    }

    pub(super) fn settle(&mut self, seq: Ordinal, flush_at: Duration, now: Duration) {
        self.settled.insert(seq);
        self.due.insert(seq);
        let at = if self.due.len() >= ACK_FULL { now } else { flush_at };
        self.flush_at = Some(self.flush_at.map_or(at, |before| before.min(at)));
        if self.settled.len() > SETTLED_MEMORY {
            let batch = self.sending.as_ref().map_or(&[][..], |batch| &batch.seqs);
            let confirmed =
                |seq: &&Ordinal| !self.due.contains(seq) && batch.binary_search(seq).is_err();
            if let Some(oldest) = self.settled.iter().find(confirmed).copied() {
                self.settled.remove(&oldest);
            }
        }
    }

    /// Nothing waits for company any more.
    pub(super) fn flush(&mut self, now: Duration) {
        if !self.due.is_empty() {
            self.flush_at = Some(now);
        }
    }

    /// No ack is sent after `end`.
    pub(super) fn end_by(&mut self, end: Duration) {
        self.end = Some(end);
    }

    /// Nothing that was settled means anything any more.
    pub(super) fn forget(&mut self) {
        *self = Self { end: self.end, ..Self::default() };
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        let next = match &self.sending {
            Some(batch) => batch.retry.timeout(),
            None => self.flush_at.filter(|_| !self.due.is_empty()),
        };
        let end = self.end.filter(|_| !self.is_empty());
        [next, end].into_iter().flatten().min()
    }
}

impl MailboxSession {
    /// Says what became of a delivery. What is done is settled even if it was abandoned before.
    pub fn finish(&mut self, at: Reading, delivery: DeliveryId, handled: Handled) {
        let now = at.monotonic;
        let DeliveryId { number, seq, .. } = delivery;
        let present = self.deliveries.get(&seq);
        let handling = present.and_then(Delivery::handling);
        let in_hand = handling.is_some_and(|handling| handling.number == number);
        let elsewhere = handling.is_some() && !in_hand;
        match handled {
            Handled::Done => {
                self.outage.note_success();
                // An earlier life of the storage may have meant another message by this name.
                let same_life = delivery.generation == self.generation
                    || present.is_some_and(|known| in_hand && self.is_in_flight(known));
                if !elsewhere {
                    self.deliveries.remove(&seq);
                }
                if same_life {
                    let flush_at = now.saturating_add(self.config.ack_linger);
                    self.acks.settle(seq, flush_at, now);
                    self.pushed.settled(seq);
                }
            }
            Handled::Failed if in_hand => self.fail(seq, now),
            Handled::Failed => {}
        }
        self.hand_out(now);
        if self.shutdown.is_some() {
            self.acks.flush(now);
            self.leave_if_done(now);
        }
    }

    /// A handler has failed at a delivery.
    pub(super) fn fail(&mut self, seq: Ordinal, now: Duration) {
        self.outage.note_failure(seq, now, &self.config.redelivery, &mut self.pacing.jitter);
        self.give_back(seq, now);
    }

    /// Gives a delivery back. One of a session that is over comes again by itself.
    pub(super) fn give_back(&mut self, seq: Ordinal, now: Duration) {
        let Some(delivery) = self.deliveries.get(&seq) else { return };
        if !self.is_in_flight(delivery) {
            self.deliveries.remove(&seq);
            return;
        }
        let failures = u32::try_from(delivery.attempt).unwrap_or(u32::MAX);
        let pause = self.config.redelivery.pause(failures, &mut self.pacing.jitter);
        let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).min(limits::DELAY_MAX_MS);
        let delay = Delay::from_ms(ms).unwrap_or_default();
        let retry = Retry::due_at(self.outage.pause(now).unwrap_or(now), None);
        if let Some(delivery) = self.deliveries.get_mut(&seq) {
            delivery.stage = Stage::Returning(Nack { delay, retry });
        }
    }

    pub(super) fn due_nack(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let timeout = self.config.attempt_timeout;
        let (seq, fence, delay, attempt) =
            self.deliveries.iter_mut().find_map(|(seq, delivery)| match &mut delivery.stage {
                Stage::Returning(nack) => {
                    let attempt = nack.retry.take_due(call, now, timeout)?;
                    Some((*seq, delivery.fence, nack.delay, attempt))
                }
                _ => None,
            })?;
        let ask = Ask::Nack { agent: self.agent.clone(), seq, fence, delay };
        Some((Subject::Nack(seq), ask, attempt))
    }

    /// The nack under way is answered, for good or bad. False if no answer to this attempt is awaited.
    pub(super) fn on_returned(&mut self, seq: Ordinal, call: CallNumber) -> bool {
        let awaited = self.returning(seq).is_some_and(|nack| nack.retry.awaits(call));
        if awaited {
            self.deliveries.remove(&seq);
        }
        awaited
    }

    pub(super) fn nack_failed(
        &mut self,
        seq: Ordinal,
        call: CallNumber,
        now: Duration,
        least: Duration,
    ) {
        if let Some(Stage::Returning(nack)) =
            self.deliveries.get_mut(&seq).map(|delivery| &mut delivery.stage)
        {
            nack.retry.fail(call, now, least, &mut self.pacing);
        }
    }

    fn returning(&self, seq: Ordinal) -> Option<&Nack> {
        match &self.deliveries.get(&seq)?.stage {
            Stage::Returning(nack) => Some(nack),
            _ => None,
        }
    }

    pub(super) fn due_ack(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let acks = &mut self.acks;
        if acks.sending.is_none() && acks.flush_at.is_some_and(|at| at <= now) {
            let seqs: Vec<Ordinal> = acks.due.iter().take(ACK_MOST).copied().collect();
            for seq in &seqs {
                acks.due.remove(seq);
            }
            acks.flush_at = (!acks.due.is_empty()).then_some(now);
            if !seqs.is_empty() {
                acks.sending = Some(Batch { seqs, retry: Retry::due_at(now, None) });
            }
        }
        let batch = acks.sending.as_mut()?;
        let attempt = batch.retry.take_due(call, now, self.config.attempt_timeout)?;
        let what = Settled::Seqs(batch.seqs.clone());
        let ask = Ask::Ack { agent: self.agent.clone(), what };
        Some((Subject::Ack, ask, attempt))
    }

    /// The ack under way is answered, for good or bad. False if no answer to this attempt is awaited.
    pub(super) fn on_ack_answered(&mut self, call: CallNumber) -> bool {
        self.acks.sending.take_if(|batch| batch.retry.awaits(call)).is_some()
    }

    pub(super) fn ack_failed(&mut self, call: CallNumber, now: Duration, least: Duration) {
        if let Some(batch) = self.acks.sending.as_mut() {
            batch.retry.fail(call, now, least, &mut self.pacing);
        }
    }

    /// Tells the application of losses that it has not acknowledged: at every connect.
    pub(super) fn tell_gap_again(&mut self, gap: Gap) {
        if self.gap.as_ref().is_none_or(|known| known.through < gap.through) {
            self.gap_told = 0;
            self.tell_gap(gap);
        }
    }

    /// Tells the application of losses, once.
    pub(super) fn tell_gap(&mut self, gap: Gap) {
        if gap.through > self.gap_told {
            self.gap_told = gap.through;
            self.events.push_back(Event::Gap(gap));
        }
    }

    /// The application knows of the losses up to `through`, the one that a [`Gap`] ends with.
    pub fn acknowledge_gap(&mut self, at: Reading, through: u64) {
        let retry = Retry::due_at(at.monotonic, Some(self.config.horizon()));
        self.gap = Some(GapAck { through, retry });
    }

    pub(super) fn due_gap_ack(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let gap = self.gap.as_mut()?;
        let attempt = gap.retry.take_due(call, now, self.config.attempt_timeout)?;
        let ask = Ask::Ack { agent: self.agent.clone(), what: Settled::Gap(gap.through) };
        Some((Subject::Gap, ask, attempt))
    }

    pub(super) fn on_gap_answered(&mut self, call: CallNumber) {
        if self.gap.as_ref().is_some_and(|gap| gap.retry.awaits(call)) {
            self.gap = None;
        }
    }

    pub(super) fn gap_ack_failed(&mut self, call: CallNumber, now: Duration, least: Duration) {
        if let Some(gap) = self.gap.as_mut() {
            gap.retry.fail(call, now, least, &mut self.pacing);
        }
    }

    pub(super) fn acks_in_time(&mut self, now: Duration) {
        if let Some(batch) = self.acks.sending.as_mut() {
            batch.retry.pass(now, &mut self.pacing);
        }
        if self.acks.end.is_some_and(|end| end <= now) {
            self.acks.forget();
        }
        if let Some(gap) = self.gap.as_mut()
            && gap.retry.pass(now, &mut self.pacing)
        {
            // It is told again at the next connect.
            self.gap = None;
        }
    }
}
