//! Prose beside a rejection, for a person: what happened, to what, and what to do about it.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::id::Holder;
use crate::lease::{Blocker, HeldBy, LimitKind, OverReason, Rejection};
use crate::limits;
use crate::path::PathSet;

/// End of the request.
pub(super) fn over(reason: OverReason) -> String {
    let how = match reason {
        OverReason::Released => "its holder released the lease",
        OverReason::Lapsed => "the lease's time ran out",
        OverReason::Forced => "an admin ended it",
        OverReason::Cancelled => "its holder cancelled it",
        OverReason::TimedOut => "nobody asked about its ticket in time",
    };
    format!("The request is over: {how}. Acquire under a new request id.")
}

/// Reason why nothing was changed.
pub(super) fn rejection(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Held(blocker) => held(blocker),
        Rejection::Deadlock { cycle, length } => deadlock(cycle, *length),
        Rejection::Conflict => String::from(
            "The request id is known with other paths, TTL or wait. Repeat a request unchanged; \
             give another one another id.",
        ),
        Rejection::Limit(kind) => limit(*kind),
        Rejection::Lost => String::from(
            "The lease or ticket is over or ending, or is not the asker's. Whoever used its paths has \
             to stop and acquire again.",
        ),
        Rejection::Clock(host) => format!(
            "The host's clock says {} ms, which cannot be. Nothing was changed; try again later.",
            host.0
        ),
    }
}

fn held(blocker: &Blocker) -> String {
    let Blocker { by, holder, paths, until, .. } = blocker;
    let (paths, holder) = (Paths(paths), Name(holder));
    match by {
        HeldBy::Lease => format!(
            "{paths}: leased by {holder} until {until}. Ask again then, or queue with `request` \
             and `waitMs`."
        ),
        HeldBy::Ticket => format!(
            "{paths}: {holder} waits for this since earlier, until {until}. Ask again then, or \
             queue with `request` and `waitMs`."
        ),
        HeldBy::Own => format!(
            "{paths}: the asker, {holder}, claims this itself until {until}. Renew or release \
             that claim, or cancel its request."
        ),
    }
}

fn deadlock(cycle: &[Holder], length: u64) -> String {
    let chain = Chain(cycle);
    let unnamed = match length.saturating_sub(cycle.len() as u64) {
        0 => String::new(),
        more => format!("{more} more, the last of them for "),
    };
    format!(
        "Waiting would never end: {chain}{unnamed}the first again. Release something, or try again."
    )
}

fn limit(kind: LimitKind) -> String {
    let (what, most) = match kind {
        LimitKind::WorkspaceClaims => {
            ("live leases and tickets of the workspace", limits::WORKSPACE_CLAIMS)
        }
        LimitKind::WorkspacePaths => ("paths claimed in the workspace", limits::WORKSPACE_PATHS),
        LimitKind::WorkspaceRemembered => {
            ("remembered requests of the workspace", limits::WORKSPACE_REMEMBERED)
        }
        LimitKind::AgentClaims => ("live leases and tickets of the agent", limits::AGENT_CLAIMS),
        LimitKind::AgentPaths => ("paths claimed by the agent", limits::AGENT_PATHS),
        LimitKind::AgentTickets => {
            ("live tickets of the agent for any of these paths", limits::AGENT_TICKETS)
        }
        LimitKind::AgentRemembered => {
            ("remembered requests of the agent", limits::AGENT_REMEMBERED)
        }
        LimitKind::Tokens => {
            return String::from(
                "No token is left to grant under: the last is 2^53 - 1. The workspace has to be \
                 given up.",
            );
        }
    };
    format!("There may be at most {most} {what}. Release or cancel something, or try again later.")
}

/// A set by its first path, so that a sentence stays one.
struct Paths<'a>(&'a PathSet);

impl fmt::Display for Paths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.as_slice().split_first() else { return Ok(()) };
        write!(f, "`{first}`")?;
        if rest.is_empty() { Ok(()) } else { write!(f, " and {} more", rest.len()) }
    }
}

struct Chain<'a>(&'a [Holder]);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|holder| write!(f, "{} waits for ", Name(holder)))
    }
}

struct Name<'a>(&'a Holder);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { agent, session } = self.0;
        write!(f, "`{agent}`")?;
        if session.is_original() { Ok(()) } else { write!(f, " (session `{session}`)") }
    }
}
