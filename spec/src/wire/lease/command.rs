//! Decoders of each action's members.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::request::Request;
use crate::id::RequestId;
use crate::lease::{Acquire, Command, MalformedAcquire, ReleaseTarget};
use crate::limits;
use crate::ordinal::Ordinal;
use crate::path::{InvalidPaths, LeasePath, PathSet};
use crate::time::{Ttl, Wait};
use crate::wire::field::{Field, ParsePath, path};
use crate::wire::request::twice;
use crate::wire::{Code, Dialect, Problem};

/// The actions, for those who ask for another.
pub(super) const ACTIONS: &str =
    "acquire, renew, release, cancel, status, list, verify, force-release or recover";

/// A command and how it was spelled.
pub(super) type Decoded = (Dialect, Command);

/// Decoder of the members of an action's command.
pub(super) type Decoder = fn(&Request<'_>) -> Result<Decoded, Problem>;

/// The decoder of an action, or `None` if there is no such action.
pub(super) fn decoder(action: &str) -> Option<Decoder> {
    Some(match action {
        "acquire" => acquire,
        "renew" => renew,
        "release" => release,
        "cancel" => cancel,
        "status" => status,
        "list" => list,
        "verify" => verify,
        "force-release" => force_release,
        "recover" => recover,
        _ => return None,
    })
}

fn acquire(request: &Request<'_>) -> Result<Decoded, Problem> {
    let holder = request.holder()?;
    let id = request.request().id(RequestId::new)?;
    let (dialect, paths) = claimed(request)?;
    let ttl = ttl(request)?;
    let wait = wait(request)?;
    let dialect = if id.is_some() { Dialect::Mailbus } else { dialect };
    let acquire = Acquire::new(holder, id, paths, ttl, wait).map_err(|malformed| {
        let why = match malformed {
            MalformedAcquire::SessionNeedsRequest => "a holder with a session names its attempts",
            MalformedAcquire::WaitNeedsRequest => {
                "without one nobody can ask about the ticket again"
            }
        };
        Problem::new(Code::Malformed, format!("`request` is missing: {why}. Give it a fresh id."))
    })?;
    Ok((dialect, Command::Acquire(acquire)))
}

fn renew(request: &Request<'_>) -> Result<Decoded, Problem> {
    let holder = request.holder()?;
    let token = token(request)?;
    let drain = request.drain().flag()?.unwrap_or(false);
    Ok((Dialect::Mailbus, Command::Renew { holder, token, ttl: ttl(request)?, drain }))
}

fn release(request: &Request<'_>) -> Result<Decoded, Problem> {
    let holder = request.holder()?;
    let token = request.token();
    let (dialect, target) = match (token.is_present(), one_path(request, LeasePath::named)?) {
        (true, None) => (Dialect::Mailbus, ReleaseTarget::Token(token.ordinal()?)),
        (false, Some((dialect, path))) if holder.session.is_original() => {
            (dialect, ReleaseTarget::Path(path))
        }
        (false, Some(_)) => {
            return Err(token.malformed(
                "that of the lease: only a holder without a session may name a path instead",
            ));
        }
        (false, None) => return Err(token.malformed("that of the lease to release")),
        (true, Some(_)) => return Err(twice("`token`", "a path")),
    };
    Ok((dialect, Command::Release { holder, target }))
}

fn cancel(request: &Request<'_>) -> Result<Decoded, Problem> {
    let holder = request.holder()?;
    let field = request.request();
    let id = field.id(RequestId::new)?.ok_or_else(|| field.malformed("the request to end"))?;
    Ok((Dialect::Mailbus, Command::Cancel { holder, request: id }))
}

fn status(request: &Request<'_>) -> Result<Decoded, Problem> {
    let (dialect, path) = needed_path(request, LeasePath::new)?;
    Ok((dialect, Command::Status { path }))
}

fn list(request: &Request<'_>) -> Result<Decoded, Problem> {
    let prefix = prefix(request.prefix())?;
    let limit = request.limit();
    let entries = match (limit.is_present(), limit.whole().map(usize::try_from)) {
        (false, _) => limits::LIST_DEFAULT,
        (true, Some(Ok(entries))) if (1..=limits::LIST_MAX).contains(&entries) => entries,
        (true, _) => {
            let most = limits::LIST_MAX;
            return Err(limit.malformed(format_args!("a whole number from 1 to {most}")));
        }
    };
    if request.tickets().flag()?.unwrap_or(false) {
        let field = request.after_arrival();
        let after = if field.is_present() { number(field)? } else { 0 };
        return Ok((Dialect::Mailbus, Command::Tickets { prefix, after, limit: entries }));
    }
    let after = request.after().path(LeasePath::named)?;
    Ok((Dialect::Mailbus, Command::List { prefix, after, limit: entries }))
}

/// The beginning of paths that a member's text spells. Paths have no leading `/` or `./`, and after
/// those no empty, `.` or `..` segment; the last segment of a beginning may go on.
fn prefix(field: Field<'_>) -> Result<String, Problem> {
    let text = field.text()?.unwrap_or_default();
    let refused = |wanted: fmt::Arguments<'_>| field.refused(Code::PathInvalid, wanted);
    if text.len() > limits::PATH_MAX_BYTES {
        return Err(refused(format_args!("at most {} bytes", limits::PATH_MAX_BYTES)));
    }
    let mut beginning = text.as_str();
    while let Some(rest) = beginning.strip_prefix('/').or_else(|| beginning.strip_prefix("./")) {
        beginning = rest;
    }
    let mut whole_segments = beginning.rsplit('/').skip(1);
    if text.chars().any(char::is_control)
        || whole_segments.any(|segment| matches!(segment, "" | "." | ".."))
    {
        return Err(refused(format_args!(
            "the beginning of a normalised path: without `//`, `/./`, `/../` and control characters"
        )));
    }
    Ok(String::from(beginning))
}

fn verify(request: &Request<'_>) -> Result<Decoded, Problem> {
    let (_, path) = needed_path(request, LeasePath::named)?;
    Ok((Dialect::Mailbus, Command::Verify { path, token: token(request)? }))
}

/// A whole number, such as an object counts with.
fn number(field: Field<'_>) -> Result<u64, Problem> {
    field.whole().ok_or_else(|| field.malformed("a whole number"))
}

fn force_release(request: &Request<'_>) -> Result<Decoded, Problem> {
    let arrival = request.arrival();
    if arrival.is_present() {
        if request.token().is_present() {
            return Err(twice("`token`", "`arrival`"));
        }
        let (arrival, generation) = (number(arrival)?, number(request.generation())?);
        return Ok((Dialect::Mailbus, Command::ForceTicket { arrival, generation }));
    }
    let (reason, token) = (reason(request)?, token(request)?);
    let drain = request.drain().flag()?.unwrap_or(false);
    Ok((Dialect::Mailbus, Command::ForceRelease { token, reason, drain }))
}

fn reason(request: &Request<'_>) -> Result<String, Problem> {
    let field = request.reason();
    let longest = limits::REASON_MAX_BYTES;
    let reason = field.text()?.filter(|reason: &String| reason.len() <= longest);
    reason.ok_or_else(|| field.malformed(format_args!("a text of at most {longest} bytes")))
}

fn recover(request: &Request<'_>) -> Result<Decoded, Problem> {
    let at_least = request.at_least().issuable("token")?;
    Ok((Dialect::Mailbus, Command::Recover { at_least }))
}

fn token(request: &Request<'_>) -> Result<Ordinal, Problem> {
    request.token().ordinal()
}

/// A TTL that is missing or no number at all is out of range too: one code for every bad TTL.
fn ttl(request: &Request<'_>) -> Result<Ttl, Problem> {
    let field = request.ttl_ms();
    field
        .whole()
        .and_then(Ttl::from_ms)
        .ok_or_else(|| out_of_range(field, limits::TTL_MIN_MS, limits::TTL_MAX_MS))
}

fn wait(request: &Request<'_>) -> Result<Option<Wait>, Problem> {
    let field = request.wait_ms();
    if !field.is_present() {
        return Ok(None);
    }
    let wait = field.whole().and_then(Wait::from_ms);
    wait.map(Some).ok_or_else(|| out_of_range(field, limits::WAIT_MIN_MS, limits::WAIT_MAX_MS))
}

fn out_of_range(field: Field<'_>, first: u64, last: u64) -> Problem {
    let wanted = format_args!("a whole number of milliseconds from {first} to {last}");
    field.refused(Code::TtlOutOfRange, wanted)
}

/// The set that an acquisition names, under one of its three names.
fn claimed(request: &Request<'_>) -> Result<(Dialect, PathSet), Problem> {
    let field = request.paths();
    match (field.is_present(), one_path(request, LeasePath::new)?) {
        (true, Some(_)) => Err(twice("`paths`", "`file` or `path`")),
        (false, Some((dialect, path))) => Ok((dialect, PathSet::one(path))),
        (false, None) => Err(field.malformed("an array of the paths to hold")),
        (true, None) => {
            let texts = request.path_texts()?;
            let paths: Result<Vec<LeasePath>, Problem> =
                texts.iter().map(|text| path("paths", text, LeasePath::new)).collect();
            let set = PathSet::new(paths?).map_err(|invalid| {
                let code = match invalid {
                    InvalidPaths::None => Code::Malformed,
                    InvalidPaths::TooMany => Code::TooManyPaths,
                };
                let most = limits::CLAIM_MAX_PATHS;
                field.refused(code, format_args!("an array of 1 to {most} paths"))
            })?;
            Ok((Dialect::Mailbus, set))
        }
    }
}

fn needed_path(request: &Request<'_>, parse: ParsePath) -> Result<(Dialect, LeasePath), Problem> {
    let field = request.path();
    one_path(request, parse)?.ok_or_else(|| field.malformed("the path asked about"))
}

/// The one path of a command: `file`, as the original spells it, or `path`.
fn one_path(
    request: &Request<'_>,
    parse: ParsePath,
) -> Result<Option<(Dialect, LeasePath)>, Problem> {
    let file = request.file();
    let path = request.path();
    match (file.path(parse)?, path.path(parse)?) {
        (Some(_), Some(_)) => Err(twice("`file`", "`path`")),
        (Some(path), None) => Ok(Some((Dialect::Original, path))),
        (None, Some(path)) => Ok(Some((Dialect::Mailbus, path))),
        (None, None) => Ok(None),
    }
}
