//! Lease commands out of the words of a script.
//!
//! ```text
//! acquire alice/1 r1 src/lib.rs src/main.rs ttl=30s wait=10s
//! acquire alice - src/lib.rs ttl=30s          (the original's protocol: no session, no request)
//! renew alice/1 #0s ttl=30s
//! release alice/1 #0s
//! release alice src/lib.rs                    (the original's protocol)
//! cancel alice/1 r1
//! status src/lib.rs
//! list prefix=src/ after=src/a.rs limit=2
//! verify src/lib.rs #0s
//! force-release #0s drain reason=…to the end of the line
//! recover #1h
//! ```

use crate::directive::{keyed, keyed_duration};
use crate::notation::Epoch;
use mailbus_spec::id::{AgentId, Holder, RequestId, SessionId};
use mailbus_spec::lease::{Acquire, Command, MalformedAcquire, ReleaseTarget};
use mailbus_spec::limits;
use mailbus_spec::path::{LeasePath, PathSet};
use mailbus_spec::time::{Ttl, Wait};

/// A holder: `alice/1`, or `alice` under the original's protocol.
pub(super) fn holder(text: &str) -> Result<Holder, String> {
    let (agent, session) = text.split_once('/').unwrap_or((text, ""));
    let wrong = |invalid| format!("the holder `{text}` {invalid}");
    let agent = AgentId::new(agent).map_err(wrong)?;
    let session = SessionId::new(session).map_err(wrong)?;
    Ok(Holder { agent, session })
}

fn request(text: &str) -> Result<RequestId, String> {
    RequestId::new(text).map_err(|invalid| format!("the request `{text}` {invalid}"))
}

fn path(text: &str) -> Result<LeasePath, String> {
    LeasePath::new(text).map_err(|invalid| format!("the path `{text}` {invalid}"))
}

fn ttl(words: &[&str]) -> Result<Ttl, String> {
    let ms = keyed_duration(words, "ttl")?.ok_or("`ttl=` is missing")?;
    Ttl::from_ms(ms).ok_or_else(|| String::from("a TTL is 1 ms to 24 h"))
}

fn wait(words: &[&str]) -> Result<Option<Wait>, String> {
    keyed_duration(words, "wait")?
        .map(|ms| Wait::from_ms(ms).ok_or_else(|| String::from("a wait is 1 s to 10 min")))
        .transpose()
}

/// A command out of its words.
pub(super) fn command(words: &[&str], epoch: Epoch) -> Result<Command, String> {
    match words {
        ["acquire", who, named, rest @ ..] => acquire(who, named, rest).map(Command::Acquire),
        ["renew", who, token, rest @ ..] => Ok(Command::Renew {
            holder: holder(who)?,
            token: epoch.parse_ordinal(token)?,
            ttl: ttl(rest)?,
            drain: rest.contains(&"drain"),
        }),
        ["release", who, what] => Ok(Command::Release {
            holder: holder(who)?,
            target: if what.starts_with('#') {
                ReleaseTarget::Token(epoch.parse_ordinal(what)?)
            } else {
                ReleaseTarget::Path(path(what)?)
            },
        }),
        ["cancel", who, named] => {
            Ok(Command::Cancel { holder: holder(who)?, request: request(named)? })
        }
        ["status", what] => Ok(Command::Status { path: path(what)? }),
        ["list", "tickets", rest @ ..] => Ok(Command::Tickets {
            prefix: keyed(rest, "prefix").unwrap_or_default().to_string(),
            after: keyed_number(rest, "after")?.unwrap_or(0),
            limit: limit(rest)?,
        }),
        ["list", rest @ ..] => list(rest),
        ["verify", what, token] => {
            Ok(Command::Verify { path: path(what)?, token: epoch.parse_ordinal(token)? })
        }
        ["force-release", ticket, generation] if ticket.starts_with("ticket=") => {
            force_ticket(ticket, generation, epoch)
        }
        ["force-release", token, rest @ ..] => force_release(token, rest, epoch),
        ["recover", token] => Ok(Command::Recover { at_least: epoch.parse_ordinal(token)? }),
        _ => Err(format!("`{}` is not a command", words.join(" "))),
    }
}

fn acquire(who: &str, named: &str, rest: &[&str]) -> Result<Acquire, String> {
    let request = if named == "-" { None } else { Some(request(named)?) };
    let paths: Vec<LeasePath> = rest
        .iter()
        .filter(|word| !word.contains('='))
        .map(|word| path(word))
        .collect::<Result<_, _>>()?;
    let paths = PathSet::new(paths).map_err(|_| "a claim has 1 to 64 paths")?;
    Acquire::new(holder(who)?, request, paths, ttl(rest)?, wait(rest)?).map_err(|malformed| {
        String::from(match malformed {
            MalformedAcquire::SessionNeedsRequest => "a holder with a session names its request",
            MalformedAcquire::WaitNeedsRequest => "a wait needs a named request",
        })
    })
}

fn keyed_number(words: &[&str], key: &str) -> Result<Option<u64>, String> {
    let number = |text: &str| text.parse().map_err(|_| format!("`{key}={text}` is no number"));
    keyed(words, key).map(number).transpose()
}

fn limit(rest: &[&str]) -> Result<usize, String> {
    match keyed(rest, "limit") {
        None => Ok(limits::LIST_DEFAULT),
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=limits::LIST_MAX).contains(limit))
            .ok_or_else(|| format!("`limit={text}` is not 1 to {}", limits::LIST_MAX)),
    }
}

fn list(rest: &[&str]) -> Result<Command, String> {
    Ok(Command::List {
        prefix: keyed(rest, "prefix").unwrap_or_default().to_string(),
        after: keyed(rest, "after").map(path).transpose()?,
        limit: limit(rest)?,
    })
}

fn force_ticket(ticket: &str, generation: &str, epoch: Epoch) -> Result<Command, String> {
    let arrival = keyed_number(&[ticket], "ticket")?.unwrap_or(0);
    let generation = keyed(&[generation], "generation").ok_or("`generation=` is missing")?;
    let generation = epoch.parse_generation(generation)?;
    Ok(Command::ForceTicket { arrival, generation })
}

fn force_release(token: &str, rest: &[&str], epoch: Epoch) -> Result<Command, String> {
    let (drain, rest) = match rest {
        ["drain", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (token, reason) = (epoch.parse_ordinal(token)?, reason(rest)?);
    Ok(Command::ForceRelease { token, reason, drain })
}

fn reason(rest: &[&str]) -> Result<String, String> {
    let words = rest.join(" ");
    let reason = match words.strip_prefix("reason=") {
        Some(reason) => reason,
        None if words.is_empty() => "",
        None => return Err(format!("`{words}` is not `reason=…`")),
    };
    if reason.len() > limits::REASON_MAX_BYTES {
        return Err(format!("a reason has at most {} bytes", limits::REASON_MAX_BYTES));
    }
    Ok(String::from(reason))
}

#[cfg(test)]
mod tests {
    use super::super::print;
    use super::*;
    use crate::EXACT_START;

    #[test]
    fn commands_are_read_as_they_are_written() {
        let epoch = Epoch(EXACT_START);
        for line in [
            "acquire alice/1 r1 src/lib.rs src/main.rs ttl=30s wait=10s",
            "acquire alice - src/lib.rs ttl=1ms",
            "renew alice/1 #0s ttl=24h",
            "renew alice/1 #0s ttl=1s drain",
            "release alice/1 #1m30s.2",
            "release alice src/lib.rs",
            "cancel alice/1 r1",
            "status src/lib.rs",
            "list prefix=src/ after=src/a.rs limit=2",
            "verify src/lib.rs #0s",
            "force-release #0s drain reason=make way for the release",
            "force-release ticket=2 generation=+0s",
            "list tickets prefix=src/ after=2 limit=3",
            "recover #1h",
        ] {
            let line = line.replace("24h", "1d");
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(print::command(&command(&words, epoch).unwrap(), epoch), line);
        }
    }

    #[test]
    fn what_is_no_command_is_refused_with_a_reason() {
        for (line, reason) in [
            ("acquire alice/1 - a ttl=30s", "a holder with a session names its request"),
            ("acquire alice - a ttl=30s wait=1s", "a wait needs a named request"),
            ("acquire alice/1 r1 a ttl=0s", "a TTL is 1 ms to 24 h"),
            ("acquire alice/1 r1 a ttl=1s wait=1ms", "a wait is 1 s to 10 min"),
            (
                "acquire alice/1 r1 ../a ttl=1s",
                "the path `../a` climbs out of the workspace: name a file inside it",
            ),
            ("acquire alice/1 r1 ttl=1s", "a claim has 1 to 64 paths"),
            ("steal a", "`steal a` is not a command"),
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(command(&words, Epoch(EXACT_START)), Err(String::from(reason)));
        }
    }
}
