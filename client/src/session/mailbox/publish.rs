//! Messages that are sent until they are answered.

use std::time::Duration;

use mailbus_spec::AgentId;
use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Ask, MessageId, Outcome, Rejection};

use super::event::{Accepted, Event, PublicationId, Published};
use super::{ACCEPTED_MEMORY, Config, Draft, Due, MailboxSession, Subject, Unsendable};
use crate::session::call::CallNumber;
use crate::session::retry::{Attempt, Retry};

/// Bytes of a message beyond which it goes over HTTP first: on a slow link it would keep pings and acks from
/// leaving for longer than a socket may be silent.
const SOCKET_BYTES: usize = 64 << 10;
/// Bytes a second of the slowest link that the largest message gets over.
const SLOWEST_LINK: usize = 32 << 10;

/// A message that is sent until it is answered.
#[derive(Debug)]
pub(super) struct Publication {
    ask: Ask,
    /// Bytes of the message.
    length: usize,
    /// There unless it is ephemeral: of those nobody remembers ids, so they are sent once.
    id: Option<MessageId>,
    /// The object's last word, if it did not accept it then and may later.
    held_up: Option<Published>,
}

impl MailboxSession {
    /// Sends a message to every agent whose subscriptions match. [`Event::Published`] tells what became
    /// of it. It need not be connected: commands travel without a socket too.
    ///
    /// # Errors
    /// [`Unsendable`] if it is no message, too much is under way, or the session is over.
    pub fn publish(&mut self, at: Reading, draft: Draft) -> Result<PublicationId, Unsendable> {
        self.send_message(at, draft, |message| Ask::Publish { message })
    }

    /// Sends a message to one agent, known or not yet, or to itself.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn send_to(
        &mut self,
        at: Reading,
        to: AgentId,
        draft: Draft,
    ) -> Result<PublicationId, Unsendable> {
        self.send_message(at, draft, |message| Ask::Send { to, message, must_know: false })
    }

    /// Sends a message to one agent that is known: it is rejected with [`Rejection::UnknownAgent`] if nobody is
    /// known by that name.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn send_to_known(
        &mut self,
        at: Reading,
        to: AgentId,
        draft: Draft,
    ) -> Result<PublicationId, Unsendable> {
        self.send_message(at, draft, |message| Ask::Send { to, message, must_know: true })
    }

    fn send_message(
        &mut self,
        at: Reading,
        draft: Draft,
        command: impl FnOnce(mailbus_spec::mailbox::Message) -> Ask,
    ) -> Result<PublicationId, Unsendable> {
        if self.is_over() || self.shutdown.is_some() {
            return Err(Unsendable::Over);
        }
        if self.publications.len() >= Config::UNDER_WAY {
            return Err(Unsendable::Busy);
        }
        let number = self.next_number();
        let id = format!("{:016x}-{number}", self.nonce);
        let message = draft.compose(&self.agent, &id, at.wall)?;
        let id = message.id.clone().filter(|_| !message.ephemeral);
        let retry = Retry::due_at(at.monotonic, Some(self.config.horizon()));
        let retry = if id.is_some() { retry } else { retry.once() };
        let publication = PublicationId(number);
        let (length, ask) = (message.body.len(), command(message));
        let sent = Publication { ask, length, id, held_up: None };
        self.publications.begin(publication, retry, sent);
        Ok(publication)
    }

    pub(super) fn due_publication(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let least = self.config.attempt_timeout;
        let timeout =
            |sent: &Publication| least.saturating_add(time_on_the_slowest_link(sent.length));
        let (id, sent, attempt) = self.publications.take_due(call, now, timeout)?;
        // A long one begins with the other way.
        let is_long = u32::from(sent.length > SOCKET_BYTES);
        let unanswered = attempt.unanswered.saturating_add(is_long);
        Some((Subject::Publish(id), sent.ask.clone(), Attempt { unanswered, ..attempt }))
    }

    pub(super) fn publication_failed(
        &mut self,
        id: PublicationId,
        call: CallNumber,
        now: Duration,
        least: Duration,
    ) {
        if self.publications.fail(id, call, (now, least), &mut self.pacing) {
            self.give_up_publication(id);
        }
    }

    /// The first answer to attempt `call` is a refusal, for good if nothing else is said of `passes`. While
    /// another attempt is unanswered it is none: what this one was refused for may have passed for that one
    /// ([refuted](mailbus_spec::rules::refuted#a-refusal-beside-a-copy-without-an-answer)).
    pub(super) fn publication_refused(
        &mut self,
        id: PublicationId,
        call: CallNumber,
        (why, passes): (Published, bool),
        (now, least): (Duration, Duration),
    ) {
        if let Some(retry) = self.publications.retry(id) {
            retry.note_refused(call);
        }
        if !passes && !self.publications.any_unanswered(id) {
            return self.on_published(id, why);
        }
        if let Some(sent) = self.publications.get_mut(id) {
            sent.held_up = Some(why);
        }
        self.publication_failed(id, call, now, least);
    }

    /// Nothing of an attempt left. The message waits for one that does, unless the session is over
    /// ([refuted](mailbus_spec::rules::refuted#unknown-for-what-was-never-sent)).
    pub(super) fn publication_unsent(&mut self, id: PublicationId) {
        let Some(retry) = self.publications.retry(id) else { return };
        retry.note_unsent();
        if self.is_over() {
            self.give_up_publication(id);
        }
    }

    /// No further copy is sent. If every copy that left was refused, none was accepted.
    pub(super) fn give_up_publication(&mut self, id: PublicationId) {
        let unanswered = self.publications.any_unanswered(id);
        let Some(sent) = self.publications.get_mut(id) else { return };
        let outcome = match sent.held_up.take() {
            _ if unanswered => Published::Unknown,
            Some(refused) => refused,
            None => Published::Unsent,
        };
        self.on_published(id, outcome);
    }

    /// The object's answer to a message.
    pub(super) fn publication_answered(
        &mut self,
        id: PublicationId,
        call: CallNumber,
        answer: Result<Outcome, Rejection>,
        (now, least): (Duration, Duration),
    ) {
        let outcome = match answer {
            Ok(Outcome::Accepted { seq, recipients, refused, known, near }) => {
                Published::Accepted { seq, recipients, refused, known, near }
            }
            Ok(Outcome::Duplicate { seq, recipients, refused }) => {
                Published::Duplicate { seq, recipients, refused }
            }
            Ok(Outcome::Sent) => Published::Sent,
            Err(why) => {
                // Another session's frames count now; the message itself may go by another way.
                let passes = matches!(
                    why,
                    Rejection::Replaced | Rejection::Overloaded | Rejection::Clock(_)
                );
                let why = (Published::Rejected(why), passes);
                return self.publication_refused(id, call, why, (now, least));
            }
            // What answers no message says nothing about this one.
            Ok(_) => return self.publication_failed(id, call, now, least),
        };
        self.on_published(id, outcome);
    }

    fn on_published(&mut self, publication: PublicationId, outcome: Published) {
        let Some(sent) = self.publications.end(publication) else { return };
        if let Published::Accepted { seq, .. } | Published::Duplicate { seq, .. } = &outcome {
            self.last_seen = self.last_seen.max(Some(*seq));
            if let Some(id) = sent.id {
                self.accepted.push_back(Accepted { id, seq: *seq });
            }
            if self.accepted.len() > ACCEPTED_MEMORY {
                self.accepted.pop_front();
                self.accepted_before = self.accepted_before.saturating_add(1);
            }
        }
        self.events.push_back(Event::Published { publication, outcome });
    }

    /// Nothing more will be sent.
    pub(super) fn give_up_publications(&mut self) {
        let all: Vec<PublicationId> = self.publications.iter().map(|(id, _)| id).collect();
        for id in all {
            self.give_up_publication(id);
        }
    }
}

fn time_on_the_slowest_link(bytes: usize) -> Duration {
    let seconds = bytes.checked_div(SLOWEST_LINK).unwrap_or_default();
    Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
}
