//! Operations of agents and admins.

use std::collections::BTreeSet;

use mailbus_spec::{AgentId, LeasePath, PathSet};
use serde::{Deserialize, Serialize};

use crate::plan::mail::MailAction;

/// One thing that somebody does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Milliseconds of true time from the start.
    pub at_ms: u64,
    /// Number of the agent. An operation of one that is not there, or down, does not happen.
    pub agent: u8,
    /// Action of it.
    pub action: Action,
}

/// Action of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Acquires a set, works on it for a while, and ends it.
    Hold {
        /// The set, by numbers of paths below [`PATHS`](super::PATHS).
        paths: Vec<u8>,
        /// The TTL asked for, in ms.
        ttl_ms: u64,
        /// The wait asked for, in ms; `None` does not queue.
        wait_ms: Option<u64>,
        /// Time after which the agent gives up on the request and cancels it, in ms.
        patience_ms: Option<u64>,
        /// Time for which it works, in ms.
        hold_ms: u64,
        /// True if it renews while it works.
        renew: bool,
        /// End of it.
        ending: Ending,
    },
    /// Asks who holds a path.
    Status {
        /// The path's number.
        path: u8,
    },
    /// Asks whether the largest token that was seen at a path still guards it.
    Verify {
        /// The path's number.
        path: u8,
    },
    /// Asks for all leased paths.
    List,
    /// An admin looks who holds a path and ends that lease.
    Force {
        /// The path's number.
        path: u8,
        /// True if the lease may live on to its expiry.
        drain: bool,
    },
    /// Takes, and after a while gives back, a path by the original's protocol: no session, no token.
    Original {
        /// The path's number.
        path: u8,
        /// The TTL asked for, in ms.
        ttl_ms: u64,
        /// Time after which it is given back, in ms.
        hold_ms: u64,
    },
    /// Does something with mail.
    Mail(MailAction),
}

/// End that an agent makes of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It gives the lease back.
    Release,
    /// It stops renewing and lets the lease lapse.
    Lapse,
}

impl Action {
    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hold { .. } => "hold",
            Self::Status { .. } => "status",
            Self::Verify { .. } => "verify",
            Self::List => "list",
            Self::Force { .. } => "force",
            Self::Original { .. } => "original",
            Self::Mail(action) => action.name(),
        }
    }
}

/// The path of the file with this number, as this agent spells it: in its own case and normal form, as the
/// systems that it stands for do.
pub(crate) fn path(number: u8, agent: &AgentId) -> LeasePath {
    let spelling = agent.as_str().bytes().fold(0, u8::wrapping_add) % 3;
    let text = match spelling {
        0 => format!("src/caf\u{e9}/{number}.rs"),
        1 => format!("Src/CAF\u{c9}/{number}.RS"),
        _ => format!("src/cafe\u{301}/{number}.rs"),
    };
    LeasePath::new(&text).expect("a plain path")
}

/// The set of the files with these numbers, as this agent spells them.
pub(crate) fn path_set(numbers: &[u8], agent: &AgentId) -> Option<PathSet> {
    PathSet::new(numbers.iter().map(|number| path(*number, agent)).collect()).ok()
}

/// True if two sets name one file, by its number: how the rules compare paths does not come into it.
pub(crate) fn share_a_file(one: &PathSet, other: &PathSet) -> bool {
    let files = |set: &PathSet| -> BTreeSet<String> { set.as_slice().iter().map(file).collect() };
    !files(one).is_disjoint(&files(other))
}

/// The file that a path names: the number in it, or else its text.
fn file(path: &LeasePath) -> String {
    let number: String = path.as_str().chars().filter(char::is_ascii_digit).collect();
    if number.is_empty() { path.to_string() } else { number }
}
