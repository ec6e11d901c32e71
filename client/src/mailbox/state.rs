//! Callers who wait for what a mailbox session is given and what becomes of its messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mailbus_spec::Ordinal;
use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Gap, Message};
use tokio::sync::{Notify, oneshot, watch};

use super::Status;
use crate::handle::{Callers, State};
use crate::session::mailbox::{
    Accepted, DeliveryId, Event, InHand, MailboxSession, PublicationId, Published,
};

/// Most ephemeral messages that wait for somebody to take them; the oldest are dropped.
const EPHEMERAL_MOST: usize = 1_024;

/// Things that wait for somebody to take them.
#[derive(Debug)]
pub(crate) enum News {
    Delivered {
        delivery: DeliveryId,
        attempt: u64,
        redriven: bool,
        message: Message,
        abandoned: oneshot::Receiver<()>,
        progressed: Arc<AtomicBool>,
    },
    Unhandled(Ordinal, Message),
    Ephemeral(Message),
    Gap(Gap),
    Restored {
        unknown: Vec<Accepted>,
        more: u64,
    },
}

/// Handler that has a delivery in hand.
struct Handler {
    /// Told when its time is over.
    abandoned: oneshot::Sender<()>,
    /// True if it has said lately that it goes on.
    progressed: Arc<AtomicBool>,
}

/// Those who wait for something of a mailbox session, and what waits for them.
#[derive(Default)]
pub struct Waiting {
    publishing: BTreeMap<PublicationId, oneshot::Sender<Published>>,
    handling: BTreeMap<DeliveryId, Handler>,
    news: VecDeque<News>,
    ephemeral: usize,
    status: watch::Sender<Status>,
    /// Rung when there are news, or will be none any more.
    pub(crate) bell: Arc<Notify>,
}

impl State<MailboxSession> {
    pub(crate) fn wait_for(&mut self, publication: PublicationId) -> oneshot::Receiver<Published> {
        let (sender, receiver) = self.promise();
        self.waiting.publishing.extend(sender.map(|sender| (publication, sender)));
        receiver
    }

    /// True once no news will ever come again.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_closed() || self.session.is_over()
    }
}

impl Waiting {
    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The thing that has waited longest, if anything does.
    pub(crate) fn take_news(&mut self) -> Option<News> {
        let taken = self.news.pop_front();
        if matches!(taken, Some(News::Ephemeral(_))) {
            self.ephemeral = self.ephemeral.saturating_sub(1);
        }
        taken
    }

    /// Nobody handles the delivery any more.
    pub(crate) fn forget_delivery(&mut self, delivery: DeliveryId) {
        self.handling.remove(&delivery);
    }

    fn add_news(&mut self, news: News) {
        self.news.push_back(news);
        self.bell.notify_one();
    }

    fn add_ephemeral(&mut self, message: Message) {
        if self.ephemeral >= EPHEMERAL_MOST {
            let oldest = self.news.iter().position(|news| matches!(news, News::Ephemeral(_)));
            oldest.and_then(|oldest| self.news.remove(oldest));
        } else {
            self.ephemeral = self.ephemeral.saturating_add(1);
        }
        self.add_news(News::Ephemeral(message));
    }

    fn add_delivery(&mut self, delivery: DeliveryId, what: (u64, bool, Message)) {
        let (attempt, redriven, message) = what;
        let (sender, abandoned) = oneshot::channel();
        let progressed = Arc::<AtomicBool>::default();
        let handler = Handler { abandoned: sender, progressed: Arc::clone(&progressed) };
        self.handling.insert(delivery, handler);
        self.add_news(News::Delivered {
            delivery,
            attempt,
            redriven,
            message,
            abandoned,
            progressed,
        });
    }
}

impl Callers for MailboxSession {
    type Waiting = Waiting;

    fn pass_on(state: &mut State<Self>, event: Event) {
        let waiting = &mut state.waiting;
        match event {
            Event::Connected { epoch, resumed, refused } => {
                waiting.status.send_replace(Status::Connected { epoch, resumed, refused });
            }
            Event::Disconnected => {
                waiting.status.send_replace(Status::Apart);
            }
            Event::Delivered { delivery, attempt, redriven, message } => {
                waiting.add_delivery(delivery, (attempt, redriven, message));
            }
            Event::Abandoned { delivery } => {
                if let Some(handler) = waiting.handling.remove(&delivery) {
                    let _ = handler.abandoned.send(());
                }
            }
            Event::LongInHand(InHand { seq, from, kind, lasted }) => {
                let seconds = lasted.as_secs();
                tracing::warn!(%seq, %from, %kind, seconds, "a handler is still at a message");
            }
            Event::Unhandled { seq, message } => waiting.add_news(News::Unhandled(seq, message)),
            Event::Ephemeral { message } => waiting.add_ephemeral(message),
            Event::Gap(gap) => waiting.add_news(News::Gap(gap)),
            Event::Published { publication, outcome } => {
                if let Some(publishing) = waiting.publishing.remove(&publication) {
                    let _ = publishing.send(outcome);
                }
            }
            Event::Answered { query, answer } => state.answer(query, answer),
            Event::Restored { unknown, more } => {
                waiting.add_news(News::Restored { unknown, more });
            }
            Event::Ended(why) => {
                waiting.status.send_replace(Status::Ended(why));
                waiting.bell.notify_waiters();
                waiting.bell.notify_one();
            }
        }
    }

    fn let_go(waiting: &mut Waiting) {
        waiting.publishing.clear();
        waiting.handling.clear();
        waiting.bell.notify_waiters();
        waiting.bell.notify_one();
        // Whoever waits for the end looks again.
        waiting.status.send_modify(|_| {});
    }

    /// Handlers say from any thread that they go on.
    fn begin_turn(state: &mut State<Self>, at: Reading) {
        for (delivery, handler) in &state.waiting.handling {
            if handler.progressed.swap(false, Ordering::Relaxed) {
                state.session.progress(at, *delivery);
            }
        }
    }
}
