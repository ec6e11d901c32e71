//! Deliveries and whatever else an application is given.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mailbus_spec::mailbox::{Gap, Message};
use mailbus_spec::wire::mailbox::payload_of;
use mailbus_spec::{AgentId, Ordinal};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, oneshot};

use super::state::News;
use crate::clocks::Clocks;
use crate::handle::Shared;
use crate::session::mailbox::{Accepted, DeliveryId, Handled, MailboxSession};

/// A message as its recipient reads it.
#[derive(Clone, Debug)]
pub struct Mail {
    message: Message,
    seq: Option<Ordinal>,
    attempt: u64,
    redriven: bool,
    /// `None` for a message that is not in a handler's hands, or that nobody keeps.
    progress: Option<Arc<Progress>>,
}

/// Sign of whoever works on a delivery that it goes on.
#[derive(Debug)]
struct Progress {
    said: Arc<AtomicBool>,
    /// The run loop's.
    bell: Arc<Notify>,
}

impl Mail {
    /// A message that is in nobody's hands.
    fn alone(seq: Option<Ordinal>, message: Message) -> Self {
        Self { message, seq, attempt: 1, redriven: false, progress: None }
    }

    /// Its sender, as the service knows it.
    #[must_use]
    pub fn from(&self) -> &AgentId {
        &self.message.from
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.message.kind.as_str()
    }

    /// Its sender's id for it, if the sender gave it one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.message.id.as_ref().map(mailbus_spec::mailbox::MessageId::as_str)
    }

    /// Its place in the workspace's order; `None` for a message that nobody keeps.
    #[must_use]
    pub fn seq(&self) -> Option<Ordinal> {
        self.seq
    }

    /// 1 + the deliveries on record: a lower bound.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// True if it was a dead letter once.
    #[must_use]
    pub fn is_redriven(&self) -> bool {
        self.redriven
    }

    /// Its payload.
    ///
    /// # Errors
    /// If it is not what is expected; a message without a payload has `null`.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.raw_payload().unwrap_or("null"))
    }

    /// Its payload's JSON text, in its sender's spelling.
    #[must_use]
    pub fn raw_payload(&self) -> Option<&str> {
        self.message.payload.as_deref().or_else(|| payload_of(&self.message.body))
    }

    /// Says that work on it goes on: where handlers have a
    /// [`limit`](crate::session::mailbox::Config::handler_timeout), it counts anew. It may be said from
    /// any thread, and as often as one likes.
    pub fn progress(&self) {
        if let Some(progress) = &self.progress {
            progress.said.store(true, Ordering::Relaxed);
            progress.bell.notify_one();
        }
    }

    /// The whole message, with every member its sender gave it.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }
}

/// A message in the hands of a handler. Say what became of it; dropped, it counts as failed.
#[must_use = "dropped, it counts as failed and comes again"]
pub struct Delivery<K: Clocks> {
    shared: Arc<Shared<K, MailboxSession>>,
    delivery: DeliveryId,
    mail: Mail,
    abandoned: oneshot::Receiver<()>,
    finished: bool,
}

impl<K: Clocks> Delivery<K> {
    /// The message.
    #[must_use]
    pub fn mail(&self) -> &Mail {
        &self.mail
    }

    /// Its place in the workspace's order.
    #[must_use]
    pub fn seq(&self) -> Ordinal {
        self.delivery.seq()
    }

    /// It is done: the message is settled, and will not come again.
    pub fn done(mut self) {
        self.finish(Handled::Done);
    }

    /// It failed: the message comes again after a while, and is given up after
    /// [`MAX_DELIVERIES`](mailbus_spec::limits::MAX_DELIVERIES) failures.
    pub fn failed(mut self) {
        self.finish(Handled::Failed);
    }

    /// Waits until the delivery has taken too long and is given back. It may still be
    /// [`done`](Self::done).
    pub async fn abandoned(&mut self) {
        if (&mut self.abandoned).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn finish(&mut self, handled: Handled) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let delivery = self.delivery;
        self.shared.request(|state, at| {
            state.waiting.forget_delivery(delivery);
            state.session.finish(at, delivery, handled);
        });
    }
}

impl<K: Clocks> Drop for Delivery<K> {
    fn drop(&mut self) {
        self.finish(Handled::Failed);
    }
}

impl<K: Clocks> fmt::Debug for Delivery<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("mail", &self.mail).finish_non_exhaustive()
    }
}

/// Things that an application is given.
#[derive(Debug)]
pub enum Incoming<K: Clocks> {
    /// A message to handle.
    Delivery(Delivery<K>),
    /// A message found no handler, and nobody had chosen to be sent it: it is settled.
    Unhandled(Mail),
    /// A message that nobody keeps.
    Ephemeral(Mail),
    /// Messages were lost: they expired, or failed for good.
    Gap(GapReport<K>),
    /// The storage of the service was restored. Whether what it had accepted is still there is unknown.
    Restored {
        /// Messages accepted last, oldest first.
        unknown: Vec<Accepted>,
        /// Number of those accepted before.
        more: u64,
    },
}

/// Losses that the application is told of: again at every connect, until it acknowledges them.
pub struct GapReport<K: Clocks> {
    shared: Arc<Shared<K, MailboxSession>>,
    gap: Gap,
}

impl<K: Clocks> GapReport<K> {
    /// The loss.
    #[must_use]
    pub fn gap(&self) -> Gap {
        self.gap
    }

    /// The application knows: it is not told of these losses again.
    pub fn acknowledge(self) {
        let through = self.gap.through;
        self.shared.request(|state, at| state.session.acknowledge_gap(at, through));
    }
}

impl<K: Clocks> fmt::Debug for GapReport<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gap.fmt(f)
    }
}

/// Takes what waits longest, or waits for something; `None` once nothing will ever come again.
pub(crate) async fn next<K: Clocks>(
    shared: &Arc<Shared<K, MailboxSession>>,
) -> Option<Incoming<K>> {
    let bell = shared.inspect(|state, _| Arc::clone(&state.waiting.bell));
    loop {
        let (news, silent) = shared.with(|state, _| (state.waiting.take_news(), state.is_silent()));
        match news {
            Some(news) => return Some(incoming(shared, news)),
            None if silent => {
                // Whoever else waits has to see it too.
                bell.notify_one();
                return None;
            }
            None => bell.notified().await,
        }
    }
}

fn incoming<K: Clocks>(shared: &Arc<Shared<K, MailboxSession>>, news: News) -> Incoming<K> {
    let shared = Arc::clone(shared);
    match news {
        News::Delivered { delivery, attempt, redriven, message, abandoned, progressed } => {
            let bell = Arc::clone(&shared.bell);
            let progress = Some(Arc::new(Progress { said: progressed, bell }));
            let mail = Mail { message, seq: Some(delivery.seq()), attempt, redriven, progress };
            Incoming::Delivery(Delivery { shared, delivery, mail, abandoned, finished: false })
        }
        News::Unhandled(seq, message) => Incoming::Unhandled(Mail::alone(Some(seq), message)),
        News::Ephemeral(message) => Incoming::Ephemeral(Mail::alone(None, message)),
        News::Gap(gap) => Incoming::Gap(GapReport { shared, gap }),
        News::Restored { unknown, more } => Incoming::Restored { unknown, more },
    }
}
