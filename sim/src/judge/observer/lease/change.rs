//! Changes by an event of the object, by its own words.

use mailbus_spec::{Holder, Ordinal, RequestId, Timestamp};

use crate::judge::observer::lease::{Lease, Ticket};

/// End of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfLease {
    /// Its time ran out.
    Lapsed,
    /// Its holder gave it back.
    Released,
    /// Its holder cancelled the request.
    Cancelled,
    /// An admin ended it.
    Forced,
    /// Its time ran out while an admin drained it.
    Drained,
    /// The object said, before its expiry, that it is no more, and gave no reason that stands.
    Denied,
}

/// End of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfTicket {
    /// It became a lease.
    Granted,
    /// Its time ran out.
    TimedOut,
    /// Its holder cancelled the request.
    Cancelled,
    /// An admin ended it.
    Forced,
    /// The object said, before its deadline, that it is no more, and gave no reason that stands.
    Denied,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A lease began.
    Granted {
        /// It.
        lease: Lease,
        /// True if it was a ticket before.
        from_queue: bool,
    },
    /// A lease was given more time.
    Extended {
        /// Its token.
        token: Ordinal,
        /// Its expiry before.
        from: Timestamp,
        /// Its expiry now.
        to: Timestamp,
    },
    /// A lease ended.
    Ended {
        /// It, as it was.
        lease: Lease,
        /// Kind of its end.
        how: EndOfLease,
    },
    /// An admin began to drain a lease.
    Draining {
        /// Its token.
        token: Ordinal,
    },
    /// A ticket began.
    Queued {
        /// Its arrival.
        arrival: u64,
    },
    /// A ticket was asked for again.
    AskedAgain {
        /// Its arrival.
        arrival: u64,
        /// The position before.
        from: u64,
        /// The position told now.
        to: u64,
    },
    /// A ticket ended.
    TicketEnded {
        /// It, as it was.
        ticket: Ticket,
        /// Its arrival.
        arrival: u64,
        /// Kind of its end.
        how: EndOfTicket,
    },
    /// A request that was not known was cancelled.
    Tombstone {
        /// Holder of it.
        holder: Holder,
        /// Request id of the attempt.
        request: RequestId,
    },
}
