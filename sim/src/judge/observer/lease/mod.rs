//! The observer of the lease object: which leases and tickets there are, by the object's own words.
//!
//! It is kept from the observed replies and pushes alone, not by the reference model, so that the
//! invariants stand on what clients were told. It knows no rule but arithmetic: a lease ends at the
//! last expiry that was named for it unless something said that ended it before.

mod change;
mod claims;
mod replies;

use std::collections::BTreeMap;

use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::{Clock, Holder, Ordinal, PathSet, RequestId, Timestamp};

use crate::clock::TrueTime;
use crate::judge::history::Happened;
use crate::judge::observer;

pub use change::{Change, EndOfLease, EndOfTicket};

/// Event of a lease object.
pub type LeaseEvent = Happened<LeaseMachine>;
/// One event of a lease object, when it has been read.
pub type Moment<'a> = observer::Moment<'a, LeaseObserver>;

/// A lease as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Holder of it.
    pub holder: Holder,
    /// The request that was granted; none in the original's protocol.
    pub request: Option<RequestId>,
    /// Set that it covers.
    pub paths: PathSet,
    /// Its token.
    pub token: Ordinal,
    /// Time at which it was granted, by the object.
    pub granted: Timestamp,
    /// The latest expiry that was told.
    pub expires_at: Timestamp,
    /// True if an admin drains it.
    pub draining: bool,
}

/// A ticket as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Holder of it.
    pub holder: Holder,
    /// The request that waits.
    pub request: RequestId,
    /// Set that it waits for.
    pub paths: PathSet,
    /// Time at which its place is given up, by the object.
    pub deadline: Timestamp,
    /// Time at which it came, truly.
    pub asked: TrueTime,
    /// The position it was last told.
    pub position: u64,
}

/// A request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The token it had, if it was granted.
    pub token: Option<Ordinal>,
    /// End of the lease, if there was one.
    pub lease: Option<EndOfLease>,
    /// Time at which it ended, by the object; a Cancel renews it.
    pub at: Timestamp,
}

/// Everything that is live, by the object's own words.
#[derive(Clone, Debug, Default)]
pub struct LeaseObserver {
    /// The object's clock, as its answers move it.
    pub clock: Clock,
    /// Live leases by token.
    pub leases: BTreeMap<Ordinal, Lease>,
    /// Live tickets by arrival.
    pub tickets: BTreeMap<u64, Ticket>,
    /// Ended requests with a name.
    pub ended: BTreeMap<(Holder, RequestId), Ended>,
    /// Ended leases by token, with whose they were.
    pub past: BTreeMap<Ordinal, (Holder, Ended)>,
    /// The largest token told.
    pub last_token: Ordinal,
    /// Tickets that an operator was told of, by generation and arrival.
    named: BTreeMap<(u64, u64), (Holder, RequestId)>,
    arrivals: u64,
}

impl LeaseObserver {
    /// The live lease of an attempt.
    #[must_use]
    pub fn lease_of(&self, holder: &Holder, request: &RequestId) -> Option<&Lease> {
        self.leases
            .values()
            .find(|lease| lease.holder == *holder && lease.request.as_ref() == Some(request))
    }

    /// The live ticket of an attempt, and its arrival.
    #[must_use]
    pub fn ticket_of(&self, holder: &Holder, request: &RequestId) -> Option<(u64, &Ticket)> {
        self.tickets
            .iter()
            .find(|(_, ticket)| ticket.holder == *holder && ticket.request == *request)
            .map(|(arrival, ticket)| (*arrival, ticket))
    }

    /// The live leases that overlap `paths`.
    pub fn leases_on<'a>(&'a self, paths: &'a PathSet) -> impl Iterator<Item = &'a Lease> {
        self.leases.values().filter(|lease| lease.paths.overlaps(paths))
    }

    /// The live tickets that overlap `paths`, in order of arrival.
    pub fn tickets_on<'a>(&'a self, paths: &'a PathSet) -> impl Iterator<Item = (u64, &'a Ticket)> {
        self.tickets
            .iter()
            .filter(|(_, ticket)| ticket.paths.overlaps(paths))
            .map(|(arrival, ticket)| (*arrival, ticket))
    }
}
