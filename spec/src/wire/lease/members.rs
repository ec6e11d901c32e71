//! The members of outcomes, rejections and pushes, each written down once for both directions.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, Holder, RequestId, SessionId};
use crate::lease::{Blocker, HeldBy, LeaseEntry, Outcome, OverReason, TicketEntry};
use crate::ordinal::Ordinal;
use crate::path::{LeasePath, PathSet};
use crate::time::{Timestamp, Ttl};

/// The body of a success. `acquired`, `released` and `isLeased` are the original's; `outcome` tells
/// all of them apart.
#[derive(Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(super) enum Success<'a> {
    Granted {
        acquired: bool,
        token: Ordinal,
        expires_at: Timestamp,
        ttl_ms: Ttl,
    },
    Queued {
        acquired: bool,
        position: u64,
    },
    Renewed {
        expires_at: Timestamp,
        waiting: u64,
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        draining: bool,
    },
    Released {
        released: bool,
    },
    Cancelled,
    Free {
        is_leased: bool,
        queue: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        reserved: Option<Waiting<'a>>,
    },
    Held {
        is_leased: bool,
        #[serde(flatten)]
        lease: Entry<'a>,
        paths: Cow<'a, PathSet>,
        queue: u64,
    },
    Leases {
        leases: Vec<Entry<'a>>,
        more: bool,
    },
    Tickets {
        tickets: Vec<Waiting<'a>>,
        more: bool,
    },
    Current {
        expires_at: Timestamp,
    },
    Stale,
    Recovered,
}

impl<'a> Success<'a> {
    /// The body of an outcome; the end of a request that is over has none of its own.
    pub(super) fn of(outcome: &'a Outcome) -> Result<Self, Over> {
        Ok(match outcome {
            &Outcome::Granted { token, expires_at, ttl } => {
                Self::Granted { acquired: true, token, expires_at, ttl_ms: ttl }
            }
            &Outcome::Queued { position } => Self::Queued { acquired: false, position },
            &Outcome::Over { reason, token } => return Err(Over { reason, token }),
            &Outcome::Renewed { expires_at, waiting, draining } => {
                Self::Renewed { expires_at, waiting, draining }
            }
            Outcome::Released => Self::Released { released: true },
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Free { queue, reserved } => Self::Free {
                is_leased: false,
                queue: *queue,
                reserved: reserved.as_ref().map(Waiting::from),
            },
            Outcome::Held { lease, paths, queue } => Self::Held {
                is_leased: true,
                lease: lease.into(),
                paths: Cow::Borrowed(paths),
                queue: *queue,
            },
            Outcome::Leases { leases, more } => {
                Self::Leases { leases: leases.iter().map(Entry::from).collect(), more: *more }
            }
            Outcome::Tickets { tickets, more } => {
                Self::Tickets { tickets: tickets.iter().map(Waiting::from).collect(), more: *more }
            }
            &Outcome::Current { expires_at } => Self::Current { expires_at },
            Outcome::Stale => Self::Stale,
            Outcome::Recovered => Self::Recovered,
        })
    }
}

impl From<Success<'_>> for Outcome {
    fn from(success: Success<'_>) -> Self {
        match success {
            Success::Granted { token, expires_at, ttl_ms, .. } => {
                Self::Granted { token, expires_at, ttl: ttl_ms }
            }
            Success::Queued { position, .. } => Self::Queued { position },
            Success::Renewed { expires_at, waiting, draining } => {
                Self::Renewed { expires_at, waiting, draining }
            }
            Success::Released { .. } => Self::Released,
            Success::Cancelled => Self::Cancelled,
            Success::Free { queue, reserved, .. } => {
                Self::Free { queue, reserved: reserved.map(TicketEntry::from) }
            }
            Success::Held { lease, paths, queue, .. } => {
                Self::Held { lease: lease.into(), paths: paths.into_owned(), queue }
            }
            Success::Leases { leases, more } => {
                Self::Leases { leases: leases.into_iter().map(LeaseEntry::from).collect(), more }
            }
            Success::Tickets { tickets, more } => Self::Tickets {
                tickets: tickets.into_iter().map(TicketEntry::from).collect(),
                more,
            },
            Success::Current { expires_at } => Self::Current { expires_at },
            Success::Stale => Self::Stale,
            Success::Recovered => Self::Recovered,
        }
    }
}

/// Holder, beside other members.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct By<'a> {
    agent_id: Cow<'a, AgentId>,
    session: Cow<'a, SessionId>,
}

impl<'a> From<&'a Holder> for By<'a> {
    fn from(holder: &'a Holder) -> Self {
        Self { agent_id: Cow::Borrowed(&holder.agent), session: Cow::Borrowed(&holder.session) }
    }
}

impl From<By<'_>> for Holder {
    fn from(by: By<'_>) -> Self {
        Self { agent: by.agent_id.into_owned(), session: by.session.into_owned() }
    }
}

/// One leased path.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    path: Cow<'a, LeasePath>,
    #[serde(flatten)]
    holder: By<'a>,
    token: Ordinal,
    expires_at: Timestamp,
    draining: bool,
}

impl<'a> From<&'a LeaseEntry> for Entry<'a> {
    fn from(entry: &'a LeaseEntry) -> Self {
        Self {
            path: Cow::Borrowed(&entry.path),
            holder: (&entry.holder).into(),
            token: entry.token,
            expires_at: entry.expires_at,
            draining: entry.draining,
        }
    }
}

impl From<Entry<'_>> for LeaseEntry {
    fn from(entry: Entry<'_>) -> Self {
        Self {
            path: entry.path.into_owned(),
            holder: entry.holder.into(),
            token: entry.token,
            expires_at: entry.expires_at,
            draining: entry.draining,
        }
    }
}

/// One ticket.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Waiting<'a> {
    arrival: u64,
    #[serde(flatten)]
    holder: By<'a>,
    request: Cow<'a, RequestId>,
    paths: Cow<'a, PathSet>,
    expires_at: Timestamp,
}

impl<'a> From<&'a TicketEntry> for Waiting<'a> {
    fn from(entry: &'a TicketEntry) -> Self {
        Self {
            arrival: entry.arrival,
            holder: (&entry.holder).into(),
            request: Cow::Borrowed(&entry.request),
            paths: Cow::Borrowed(&entry.paths),
            expires_at: entry.deadline,
        }
    }
}

impl From<Waiting<'_>> for TicketEntry {
    fn from(entry: Waiting<'_>) -> Self {
        Self {
            arrival: entry.arrival,
            holder: entry.holder.into(),
            request: entry.request.into_owned(),
            paths: entry.paths.into_owned(),
            deadline: entry.expires_at,
        }
    }
}

/// `over`: how a request ended.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Over {
    pub(super) reason: OverReason,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<Ordinal>,
}

impl From<Over> for Outcome {
    fn from(over: Over) -> Self {
        Self::Over { reason: over.reason, token: over.token }
    }
}

/// `held`: what is in the way. `agentId` and `expiresAt` are the original's; of a ticket,
/// `expiresAt` is its deadline.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Held<'a> {
    by: HeldBy,
    #[serde(flatten)]
    holder: By<'a>,
    paths: Cow<'a, PathSet>,
    expires_at: Timestamp,
    queue: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrival: Option<u64>,
}

impl<'a> From<&'a Blocker> for Held<'a> {
    fn from(blocker: &'a Blocker) -> Self {
        Self {
            by: blocker.by,
            holder: (&blocker.holder).into(),
            paths: Cow::Borrowed(&blocker.paths),
            expires_at: blocker.until,
            queue: blocker.queue,
            arrival: blocker.arrival,
        }
    }
}

impl From<Held<'_>> for Blocker {
    fn from(held: Held<'_>) -> Self {
        Self {
            by: held.by,
            holder: held.holder.into(),
            paths: held.paths.into_owned(),
            until: held.expires_at,
            queue: held.queue,
            arrival: held.arrival,
        }
    }
}

/// `deadlock`: who would wait for whom. An object of an earlier version names all and gives no length.
#[derive(Serialize, Deserialize)]
pub(super) struct Deadlock<'a> {
    pub(super) cycle: Vec<By<'a>>,
    pub(super) length: Option<u64>,
}

/// `$granted`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Granted<'a> {
    pub(super) request: Cow<'a, RequestId>,
    pub(super) token: Ordinal,
    pub(super) expires_at: Timestamp,
    pub(super) ttl_ms: Ttl,
}

/// `$lapsed`.
#[derive(Serialize, Deserialize)]
pub(super) struct Lapsed {
    pub(super) token: Ordinal,
}

/// `$forced`.
#[derive(Serialize, Deserialize)]
pub(super) struct Forced<'a> {
    pub(super) token: Ordinal,
    pub(super) reason: Cow<'a, str>,
    pub(super) drain: bool,
}
