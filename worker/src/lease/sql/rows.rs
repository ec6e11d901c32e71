//! The rows of `lease.sql`: statements, and claims to and from columns.

use mailbus_spec::lease::OverReason;
use mailbus_spec::{Holder, LeasePath, Ordinal, PathSet, RequestId, Timestamp};
use sha2::{Digest, Sha256};

use super::claims::{Claim, Lease, Ticket};
use crate::sql::{checked, instant, integer, text};
use crate::storage::{StorageError, Value};

/// True if the tables are there, on any database.
pub(super) const FIND_TABLES: &str =
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'claim'";
/// Parameters: the columns of `meta`.
pub(super) const WRITE_META: &str = "\
    INSERT INTO meta (id, sequence, clock, last_token, clock_offset, generation) \
    VALUES (1, ?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (id) DO UPDATE SET sequence = ?1, clock = ?2, last_token = ?3, \
    clock_offset = ?4, generation = ?5";
/// Deletes what ended at ?1 or before. Live claims end later than any such instant.
pub(super) const COLLECT: &str = "DELETE FROM claim WHERE until <= ?1";
/// Parameters: the stamp and [`lease_columns`], [`ticket_columns`] or [`tombstone_columns`].
///
/// An upsert: an id that is used again after its memory meets its own old row.
pub(super) const WRITE_CLAIM: &str = "\
    INSERT INTO claim (sequence, clock, last_token, agent, session, request, until, state, token, \
    arrival, first_term, ttl, wait, paths) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
    ON CONFLICT DO UPDATE SET sequence = ?1, clock = ?2, last_token = ?3, until = ?7, state = ?8, \
    token = ?9, arrival = ?10, first_term = ?11, ttl = ?12, wait = ?13, paths = ?14, \
    paths_digest = NULL";
/// Moves an end. Parameters: the stamp, [`key`], the end.
pub(super) const MOVE_END: &str = "\
    UPDATE claim SET sequence = ?1, clock = ?2, last_token = ?3, until = ?7 \
    WHERE agent = ?4 AND session = ?5 AND request = ?6";
/// Parameters: the stamp, [`key`], end, state.
pub(super) const SET_STATE: &str = "\
    UPDATE claim SET sequence = ?1, clock = ?2, last_token = ?3, until = ?7, state = ?8 \
    WHERE agent = ?4 AND session = ?5 AND request = ?6";
/// Parameters: the stamp, [`key`], end, state, digest of the paths.
pub(super) const SET_STATE_AND_DIGEST: &str = "\
    UPDATE claim SET sequence = ?1, clock = ?2, last_token = ?3, until = ?7, state = ?8, \
    paths = NULL, paths_digest = ?9 \
    WHERE agent = ?4 AND session = ?5 AND request = ?6";
/// Makes a ticket a lease. Parameters: the stamp, [`key`], expiry, token, first term.
pub(super) const GRANT_TICKET: &str = "\
    UPDATE claim SET sequence = ?1, clock = ?2, last_token = ?3, until = ?7, state = 'lease', \
    token = ?8, arrival = NULL, first_term = ?9 \
    WHERE agent = ?4 AND session = ?5 AND request = ?6";

/// Longer lists of paths are kept only as a digest once they are over.
const PATHS_KEPT_BYTES: usize = 64;

/// State of a row's claim, present or last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Lease,
    Draining,
    Ticket,
    Released,
    Forced,
    Cancelled,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Draining => "draining",
            Self::Ticket => "ticket",
            Self::Released => "released",
            Self::Forced => "forced",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        const ALL: [State; 6] = [
            State::Lease,
            State::Draining,
            State::Ticket,
            State::Released,
            State::Forced,
            State::Cancelled,
        ];
        ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// End of it, once that is past.
    pub const fn reason(self) -> OverReason {
        match self {
            Self::Lease => OverReason::Lapsed,
            Self::Draining | Self::Forced => OverReason::Forced,
            Self::Ticket => OverReason::TimedOut,
            Self::Released => OverReason::Released,
            Self::Cancelled => OverReason::Cancelled,
        }
    }
}

/// End of a live claim by a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Released,
    Forced,
    Cancelled,
}

impl Ending {
    /// Reason that is remembered of it.
    pub const fn reason(self) -> OverReason {
        self.state().reason()
    }

    const fn state(self) -> State {
        match self {
            Self::Released => State::Released,
            Self::Forced => State::Forced,
            Self::Cancelled => State::Cancelled,
        }
    }
}

/// The primary key of what a client named.
pub(super) fn named_key(holder: &Holder, request: &RequestId) -> Vec<Value> {
    vec![text(holder.agent.as_str()), text(holder.session.as_str()), text(request.as_str())]
}

/// The primary key of a claim; `token` names the original's.
fn key(claim: &Claim, token: Option<Ordinal>) -> Vec<Value> {
    let name = match (&claim.request, token) {
        (Some(request), _) => request.as_str().to_owned(),
        (None, token) => format!("\n{}", token.unwrap_or_default()),
    };
    vec![text(claim.holder.agent.as_str()), text(claim.holder.session.as_str()), Value::Text(name)]
}

/// Lines of texts. A path has no control characters, so a line is a path.
fn lines<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    texts.collect::<Vec<_>>().join("\n")
}

/// The paths that a row has, as they were spelled.
pub(super) fn read_paths(lines: &str) -> Result<PathSet, StorageError> {
    let paths = lines.split('\n').map(LeasePath::named).collect::<Result<Vec<_>, _>>();
    checked("a set of paths", paths.ok().and_then(|paths| PathSet::new(paths).ok()))
}

/// Digest that is left of the paths of a row that is over: that of their keys.
pub(super) fn paths_digest<'p>(paths: impl Iterator<Item = &'p LeasePath>) -> Vec<u8> {
    Sha256::digest(lines(paths.map(LeasePath::key)).as_bytes()).to_vec()
}

/// A new lease for [`WRITE_CLAIM`].
pub(super) fn lease_columns(token: Ordinal, lease: &Lease) -> Vec<Value> {
    let mut columns = key(&lease.claim, Some(token));
    columns.extend([
        instant(lease.expires_at),
        text(State::Lease.as_str()),
        integer(token.get()),
        Value::Null,
        integer(lease.first_term.ms()),
    ]);
    columns.extend(content_columns(&lease.claim));
    columns
}

/// A new ticket for [`WRITE_CLAIM`].
pub(super) fn ticket_columns(arrival: u64, ticket: &Ticket) -> Vec<Value> {
    let mut columns = key(&ticket.claim, None);
    columns.extend([
        instant(ticket.deadline),
        text(State::Ticket.as_str()),
        Value::Null,
        integer(arrival),
        Value::Null,
    ]);
    columns.extend(content_columns(&ticket.claim));
    columns
}

fn content_columns(claim: &Claim) -> [Value; 3] {
    [
        integer(claim.ttl.ms()),
        claim.wait.map_or(Value::Null, |wait| integer(wait.ms())),
        Value::Text(lines(claim.paths().map(LeasePath::as_str))),
    ]
}

/// A request that was cancelled before it was seen, for [`WRITE_CLAIM`].
pub(super) fn tombstone_columns(
    holder: &Holder,
    request: &RequestId,
    end: Timestamp,
) -> Vec<Value> {
    let mut columns = named_key(holder, request);
    columns.extend([instant(end), text(State::Cancelled.as_str())]);
    columns.extend([const { Value::Null }; 6]);
    columns
}

/// A new end of a live claim, for [`MOVE_END`].
pub(super) fn end_columns(claim: &Claim, token: Option<Ordinal>, end: Timestamp) -> Vec<Value> {
    let mut columns = key(claim, token);
    columns.push(instant(end));
    columns
}

/// A lease that begins to drain, for [`SET_STATE`].
pub(super) fn drain_columns(token: Ordinal, lease: &Lease) -> Vec<Value> {
    let mut columns = end_columns(&lease.claim, Some(token), lease.expires_at);
    columns.push(text(State::Draining.as_str()));
    columns
}

/// A ticket that was granted, for [`GRANT_TICKET`].
pub(super) fn grant_columns(token: Ordinal, lease: &Lease) -> Vec<Value> {
    let mut columns = end_columns(&lease.claim, Some(token), lease.expires_at);
    columns.extend([integer(token.get()), integer(lease.first_term.ms())]);
    columns
}

/// A claim that a command ended, and the statement for it.
pub(super) fn ended_columns(
    claim: &Claim,
    token: Option<Ordinal>,
    ending: Ending,
    end: Timestamp,
) -> (&'static str, Vec<Value>) {
    let mut columns = end_columns(claim, token, end);
    columns.push(text(ending.state().as_str()));
    let bytes = claim.paths().map(|path| path.as_str().len().saturating_add(1)).sum::<usize>();
    if bytes <= PATHS_KEPT_BYTES {
        return (SET_STATE, columns);
    }
    columns.push(Value::Blob(paths_digest(claim.paths())));
    (SET_STATE_AND_DIGEST, columns)
}
