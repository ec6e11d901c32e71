//! Requests that are over, as their rows have them.

use mailbus_spec::lease::{Acquire, OverReason};
use mailbus_spec::{Holder, Ordinal, PathSet, RequestId, Timestamp, Wait};

use super::memory_count::memory_ends;
use super::rows::{self, State};
use super::turn::Turn;
use crate::sql::{Columns, checked};
use crate::storage::{Row, StorageError};

/// Parameters: the primary key.
const BY_REQUEST: &str = "\
    SELECT until, state, token, ttl, wait, paths, paths_digest FROM claim \
    WHERE agent = ?1 AND session = ?2 AND request = ?3";

/// A request that is over and not yet collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    /// Time at which it ended.
    pub end: Timestamp,
    /// Reason of its end.
    pub reason: OverReason,
    /// The token it had held.
    pub token: Option<Ordinal>,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// It was cancelled before it was seen, and agrees with everything.
    Any,
    Known {
        ttl_ms: u64,
        wait_ms: Option<u64>,
        paths: Paths,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Paths {
    Known(PathSet),
    Digest(Vec<u8>),
}

impl Finished {
    /// The request of this name. It must not be live.
    pub fn of_request(
        turn: &mut Turn<'_>,
        holder: &Holder,
        request: &RequestId,
    ) -> Result<Option<Self>, StorageError> {
        let row = turn.query(BY_REQUEST, &rows::named_key(holder, request))?.into_iter().next();
        row.map(Self::read).transpose()
    }

    fn read(row: Row) -> Result<Self, StorageError> {
        let mut columns = Columns::of(row);
        let end = columns.instant()?;
        let state = checked("a state", State::parse(&columns.text()?))?;
        let token = columns.optional_ordinal()?;
        let (ttl_ms, wait_ms) = (columns.optional_integer()?, columns.optional_integer()?);
        let paths = match (columns.optional_text()?, columns.optional_blob()?) {
            (Some(lines), _) => Some(Paths::Known(rows::read_paths(&lines)?)),
            (None, digest) => digest.map(Paths::Digest),
        };
        let content = match (ttl_ms, paths) {
            (Some(ttl_ms), Some(paths)) => Content::Known { ttl_ms, wait_ms, paths },
            _ => Content::Any,
        };
        Ok(Self { end, reason: state.reason(), token, content })
    }

    /// Time at which the memory of it is over.
    pub fn memory_ends(&self) -> Timestamp {
        memory_ends(self.end)
    }

    /// True if it had asked for the same.
    pub fn agrees(&self, acquire: &Acquire) -> bool {
        let Content::Known { ttl_ms, wait_ms, paths } = &self.content else { return true };
        *ttl_ms == acquire.ttl().ms()
            && *wait_ms == acquire.wait().map(Wait::ms)
            && match paths {
                Paths::Known(paths) => paths == acquire.paths(),
                Paths::Digest(digest) => {
                    *digest == rows::paths_digest(acquire.paths().as_slice().iter())
                }
            }
    }
}
