//! Leases for callers: a client, and a guard that knows when it stops being good.

pub(crate) mod state;
mod term;

use std::fmt;
use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::{Command, LeaseEntry, LeaseReply, Outcome, Rejection, TicketEntry};
use mailbus_spec::path::{InvalidPath, InvalidPaths};
use mailbus_spec::{LeasePath, Ordinal, PathSet, Timestamp};
use tokio::sync::watch;

use crate::abandon::is_abandoning;
use crate::clocks::{Clocks, RunningClocks};
use crate::error::{AcquireError, CallError, ReleaseError};
use crate::handle::{Handle, State};
use crate::session::lease::{Acquisition, ClaimId, LeaseSession, LossCause, Released};
use crate::session::{CallFailure, Session};
use state::{Granted, Standing};

/// One agent's access to the leases of a workspace. Clones share one session.
///
/// It does nothing by itself: the run loop that it came with has to be polled.
pub struct LeaseClient<K: Clocks> {
    handle: Handle<K, LeaseSession>,
}

impl<K: Clocks> Clone for LeaseClient<K> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}

/// The claimable set of some paths, spelled in any way.
///
/// # Errors
/// [`AcquireError::Path`] and [`AcquireError::Paths`] say what is wrong with them.
pub fn path_set<P: AsRef<str>>(
    paths: impl IntoIterator<Item = P>,
) -> Result<PathSet, AcquireError> {
    let parsed: Result<Vec<LeasePath>, InvalidPath> =
        paths.into_iter().map(|path| LeasePath::new(path.as_ref())).collect();
    PathSet::new(parsed.map_err(AcquireError::Path)?)
        .map_err(|invalid: InvalidPaths| AcquireError::Paths(invalid))
}

impl<K: Clocks> LeaseClient<K> {
    pub(crate) fn new(handle: Handle<K, LeaseSession>) -> Self {
        Self { handle }
    }

    /// Acquires a set of paths, all or none, under one token.
    ///
    /// Returns as soon as the lease is not only granted but also believed, and so good to use. Dropped
    /// before that, the claim is cancelled.
    ///
    /// # Errors
    /// [`AcquireError`] says why it is not held. Unless it says `Unanswered`, nothing of it is left
    /// at the object but what is already being cancelled.
    pub async fn acquire(&self, wanted: Acquisition) -> Result<Lease<K>, AcquireError> {
        let paths = wanted.paths.clone();
        let begin = |state: &mut State<LeaseSession>, at| state.session.acquire(at, wanted);
        let (claim, granted) = self.granted(begin).await?;
        let Granted { token, standing } = granted;
        let handle = self.handle.clone();
        Ok(Lease { handle, claim, token, paths, standing, given_back: false })
    }

    /// Waits until the claim that is begun is granted. Dropped before that, it is given up.
    async fn granted(
        &self,
        begin: impl FnOnce(&mut State<LeaseSession>, Reading) -> ClaimId,
    ) -> Result<(ClaimId, Granted), AcquireError> {
        let (claim, answer) = self.handle.request(|state, at| {
            let claim = begin(state, at);
            (claim, state.wait_for(claim))
        });
        let pending = Pending { handle: &self.handle, claim };
        let answer = answer.await;
        std::mem::forget(pending);
        match answer {
            Ok(Ok(granted)) => Ok((claim, granted)),
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(AcquireError::Closed),
        }
    }

    /// Holder of a path, and its queue.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer.
    pub async fn status(&self, path: LeasePath) -> Result<PathStatus, CallError> {
        match self.call(Command::Status { path }).await?.answer {
            Ok(Outcome::Free { queue, reserved }) => Ok(PathStatus::Free { queue, reserved }),
            Ok(Outcome::Held { lease, paths, queue }) => {
                Ok(PathStatus::Held { lease, paths, queue })
            }
            other => Err(CallError::of(other)),
        }
    }

    /// A page of the leased paths that begin with `prefix`, in byte order, after `after`; at most
    /// `limit`, 1 ..= [`LIST_MAX`](mailbus_spec::limits::LIST_MAX). The flag says whether there are more.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<LeasePath>,
        limit: usize,
    ) -> Result<(Vec<LeaseEntry>, bool), CallError> {
        let prefix = prefix.to_owned();
        match self.call(Command::List { prefix, after, limit }).await?.answer {
            Ok(Outcome::Leases { leases, more }) => Ok((leases, more)),
            other => Err(CallError::of(other)),
        }
    }

    /// Time until which `token` guards `path` by the object's clock unless renewed or released, or
    /// `None` if it does not: what a resource asks that keeps no memory of its own.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer.
    pub async fn verify(
        &self,
        path: LeasePath,
        token: Ordinal,
    ) -> Result<Option<Timestamp>, CallError> {
        match self.call(Command::Verify { path, token }).await?.answer {
            Ok(Outcome::Current { expires_at }) => Ok(Some(expires_at)),
            Ok(Outcome::Stale) => Ok(None),
            other => Err(CallError::of(other)),
        }
    }

    /// A page of the live tickets of a prefix in order of arrival, after `after`, which is 0 or the arrival
    /// of the last; at most `limit`, 1 ..= [`LIST_MAX`](mailbus_spec::limits::LIST_MAX).
    ///
    /// # Errors
    /// [`CallError`] if there is no answer, or an object that does not list tickets gave one.
    pub async fn tickets(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Tickets, CallError> {
        let prefix = prefix.to_owned();
        let reply = self.call(Command::Tickets { prefix, after, limit }).await?;
        match reply.answer {
            Ok(Outcome::Tickets { tickets, more }) => {
                Ok(Tickets { tickets, more, generation: reply.commit.generation })
            }
            other => Err(CallError::of(other)),
        }
    }

    /// Ends somebody's ticket (admin), by its arrival and the generation that it was told in. False if it
    /// does not wait any more: it is over, or was granted.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer.
    pub async fn force_ticket(&self, arrival: u64, generation: u64) -> Result<bool, CallError> {
        match self.call(Command::ForceTicket { arrival, generation }).await?.answer {
            Ok(Outcome::Released) => Ok(true),
            Err(Rejection::Lost) => Ok(false),
            other => Err(CallError::of(other)),
        }
    }

    /// Ends somebody's lease (admin): at once, or with `drain` at its expiry, which breaks no belief.
    /// False if there is no such lease any more.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer.
    pub async fn force_release(
        &self,
        token: Ordinal,
        reason: impl Into<String>,
        drain: bool,
    ) -> Result<bool, CallError> {
        let reason = reason.into();
        match self.call(Command::ForceRelease { token, reason, drain }).await?.answer {
            Ok(Outcome::Released) => Ok(true),
            Err(Rejection::Lost) => Ok(false),
            other => Err(CallError::of(other)),
        }
    }

    /// Says that the storage was restored to an earlier state (admin): no token up to `at_least` will
    /// be issued again. Returns the new generation. It is sent once.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer; it may have taken effect then.
    pub async fn recover(&self, at_least: Ordinal) -> Result<u64, CallError> {
        let reply = self.call(Command::Recover { at_least }).await?;
        match reply.answer {
            Ok(Outcome::Recovered) => Ok(reply.commit.generation),
            other => Err(CallError::of(other)),
        }
    }

    /// Asks the object something and returns its reply as it is. `Acquire`, `Renew`, `Release` and
    /// `Cancel` of this session are not for here: what they change, the session would not know.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer.
    pub async fn call(&self, command: Command) -> Result<LeaseReply, CallError> {
        let asked = self.handle.asked(|session, at| Some(session.ask(at, command)));
        Ok(asked.await.unwrap_or(Err(CallFailure::Closed))?)
    }

    /// The run loop ends as soon as nothing is held or wanted, whoever has a handle.
    pub(crate) fn retire(&self) {
        self.handle.retire();
    }

    /// The generation of the object's storage, changing when a restore was seen. 0 until then.
    #[must_use]
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.handle.with(|state, _| state.generation())
    }

    /// Looks at the session and the clocks without touching either: for checkers.
    pub fn inspect<T>(&self, look: impl FnOnce(&LeaseSession, Reading) -> T) -> T {
        self.handle.inspect(|state, at| look(&state.session, at))
    }
}

/// Status of a path: who holds it, and who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStatus {
    /// Nobody.
    Free {
        /// Number of those who wait for it.
        queue: u64,
        /// The first of them, who goes before whoever comes.
        reserved: Option<TicketEntry>,
    },
    /// Somebody.
    Held {
        /// The lease.
        lease: LeaseEntry,
        /// The whole set it covers.
        paths: PathSet,
        /// Number of those who wait for the path.
        queue: u64,
    },
}

/// A page of tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tickets {
    /// The tickets, in order of arrival.
    pub tickets: Vec<TicketEntry>,
    /// True if there are more after the last.
    pub more: bool,
    /// Generation that their arrivals are of.
    pub generation: u64,
}

/// A claim whose caller waits: dropped, it is given up.
struct Pending<'a, K: Clocks> {
    handle: &'a Handle<K, LeaseSession>,
    claim: ClaimId,
}

impl<K: Clocks> Drop for Pending<'_, K> {
    fn drop(&mut self) {
        self.handle.request(|state, at| state.give_up(at, self.claim));
    }
}

/// A held set of paths. The session renews it; dropped, it is released in the background.
///
/// Dropped with a handler that is given up on, at its time limit or in a shutdown, it
/// [`lapses`](Self::lapse) instead: what the handler waited for may still be at work.
///
/// Ask [`is_valid`](Self::is_valid) *right before* each write. A process may still be put aside
/// between asking and writing, so a resource that can should check [`token`](Self::token) too.
///
/// Inside a Worker there is no `is_valid`: [its clock](RunningClocks) stands still while the Worker
/// computes. There, ask the object with [`LeaseClient::verify`], or have the resource check the token.
///
/// Invariant: once it is not valid, it never is again.
#[must_use = "dropped, it is released"]
pub struct Lease<K: Clocks> {
    handle: Handle<K, LeaseSession>,
    claim: ClaimId,
    token: Ordinal,
    paths: PathSet,
    standing: watch::Receiver<Standing>,
    /// True if a drop has nothing left to do.
    given_back: bool,
}

impl<K: RunningClocks> Lease<K> {
    /// True if the lease is certainly still held: both local clocks say that its term has not passed.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let valid = self.handle.with(|state, at| state.session.believes(at, self.claim));
        if !valid {
            // The loop may not have noticed yet, and there is a token to release.
            self.handle.bell.notify_one();
        }
        valid
    }

    /// The instant, by the client's monotonic clock, from which it is not valid unless renewed before;
    /// `None` if it is not valid now.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.handle.with(|state, at| {
            state.session.believes(at, self.claim).then(|| state.session.deadline(self.claim))
        })?
    }

    /// Time that it stays valid unless renewed; zero if it is not valid now.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.handle.with(|state, at| {
            let valid = state.session.believes(at, self.claim);
            let deadline = state.session.deadline(self.claim).filter(|_| valid);
            deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_sub(at.monotonic))
        })
    }
}

impl<K: Clocks> Lease<K> {
    /// Fences every write under this lease: a resource that remembers the largest it saw refuses
    /// whoever held the paths before.
    #[must_use]
    pub fn token(&self) -> Ordinal {
        self.token
    }

    /// The paths.
    #[must_use]
    pub fn paths(&self) -> &PathSet {
        &self.paths
    }

    /// The session's name for it.
    #[must_use]
    pub fn claim(&self) -> ClaimId {
        self.claim
    }

    /// Number of others who wait for something of it, as of its last renewal: a polite holder lets go.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.handle.with(|state, _| state.session.waiting(self.claim))
    }

    /// Words of the admin who lets the lease end at its expiry, if one does.
    #[must_use]
    pub fn draining(&self) -> Option<String> {
        match &*self.standing.borrow() {
            Standing::Draining(reason) => Some(reason.clone()),
            Standing::Held | Standing::Lost(_) => None,
        }
    }

    /// Waits until the lease is lost, and says why. It notices when the run loop does; the clocks are
    /// looked at more closely by [`is_valid`](Self::is_valid).
    pub async fn lost(&self) -> LossCause {
        let mut standing = self.standing.clone();
        loop {
            if let Standing::Lost(cause) = &*standing.borrow_and_update() {
                return cause.clone();
            }
            if standing.changed().await.is_err() {
                let last = standing.borrow().clone();
                return match last {
                    Standing::Lost(cause) => cause,
                    Standing::Held | Standing::Draining(_) => LossCause::RanOut,
                };
            }
        }
    }

    /// Lets the lease end with its term instead of giving it back: for who cannot say that the work
    /// under it has ended. It stops being valid at once, and nobody has its paths for up to its TTL.
    pub fn lapse(mut self) {
        self.given_back = true;
        self.handle.request(|state, at| state.lapse(at, self.claim));
    }

    /// Gives the lease back. It stops being valid at once, before anything is sent.
    ///
    /// # Errors
    /// [`ReleaseError::Lost`] if it had already ended, so that something written under it may have
    /// come too late; [`ReleaseError::Unanswered`] if nobody said.
    pub async fn release(mut self) -> Result<(), ReleaseError> {
        self.given_back = true;
        let ending = self.handle.request(|state, at| {
            let ending = state.wait_for_release(self.claim);
            state.session.release(at, self.claim);
            ending
        });
        match ending.await {
            Ok(Released::Ended) => Ok(()),
            Ok(Released::AlreadyOver) => Err(ReleaseError::Lost),
            Ok(Released::Unanswered) | Err(_) => Err(ReleaseError::Unanswered),
        }
    }
}

impl<K: Clocks> Drop for Lease<K> {
    fn drop(&mut self) {
        if self.given_back {
            return;
        }
        let claim = self.claim;
        self.handle.request(|state, at| {
            if is_abandoning() { state.lapse(at, claim) } else { state.give_up(at, claim) }
        });
    }
}

impl<K: Clocks> fmt::Debug for Lease<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("token", &self.token)
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

impl<K: Clocks> fmt::Debug for LeaseClient<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inspect(|session, _| session.fmt(f))
    }
}
