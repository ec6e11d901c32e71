//! Lease commands, answers and pushes as scripts show them.

use core::fmt::Write;

use crate::notation::{Epoch, spell_duration};
use mailbus_spec::id::{Holder, RequestId};
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{
    Acquire, Blocker, Command, HeldBy, LeaseEntry, LimitKind, Outcome, OverReason, Rejection,
    ReleaseTarget, TicketEntry,
};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::path::PathSet;
use mailbus_spec::time::{Timestamp, Ttl};

/// Longer sets are shown by their ends.
const PATHS_SHOWN: usize = 8;

/// A command as a script writes it.
pub(super) fn command(command: &Command, epoch: Epoch) -> String {
    match command {
        Command::Acquire(acquire) => spell_acquire(acquire),
        Command::Renew { holder, token, ttl, drain } => {
            let (token, ttl) = (epoch.spell_ordinal(*token), spell_duration(ttl.ms()));
            let drain = if *drain { " drain" } else { "" };
            format!("renew {holder} {token} ttl={ttl}{drain}")
        }
        Command::Release { holder, target: ReleaseTarget::Token(token) } => {
            format!("release {holder} {}", epoch.spell_ordinal(*token))
        }
        Command::Release { holder, target: ReleaseTarget::Path(path) } => {
            format!("release {holder} {path}")
        }
        Command::Cancel { holder, request } => format!("cancel {holder} {request}"),
        Command::Status { path } => format!("status {path}"),
        Command::List { prefix, after, limit } => {
            let mut line = String::from("list");
            if !prefix.is_empty() {
                let _ = write!(line, " prefix={prefix}");
            }
            if let Some(after) = after {
                let _ = write!(line, " after={after}");
            }
            let _ = write!(line, " limit={limit}");
            line
        }
        Command::Tickets { prefix, after, limit } => {
            let mut line = String::from("list tickets");
            if !prefix.is_empty() {
                let _ = write!(line, " prefix={prefix}");
            }
            let _ = write!(line, " after={after} limit={limit}");
            line
        }
        Command::Verify { path, token } => format!("verify {path} {}", epoch.spell_ordinal(*token)),
        Command::ForceRelease { token, reason, drain } => {
            let drain = if *drain { " drain" } else { "" };
            let reason =
                if reason.is_empty() { String::new() } else { format!(" reason={reason}") };
            format!("force-release {}{drain}{reason}", epoch.spell_ordinal(*token))
        }
        Command::ForceTicket { arrival, generation } => {
            let generation = epoch.spell_generation(*generation);
            format!("force-release ticket={arrival} generation={generation}")
        }
        Command::Recover { at_least } => format!("recover {}", epoch.spell_ordinal(*at_least)),
    }
}

fn spell_acquire(acquire: &Acquire) -> String {
    let named = acquire.request().map_or("-", RequestId::as_str);
    let mut line = format!("acquire {} {named}", acquire.holder());
    for path in acquire.paths().as_slice() {
        let _ = write!(line, " {path}");
    }
    let _ = write!(line, " ttl={}", spell_duration(acquire.ttl().ms()));
    if let Some(wait) = acquire.wait() {
        let _ = write!(line, " wait={}", spell_duration(wait.ms()));
    }
    line
}

/// An answer on one line.
pub(super) fn answer(answer: &Result<Outcome, Rejection>, epoch: Epoch) -> String {
    match answer {
        Ok(outcome) => spell_outcome(outcome, epoch),
        Err(rejection) => format!("refused: {}", spell_rejection(rejection, epoch)),
    }
}

fn spell_outcome(outcome: &Outcome, epoch: Epoch) -> String {
    match outcome {
        Outcome::Granted { token, expires_at, ttl } => granted(*token, *expires_at, *ttl, epoch),
        Outcome::Queued { position } => format!("queued, {position} ahead"),
        Outcome::Over { reason, token } => {
            let held = token.map(|token| format!(", had {}", epoch.spell_ordinal(token)));
            format!("over: {}{}", reason_text(*reason), held.unwrap_or_default())
        }
        Outcome::Renewed { expires_at, waiting, draining } => {
            let (until, drained) = (epoch.spell(*expires_at), drained(*draining));
            format!("renewed until {until}{drained}, {waiting} waiting")
        }
        Outcome::Released => String::from("released"),
        Outcome::Cancelled => String::from("cancelled"),
        Outcome::Free { queue, reserved } => {
            let first = reserved.as_ref().map(|first| format!(", first {}", ticket(first, epoch)));
            format!("free, {queue} waiting{}", first.unwrap_or_default())
        }
        Outcome::Held { lease, paths, queue } => {
            format!("held by {} with {}, {queue} waiting", entry(lease, epoch), spell_paths(paths))
        }
        Outcome::Leases { leases, more } => spell_leases(leases, *more, epoch),
        Outcome::Tickets { tickets, more } => spell_tickets(tickets, *more, epoch),
        Outcome::Current { expires_at } => format!("current until {}", epoch.spell(*expires_at)),
        Outcome::Stale => String::from("stale"),
        Outcome::Recovered => String::from("recovered"),
    }
}

fn granted(token: Ordinal, expires_at: Timestamp, ttl: Ttl, epoch: Epoch) -> String {
    let (token, until) = (epoch.spell_ordinal(token), epoch.spell(expires_at));
    format!("granted {token} until {until}, term {}", spell_duration(ttl.ms()))
}

fn reason_text(reason: OverReason) -> &'static str {
    match reason {
        OverReason::Released => "released",
        OverReason::Lapsed => "lapsed",
        OverReason::Forced => "forced",
        OverReason::Cancelled => "cancelled",
        OverReason::TimedOut => "timed out",
    }
}

fn entry(lease: &LeaseEntry, epoch: Epoch) -> String {
    let (token, until) = (epoch.spell_ordinal(lease.token), epoch.spell(lease.expires_at));
    format!("{} {token} until {until}{}", lease.holder, drained(lease.draining))
}

fn drained(draining: bool) -> &'static str {
    if draining { ", draining" } else { "" }
}

fn ticket(entry: &TicketEntry, epoch: Epoch) -> String {
    let TicketEntry { arrival, holder, request, paths, deadline } = entry;
    let (paths, until) = (spell_paths(paths), epoch.spell(*deadline));
    format!("ticket {arrival} of {holder}, {request}, on {paths} until {until}")
}

fn spell_tickets(tickets: &[TicketEntry], more: bool, epoch: Epoch) -> String {
    let mut parts: Vec<String> = tickets.iter().map(|entry| ticket(entry, epoch)).collect();
    if parts.is_empty() {
        parts.push(String::from("no tickets"));
    }
    if more {
        parts.push(String::from("and more"));
    }
    parts.join("; ")
}

fn spell_leases(leases: &[LeaseEntry], more: bool, epoch: Epoch) -> String {
    let mut parts: Vec<String> =
        leases.iter().map(|lease| format!("{}: {}", lease.path, entry(lease, epoch))).collect();
    if parts.is_empty() {
        parts.push(String::from("no leases"));
    }
    if more {
        parts.push(String::from("and more"));
    }
    parts.join("; ")
}

fn spell_paths(paths: &PathSet) -> String {
    let all = paths.as_slice();
    let spelled: Vec<String> = match all {
        [first, .., last] if all.len() > PATHS_SHOWN => {
            return format!("{first} … {last} ({} paths)", all.len());
        }
        few => few.iter().map(ToString::to_string).collect(),
    };
    spelled.join(" ")
}

fn spell_rejection(rejection: &Rejection, epoch: Epoch) -> String {
    match rejection {
        Rejection::Held(blocker) => spell_blocker(blocker, epoch),
        Rejection::Deadlock { cycle, length } => {
            let names: Vec<String> = cycle.iter().map(Holder::to_string).collect();
            format!("deadlock of {length}, {}", names.join(" waits for "))
        }
        Rejection::Conflict => String::from("the request id stands for something else"),
        Rejection::Limit(kind) => format!("limit of {}", limit_text(*kind)),
        Rejection::Lost => String::from("lost"),
        Rejection::Clock(host) => format!("the host's clock reads {} ms", host.0),
    }
}

fn limit_text(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::WorkspaceClaims => "claims in the workspace",
        LimitKind::WorkspacePaths => "paths in the workspace",
        LimitKind::WorkspaceRemembered => "requests remembered in the workspace",
        LimitKind::AgentClaims => "claims of the agent",
        LimitKind::AgentPaths => "paths of the agent",
        LimitKind::AgentTickets => "tickets of the agent for one thing",
        LimitKind::AgentRemembered => "requests remembered of the agent",
        LimitKind::Tokens => "tokens",
    }
}

fn spell_blocker(blocker: &Blocker, epoch: Epoch) -> String {
    let by = match (blocker.by, blocker.arrival) {
        (HeldBy::Lease, _) => String::from("held by the lease of"),
        (HeldBy::Ticket, Some(arrival)) => format!("held by ticket {arrival} of"),
        (HeldBy::Ticket, None) => String::from("held by the ticket of"),
        (HeldBy::Own, Some(arrival)) => format!("held by a claim of its own, ticket {arrival} of"),
        (HeldBy::Own, None) => String::from("held by a claim of its own,"),
    };
    let (holder, paths) = (&blocker.holder, spell_paths(&blocker.paths));
    let until = epoch.spell(blocker.until);
    format!("{by} {holder} on {paths} until {until}, {} waiting", blocker.queue)
}

/// A push without its addressee, on one line.
pub(super) fn notice(notice: &Notice, epoch: Epoch) -> String {
    match notice {
        Notice::Granted { request, token, expires_at, ttl } => {
            format!("{request} {}", granted(*token, *expires_at, *ttl, epoch))
        }
        Notice::Lapsed { token } => format!("lapsed {}", epoch.spell_ordinal(*token)),
        Notice::Forced { token, reason, drain } => {
            let how = if *drain { "draining" } else { "forced" };
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            format!("{how} {}{why}", epoch.spell_ordinal(*token))
        }
    }
}
