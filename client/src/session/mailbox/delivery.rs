//! A delivery: a message that was pushed, and at which stage it is.

use std::collections::BTreeMap;
use std::time::Duration;

use mailbus_spec::Ordinal;
use mailbus_spec::mailbox::{Delay, Fence, Message};

use super::event::InHand;
use crate::session::call::CallNumber;
use crate::session::connection::SocketNumber;
use crate::session::retry::Retry;

/// A message that was pushed and is not settled.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The attempt that it was begun as, or will be.
    pub attempt: u64,
    /// The newest push of it: what a nack gives back.
    pub fence: Option<Fence>,
    /// True if another run may have died of it.
    pub is_suspect: bool,
    pub redriven: bool,
    pub message: Message,
    pub generation: u64,
    /// Socket over which it was pushed last. Gone with it is whatever no handler has begun.
    pub socket: SocketNumber,
    pub stage: Stage,
}

/// Most messages whose pushes are remembered. One that was dropped counts as new to this run.
const PUSHED_MAX: usize = 16_384;

/// Pushes to this run, of what it has not settled.
///
/// A process that lives has not died of what it was pushed before; what another run was pushed may be what
/// that one died of.
#[derive(Debug, Default)]
pub(super) struct Pushed(BTreeMap<Ordinal, Own>);

#[derive(Clone, Copy, Debug, Default)]
struct Own {
    pushes: u64,
    is_suspect: bool,
}

impl Pushed {
    /// Notes a push. True if another run may have died of the message: more deliveries are on record than
    /// were made to this one. A record may be lost, and suspicion stays.
    pub fn note(&mut self, seq: Ordinal, attempt: u64) -> bool {
        if self.0.len() >= PUSHED_MAX && !self.0.contains_key(&seq) {
            self.0.pop_first();
        }
        let own = self.0.entry(seq).or_default();
        own.is_suspect |= attempt.saturating_sub(1) > own.pushes;
        own.pushes = own.pushes.saturating_add(1);
        own.is_suspect
    }

    pub fn settled(&mut self, seq: Ordinal) {
        self.0.remove(&seq);
    }

    /// Nothing that was pushed means anything any more.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// Stage of a delivery.
#[derive(Debug)]
pub(super) enum Stage {
    /// There is no handler for its type. It is given back at `until`.
    Held { until: Duration },
    /// It waits for its turn.
    Ready,
    /// The object is being told that it is about to be handled; at `until` it is handled anyway.
    Announcing { call: Option<CallNumber>, until: Duration },
    /// A handler has it.
    Handling(Handling),
    /// It is being given back.
    Returning(Nack),
}

impl Delivery {
    pub fn timeout(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Held { until } | Stage::Announcing { until, .. } => Some(*until),
            Stage::Handling(handling) => Some(handling.timeout()),
            Stage::Ready => None,
            Stage::Returning(nack) => nack.retry.timeout(),
        }
    }

    pub fn is_begun(&self) -> bool {
        matches!(self.stage, Stage::Announcing { .. } | Stage::Handling(_))
    }

    pub fn in_hand(&self, seq: Ordinal, lasted: Duration) -> InHand {
        let (from, kind) = (self.message.from.clone(), self.message.kind.clone());
        InHand { seq, from, kind, lasted }
    }

    pub fn handling(&self) -> Option<&Handling> {
        match &self.stage {
            Stage::Handling(handling) => Some(handling),
            _ => None,
        }
    }
}

/// Time in its handler's hands after which a delivery is told of for the first time.
const LONG: Duration = Duration::from_secs(300);

/// A delivery that a handler has.
#[derive(Debug)]
pub(super) struct Handling {
    pub number: u64,
    pub since: Duration,
    /// Time at which it is given back, where handlers have a limit.
    pub until: Option<Duration>,
    /// Time at which it is told of as one that has been there for long.
    pub tell_at: Duration,
}

impl Handling {
    pub fn begun(number: u64, now: Duration, limit: Option<Duration>) -> Self {
        let until = limit.map(|limit| now.saturating_add(limit));
        Self { number, since: now, until, tell_at: now.saturating_add(LONG) }
    }

    pub fn timeout(&self) -> Duration {
        self.until.map_or(self.tell_at, |until| until.min(self.tell_at))
    }
}

/// A delivery that is being given back. It is sent until it is answered, the message comes again or the
/// socket is gone: without it the message would stay in flight for as long as the session lives.
#[derive(Debug)]
pub(super) struct Nack {
    pub delay: Delay,
    pub retry: Retry,
}
