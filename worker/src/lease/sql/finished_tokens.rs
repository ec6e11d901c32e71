//! The tokens of leases that were ended before their time, in memory: so that a stale release, or any
//! number of them in one frame, reads nothing.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use mailbus_spec::lease::OverReason;
use mailbus_spec::{Holder, Ordinal, Timestamp};

use super::memory_count::collectable_minute;

/// The tokens that their holders gave back and those that an admin took, until they are collected.
/// A lease that lapsed is not among them: its token is lost, whether it is remembered or not.
///
/// An entry is 24 bytes, and at most about 50 in a tree whose nodes are as empty as rising tokens leave
/// them (48 where pointers have 32 bits): 50 MB if every request that a workspace may remember had a
/// lease.
///
/// Invariant: it has the tokens of the rows that are over with state released, cancelled, forced or
/// draining, with the same ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FinishedTokens {
    given_back: BTreeMap<Ordinal, GivenBack>,
    forced: BTreeMap<Ordinal, Timestamp>,
}

/// A lease that its holder released or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GivenBack {
    by: HolderHash,
    end: Timestamp,
}

/// A holder by a hash of its name. One that collided with the true holder would be told `Released`
/// instead of `Lost`, and nothing would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HolderHash(u64);

impl HolderHash {
    fn of(holder: &Holder) -> Self {
        let mut hasher = DefaultHasher::new();
        holder.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl FinishedTokens {
    /// Notes how the lease of `holder` under `token` ended, and when.
    pub fn add(&mut self, holder: &Holder, token: Ordinal, reason: OverReason, end: Timestamp) {
        match reason {
            OverReason::Released | OverReason::Cancelled => {
                self.given_back.insert(token, GivenBack { by: HolderHash::of(holder), end });
            }
            OverReason::Forced => {
                self.forced.insert(token, end);
            }
            OverReason::Lapsed | OverReason::TimedOut => {}
        }
    }

    /// Time at which `holder` gave this token back, if it did.
    pub fn given_back(&self, holder: &Holder, token: Ordinal) -> Option<Timestamp> {
        let given = self.given_back.get(&token)?;
        (given.by == HolderHash::of(holder)).then_some(given.end)
    }

    /// Time at which an admin took this token, if one did.
    pub fn forced(&self, token: Ordinal) -> Option<Timestamp> {
        self.forced.get(&token).copied()
    }

    /// The memory of it counts from `end` now.
    pub fn move_end(&mut self, token: Ordinal, end: Timestamp) {
        if let Some(given) = self.given_back.get_mut(&token) {
            given.end = end;
        }
        if let Some(forced) = self.forced.get_mut(&token) {
            *forced = end;
        }
    }

    /// Its row is written over.
    pub fn remove(&mut self, token: Ordinal) {
        self.given_back.remove(&token);
        self.forced.remove(&token);
    }

    /// Forgets what is collectable in `minute`.
    pub fn collect(&mut self, minute: u64) {
        self.given_back.retain(|_, given| collectable_minute(given.end) > minute);
        self.forced.retain(|_, end| collectable_minute(*end) > minute);
    }
}
