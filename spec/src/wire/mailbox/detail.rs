//! Prose beside a rejection, for a person: what happened, to what, and what to do about it.

use alloc::format;
use alloc::string::String;

use crate::id::AgentId;
use crate::limits;
use crate::mailbox::{LimitKind, Rejection};

/// Reason why nothing was changed.
pub(super) fn rejection(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Conflict => String::from(
            "The message's id is known with another type, recipient or payload. Repeat a message \
             unchanged; give another one another id.",
        ),
        Rejection::Replaced => String::from(
            "A newer session of the agent has taken over. Nothing was changed; what is still to be \
             done is the newer session's to do.",
        ),
        Rejection::Ahead { last } => format!(
            "The last `seq` here is {last}, and the client knows of a later one: the storage was \
             restored to an earlier state. Forget every place that was kept, and begin again \
             without one."
        ),
        Rejection::UnknownAgent { near } => unknown(near),
        Rejection::Limit(kind) => limit(*kind),
        Rejection::Overloaded => String::from(
            "The workspace keeps as many messages as it may. Nothing was changed; send again when \
             agents have acknowledged some.",
        ),
        Rejection::Clock(host) => format!(
            "The host's clock says {} ms, which cannot be. Nothing was changed; try again later.",
            host.0
        ),
    }
}

fn unknown(near: &[AgentId]) -> String {
    let mut detail = String::from(
        "Nobody is known by that name. Nothing was kept; the message's id may be used again.",
    );
    for (number, name) in near.iter().enumerate() {
        detail.push_str(if number == 0 { " Perhaps it is `" } else { ", or `" });
        detail.push_str(name.as_str());
        detail.push('`');
    }
    if !near.is_empty() {
        detail.push('.');
    }
    detail
}

fn limit(kind: LimitKind) -> String {
    match kind {
        LimitKind::Agents => format!(
            "There may be at most {} agents in the workspace. Forget one that is no longer there.",
            limits::WORKSPACE_AGENTS
        ),
        LimitKind::Patterns => format!(
            "An agent may have at most {} patterns. Take one away, or subscribe to a prefix.",
            limits::AGENT_PATTERNS
        ),
        LimitKind::UnknownNames => format!(
            "There may be at most {} names that never connected and hold mail. Check the name; \
             forget one of the others.",
            limits::UNKNOWN_NAMES
        ),
        LimitKind::UnknownNameMessages => format!(
            "A name that never connected may hold at most {} messages. Check the name, or send \
             again when it has connected.",
            limits::UNKNOWN_NAME_MESSAGES
        ),
        LimitKind::Ordinals => String::from(
            "No `seq` or epoch is left: the last is 2^53 - 1. The workspace has to be given up.",
        ),
    }
}
