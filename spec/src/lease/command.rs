//! Commands that the lease object may be given.

use alloc::string::String;

use crate::id::{Holder, RequestId};
use crate::ordinal::Ordinal;
use crate::path::{LeasePath, PathSet};
use crate::time::{Ttl, Wait};

/// One command. Every value is within its bounds by construction, so a machine never meets a
/// malformed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Asks for a set of paths, or for the present state of an earlier request.
    Acquire(Acquire),
    /// Asks for more time. Never shortens.
    Renew {
        /// Holder of it.
        holder: Holder,
        /// The lease's token.
        token: Ordinal,
        /// Time for which it shall live from now on.
        ttl: Ttl,
        /// True if its holder knows what a drain is: then a lease that is drained is answered as such, and
        /// not as lost.
        drain: bool,
    },
    /// Gives a lease back.
    Release {
        /// Holder of it.
        holder: Holder,
        /// Lease that is meant.
        target: ReleaseTarget,
    },
    /// Ends a request whatever it became.
    Cancel {
        /// Holder of the request.
        holder: Holder,
        /// Request id of the attempt.
        request: RequestId,
    },
    /// Asks who holds a path.
    Status {
        /// The path.
        path: LeasePath,
    },
    /// Asks for the leased paths that begin with a prefix, in the order of their keys.
    List {
        /// Beginning of them, in any spelling: `src/a` is the beginning of `src/A.rs` and of `src/a/b`.
        /// Empty for all. Paths are normalised, so only the beginning of a normalised path finds
        /// something: the wire drops a leading `/` and `./`, and refuses what no path begins with.
        prefix: String,
        /// The last path of the page before, or nothing.
        after: Option<LeasePath>,
        /// Most entries, 1 ..= [`limits::LIST_MAX`](crate::limits::LIST_MAX). A page ends earlier
        /// where another entry would pass [`limits::LIST_MAX_BYTES`](crate::limits::LIST_MAX_BYTES).
        limit: usize,
    },
    /// Asks for the live tickets of a prefix, in order of arrival: who waits, for what, since when.
    Tickets {
        /// Beginning of one of their paths, as of `List`.
        prefix: String,
        /// The arrival of the last ticket of the page before, or 0.
        after: u64,
        /// Most tickets, with the same bounds as those of `List`.
        limit: usize,
    },
    /// Asks whether a token still guards a path: what a resource asks that keeps no memory of its own.
    Verify {
        /// The path.
        path: LeasePath,
        /// The token that somebody showed.
        token: Ordinal,
    },
    /// Ends somebody's lease (admin). It needs the token: a retry must not end the next lease.
    ForceRelease {
        /// The lease's token.
        token: Ordinal,
        /// Reason for its holder, at most
        /// [`limits::REASON_MAX_BYTES`](crate::limits::REASON_MAX_BYTES).
        reason: String,
        /// True if it may live on to its expiry, which nothing then moves.
        drain: bool,
    },
    /// Ends somebody's ticket (admin). An arrival is of one generation: after a restore the same may come
    /// again.
    ForceTicket {
        /// The ticket's arrival.
        arrival: u64,
        /// Generation that it arrived in, as the commit of the answer says that named it.
        generation: u64,
    },
    /// Says that the storage was restored to an earlier state (admin): a new generation begins.
    Recover {
        /// No smaller token may be issued again. Its anchor lies in [2024, 2200).
        at_least: Ordinal,
    },
}

/// Lease that a release means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseTarget {
    /// The one with this token. A holder with a session has to say it.
    Token(Ordinal),
    /// The one that covers this path, whole: the original's protocol, without a session only.
    Path(LeasePath),
}

/// Asks for a set of paths, all or none.
///
/// Invariant: a holder with a session names its request; a wait needs a named request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire {
    holder: Holder,
    request: Option<RequestId>,
    paths: PathSet,
    ttl: Ttl,
    wait: Option<Wait>,
}

/// Reason why the parts of an [`Acquire`] do not make one (400 `malformed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedAcquire {
    /// A holder with a session gave no request id.
    SessionNeedsRequest,
    /// A wait without a request id could never be asked about again.
    WaitNeedsRequest,
}

impl Acquire {
    /// The command of these parts.
    ///
    /// # Errors
    /// [`MalformedAcquire`] when a request id is missing that has to be there.
    pub fn new(
        holder: Holder,
        request: Option<RequestId>,
        paths: PathSet,
        ttl: Ttl,
        wait: Option<Wait>,
    ) -> Result<Self, MalformedAcquire> {
        if request.is_none() {
            if !holder.session.is_original() {
                return Err(MalformedAcquire::SessionNeedsRequest);
            }
            if wait.is_some() {
                return Err(MalformedAcquire::WaitNeedsRequest);
            }
        }
        Ok(Self { holder, request, paths, ttl, wait })
    }

    /// Holder that asks.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// The client's name for this attempt to hold the set.
    #[must_use]
    pub fn request(&self) -> Option<&RequestId> {
        self.request.as_ref()
    }

    /// Set that is asked for.
    #[must_use]
    pub fn paths(&self) -> &PathSet {
        &self.paths
    }

    /// Term that is asked for.
    #[must_use]
    pub fn ttl(&self) -> Ttl {
        self.ttl
    }

    /// Time for which a place in the queue is kept without being asked for again; `None` refuses to queue.
    #[must_use]
    pub fn wait(&self) -> Option<Wait> {
        self.wait
    }
}

impl Command {
    /// The command's name on the wire and in scripts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Acquire(_) => "acquire",
            Self::Renew { .. } => "renew",
            Self::Release { .. } => "release",
            Self::Cancel { .. } => "cancel",
            Self::Status { .. } => "status",
            Self::List { .. } | Self::Tickets { .. } => "list",
            Self::Verify { .. } => "verify",
            Self::ForceRelease { .. } | Self::ForceTicket { .. } => "force-release",
            Self::Recover { .. } => "recover",
        }
    }
}
