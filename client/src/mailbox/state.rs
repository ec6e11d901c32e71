//! A mail session with those who wait for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mailbus_spec::Ordinal;
use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Gap, MailboxReply, Message};
use tokio::sync::{Notify, oneshot, watch};

use super::Status;
use crate::handle::Waiters;
use crate::session::mailbox::{
    Accepted, DeliveryId, Event, InHand, MailboxSession, PublicationId, Published,
};
use crate::session::{CallFailure, QueryId};

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

/// A mail session with those who wait for it.
pub(crate) struct State {
    pub(crate) session: MailboxSession,
    publishing: BTreeMap<PublicationId, oneshot::Sender<Published>>,
    asking: BTreeMap<QueryId, oneshot::Sender<Result<MailboxReply, CallFailure>>>,
    handling: BTreeMap<DeliveryId, Handler>,
    news: VecDeque<News>,
    ephemeral: usize,
    status: watch::Sender<Status>,
    /// Rung when there are news, or will be none any more.
    pub(crate) bell: Arc<Notify>,
    closed: bool,
}

impl State {
    pub(crate) fn new(session: MailboxSession) -> Self {
        Self {
            session,
            publishing: BTreeMap::new(),
            asking: BTreeMap::new(),
            handling: BTreeMap::new(),
            news: VecDeque::new(),
            ephemeral: 0,
            status: watch::Sender::new(Status::Apart),
            bell: Arc::new(Notify::new()),
            closed: false,
        }
    }

    pub(crate) fn wait_for(&mut self, publication: PublicationId) -> oneshot::Receiver<Published> {
        let (sender, receiver) = oneshot::channel();
        if !self.closed {
            self.publishing.insert(publication, sender);
        }
        receiver
    }

    pub(crate) fn wait_for_answer(
        &mut self,
        query: QueryId,
    ) -> oneshot::Receiver<Result<MailboxReply, CallFailure>> {
        let (sender, receiver) = oneshot::channel();
        if !self.closed {
            self.asking.insert(query, sender);
        }
        receiver
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn forget(&mut self, query: QueryId) {
        self.asking.remove(&query);
        self.session.forget(query);
    }

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

    /// True once no news will ever come again.
    pub(crate) fn is_silent(&self) -> bool {
        self.closed || self.session.is_over()
    }

    /// True once the run loop has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nobody handles the delivery any more.
    pub(crate) fn forget_delivery(&mut self, delivery: DeliveryId) {
        self.handling.remove(&delivery);
    }

    /// Lets the session know which handlers have said that they go on.
    pub(crate) fn note_progress(&mut self, at: Reading) {
        for (delivery, handler) in &self.handling {
            if handler.progressed.swap(false, Ordering::Relaxed) {
                self.session.progress(at, *delivery);
            }
        }
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

impl Waiters for State {
    /// Receivers that are gone want to know nothing, so what cannot be sent is dropped.
    fn pass_on_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connected { epoch, resumed, refused } => {
                    self.status.send_replace(Status::Connected { epoch, resumed, refused });
                }
                Event::Disconnected => {
                    self.status.send_replace(Status::Apart);
                }
                Event::Delivered { delivery, attempt, redriven, message } => {
                    self.add_delivery(delivery, (attempt, redriven, message));
                }
                Event::Abandoned { delivery } => {
                    if let Some(handler) = self.handling.remove(&delivery) {
                        let _ = handler.abandoned.send(());
                    }
                }
                Event::LongInHand(InHand { seq, from, kind, lasted }) => {
                    let seconds = lasted.as_secs();
                    tracing::warn!(%seq, %from, %kind, seconds, "a handler is still at a message");
                }
                Event::Unhandled { seq, message } => {
                    self.add_news(News::Unhandled(seq, message));
                }
                Event::Ephemeral { message } => self.add_ephemeral(message),
                Event::Gap(gap) => self.add_news(News::Gap(gap)),
                Event::Published { publication, outcome } => {
                    if let Some(publishing) = self.publishing.remove(&publication) {
                        let _ = publishing.send(outcome);
                    }
                }
                Event::Answered { query, answer } => {
                    if let Some(asking) = self.asking.remove(&query) {
                        let _ = asking.send(answer);
                    }
                }
                Event::Restored { unknown, more } => {
                    self.add_news(News::Restored { unknown, more });
                }
                Event::Ended(why) => {
                    self.status.send_replace(Status::Ended(why));
                    self.bell.notify_waiters();
                    self.bell.notify_one();
                }
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.publishing.clear();
        self.asking.clear();
        self.handling.clear();
        self.bell.notify_waiters();
        self.bell.notify_one();
        // Whoever waits for the end looks again.
        self.status.send_modify(|_| {});
    }
}
