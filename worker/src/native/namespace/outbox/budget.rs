//! One bound for what waits in all outboxes of a process, and who has to give way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::Outbox;

/// Number of bytes that wait in all outboxes of a process at most, unless its operator says otherwise:
/// 256 MiB.
pub const OUTBOX_BUDGET: usize = 256 << 20;

/// Time to wait before looking at everybody again after nobody could be given up: 100 ms.
const FRUITLESS: Duration = Duration::from_millis(100);

/// Time within which a reader that moves, if slowly, has taken something: 1 s.
const MOVES: Duration = Duration::from_secs(1);

/// Budget of what may wait in all outboxes of a process together.
///
/// A text for many sockets counts once. When the bound is reached, readers are given up until what
/// waits is within it: who has taken nothing the longest goes first, and among those that move the one
/// with most. A reader within its window is never given up for others; what windows allow together may
/// exceed the bound.
pub struct Budget {
    bytes: usize,
    used: AtomicUsize,
    outboxes: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    last: u64,
    by_number: BTreeMap<u64, Weak<Outbox>>,
    /// Time at which nobody could be given up, by [`HostClock::uptime`](crate::native::HostClock::uptime).
    fruitless: Option<Duration>,
}

/// Lag of a reader: whoever is furthest behind, by this order, gives way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Behind {
    /// Time for which it has taken nothing; zero while it moves.
    stalled: Duration,
    bytes: usize,
}

impl Behind {
    pub(super) fn new(stalled: Duration, bytes: usize) -> Self {
        Self { stalled: if stalled < MOVES { Duration::ZERO } else { stalled }, bytes }
    }
}

impl Budget {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes, used: AtomicUsize::new(0), outboxes: Mutex::default() })
    }

    /// Number of bytes that are used.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Adds an outbox to those that may have to give way, for as long as it lives.
    pub(super) fn enter(&self, outbox: impl FnOnce(u64) -> Outbox) -> Arc<Outbox> {
        let mut registry = self.registry();
        registry.last = registry.last.saturating_add(1);
        let outbox = Arc::new(outbox(registry.last));
        let number = registry.last;
        registry.by_number.insert(number, Arc::downgrade(&outbox));
        outbox
    }

    /// An outbox is gone.
    pub(super) fn leave(&self, number: u64) {
        self.registry().by_number.remove(&number);
    }

    pub(super) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Gives readers up until what waits is within the bound, or nobody is left who may be.
    pub(super) fn relieve(&self, now: Duration) {
        while self.used() > self.bytes {
            let outboxes = self.outboxes(now);
            let furthest = outboxes.iter().filter_map(|outbox| Some((outbox.behind(now)?, outbox)));
            let Some((behind, outbox)) = furthest.max_by_key(|(behind, _)| *behind) else {
                self.registry().fruitless = Some(now);
                return;
            };
            tracing::warn!(?behind, "a reader is given up: what waits for all of them is too much");
            outbox.abandon();
        }
    }

    /// All outboxes, unless they have been looked at in vain just before: doing that for every frame
    /// would cost more than it could find.
    ///
    /// They are held beyond the look, since the last hold on an outbox takes it out of the registry.
    fn outboxes(&self, now: Duration) -> Vec<Arc<Outbox>> {
        let mut registry = self.registry();
        if registry.fruitless.is_some_and(|then| now.saturating_sub(then) < FRUITLESS) {
            return Vec::new();
        }
        registry.fruitless = None;
        registry.by_number.values().filter_map(Weak::upgrade).collect()
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // Nothing panics while it is held.
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Budget({} of {} bytes)", self.used(), self.bytes)
    }
}
