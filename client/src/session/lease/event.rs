//! Inputs and outputs of a lease session besides time.

use std::time::Duration;

use mailbus_spec::belief::ClockAnomaly;
use mailbus_spec::lease::{LeaseReply, OverReason};
use mailbus_spec::{Holder, Ordinal, PathSet, RequestId};

use super::error::AcquireError;
use crate::session::call::{CallFailure, QueryId};

/// The session's name for one acquisition of a caller, whatever requests it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId(pub(super) u64);

/// Something that a caller wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The claim waits in the object's queue.
    Queued {
        /// The claim.
        claim: ClaimId,
        /// Number of overlapping tickets that arrived earlier.
        position: u64,
    },
    /// The claim is held and believed, for the first time.
    Acquired {
        /// The claim.
        claim: ClaimId,
        /// Fences every write under it.
        token: Ordinal,
    },
    /// The claim will not be held. It is gone; what it may still be at the object is being ended.
    Refused {
        /// The claim.
        claim: ClaimId,
        /// Reason.
        refusal: AcquireError,
    },
    /// The lease lives on.
    Renewed {
        /// The claim.
        claim: ClaimId,
        /// Number of others who wait for something of it.
        waiting: u64,
    },
    /// An admin lets the lease end at its expiry: it is still good, and will not be renewed. Told again with
    /// the admin's words if they come later.
    Draining {
        /// The claim.
        claim: ClaimId,
        /// The admin's words; empty as long as only a renewal has told of it.
        reason: String,
    },
    /// The claim was believed and is not any more, for good. It is gone; its token is being released.
    Lost {
        /// The claim.
        claim: ClaimId,
        /// Reason.
        cause: LossCause,
    },
    /// The end of what a caller gave back.
    Released {
        /// The claim.
        claim: ClaimId,
        /// Its outcome.
        ending: Released,
    },
    /// A plain call is answered, or given up on.
    Answered {
        /// The query.
        query: QueryId,
        /// The object's reply.
        answer: Result<LeaseReply, CallFailure>,
    },
    /// The object's storage began another life: an operator restored it. What was granted before may
    /// have been forgotten, and the promises about it are void for a day. What is believed and was not
    /// confirmed in the new life is [lost](LossCause::Restored).
    GenerationChanged {
        /// The generation of the replies before.
        from: u64,
        /// The generation now: a larger one, unless nobody has told the object yet that it was restored.
        to: u64,
    },
}

/// Reason why a lease is believed no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// No renewal came through in time.
    RanOut,
    /// It was held for as long as its caller had allowed at most.
    HeldAtMost,
    /// The client's clocks cannot be trusted.
    Clock(ClockAnomaly),
    /// The object refused to renew it.
    RenewalRefused,
    /// The object says that its time ran out.
    Lapsed,
    /// The object says that its request is over.
    Over(OverReason),
    /// The object's storage was restored, and nothing that was granted before it is relied on. What may
    /// be left of it is given back.
    Restored,
    /// An admin took it.
    Forced {
        /// The admin's words.
        reason: String,
    },
}

/// Outcome of giving a lease back, or of cancelling a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The object ended it.
    Ended,
    /// It had already ended.
    AlreadyOver,
    /// No answer came within the retry horizon: unknown. The session goes on giving it back; at the latest
    /// it ends with its term.
    Unanswered,
}

/// A lease that a session believes to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Believed<'a> {
    /// The claim.
    pub claim: ClaimId,
    /// Its holder.
    pub holder: &'a Holder,
    /// The request that was granted.
    pub request: &'a RequestId,
    /// The paths.
    pub paths: &'a PathSet,
    /// Its token.
    pub token: Ordinal,
    /// The monotonic instant from which it is believed no more unless renewed.
    pub until: Duration,
}
