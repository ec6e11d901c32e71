//! Shutting down: what is under way is finished, the session ended at the object, and nothing opened
//! again.

use std::time::Duration;

use mailbus_spec::Ordinal;
use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{Ask, Connection};

use super::event::Ended;
use super::{Due, MailboxSession, Subject};
use crate::session::call::CallNumber;
use crate::session::retry::Retry;

/// Time that the object has to confirm the end of the session.
const GOODBYE: Duration = Duration::from_secs(2);

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    /// Time at which what is under way is left behind.
    deadline: Duration,
    /// The end of the session, once nothing is under way; then `deadline` is the end of all.
    goodbye: Option<Goodbye>,
}

#[derive(Debug)]
struct Goodbye {
    epoch: Ordinal,
    retry: Retry,
}

impl Shutdown {
    pub(super) fn timeout(&self) -> Option<Duration> {
        Some(self.deadline)
    }
}

impl MailboxSession {
    /// Ends the session for good: nothing more is given to handlers, nothing more can be sent, and no
    /// socket is opened again. What is under way has
    /// [`shutdown_timeout`](super::Config::shutdown_timeout) to be finished;
    /// [`Event::Ended`](super::Event::Ended) tells the end.
    pub fn shut_down(&mut self, at: Reading) {
        if self.is_over() || self.shutdown.is_some() {
            return;
        }
        let now = at.monotonic;
        let deadline = now.saturating_add(self.config.shutdown_timeout);
        self.shutdown = Some(Shutdown { deadline, goodbye: None });
        self.acks.flush(now);
        self.leave_if_done(now);
    }

    pub(super) fn shutdown_in_time(&mut self, now: Duration) {
        let Some(shutdown) = &self.shutdown else { return };
        if shutdown.deadline > now {
            self.leave_if_done(now);
        } else if shutdown.goodbye.is_none() {
            self.say_goodbye(now);
        } else {
            self.leave(now);
        }
    }

    /// Goes on with the shutdown, if there is one and nothing is under way any more.
    pub(super) fn leave_if_done(&mut self, now: Duration) {
        let waits = self.shutdown.as_ref().is_some_and(|shutdown| shutdown.goodbye.is_none());
        let busy = self.is_handling()
            || !self.acks.is_empty()
            || !self.publications.is_empty()
            || !self.queries.is_empty();
        if waits && !busy {
            self.say_goodbye(now);
        }
    }

    fn say_goodbye(&mut self, now: Duration) {
        let Some(epoch) = self.epoch() else { return self.leave(now) };
        let retry = Retry::due_at(now, None).once();
        let deadline = now.saturating_add(GOODBYE);
        self.shutdown = Some(Shutdown { deadline, goodbye: Some(Goodbye { epoch, retry }) });
    }

    pub(super) fn due_disconnect(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let goodbye = self.shutdown.as_mut()?.goodbye.as_mut()?;
        let attempt = goodbye.retry.take_due(call, now, GOODBYE)?;
        let connection = Connection { agent: self.agent.clone(), epoch: goodbye.epoch };
        Some((Subject::Disconnect, Ask::Disconnect { connection }, attempt))
    }

    /// The session is over at the object, or nobody says.
    pub(super) fn leave(&mut self, now: Duration) {
        if self.shutdown.is_none() {
            return;
        }
        self.give_up_publications();
        self.give_up_queries();
        self.end(Ended::ShutDown, now);
        self.acks.forget();
        self.gap = None;
        // Whatever handlers still do with it, it comes again.
        self.deliveries.clear();
    }

    /// The socket is gone, and the session with it: a shutdown has nobody left to say goodbye to.
    pub(super) fn note_disconnected(&mut self, now: Duration) {
        if self.shutdown.as_ref().is_some_and(|shutdown| shutdown.goodbye.is_some()) {
            self.leave(now);
        }
    }
}
