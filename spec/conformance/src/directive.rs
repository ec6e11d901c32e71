//! One line of a script: a command of the service, or something done to its world.

use super::notation::{Epoch, parse_duration, parse_offset, spell_duration, spell_offset};
use super::subject::Subject;
use super::system::{Capability, Needs};
use mailbus_spec::time::HostTime;

/// One step of a case.
///
/// Invariant: every directive is legal in every state, so that deleting one never breaks a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Directive<S: Subject> {
    /// Commands, one after the other: one, or many from a `times` line, of which only the last reply
    /// is shown.
    Commands(Vec<S::Command>),
    /// True time goes on to this many milliseconds after the start; never back.
    At(u64),
    /// The host's clock is wrong from now on by this many milliseconds.
    Skew(i64),
    /// The host's clock stands at this reading until the next `at` or `host`.
    Clock(HostTime),
    /// The alarm rings.
    Alarm,
    /// Shows the pending alarm.
    Pending,
    /// A peer opens a socket.
    Connect(S::Peer),
    /// A peer closes its socket.
    Disconnect(S::Peer),
    /// The object is dropped from memory.
    Evict,
    /// The object is killed and starts again; sockets break.
    Crash,
    /// The storage is remembered under a name.
    Bookmark(String),
    /// The storage is set back.
    Restore(String),
}

/// More commands than this from one line ask for a system that bears them.
const BULK: usize = 1_000;

/// Most commands of one line.
const TIMES_MAX: u32 = 200_000;

impl<S: Subject> Directive<S> {
    /// One command.
    #[must_use]
    pub fn command(command: S::Command) -> Self {
        Self::Commands(vec![command])
    }

    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str, epoch: Epoch) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["at", offset] => u64::try_from(parse_offset(offset)?)
                .map(Self::At)
                .map_err(|_| format!("`at {offset}` is before the start")),
            ["host", "right"] => Ok(Self::Skew(0)),
            ["host", "unix", ms] => ms
                .parse()
                .map(|ms| Self::Clock(HostTime(ms)))
                .map_err(|_| format!("`{ms}` is not a number of milliseconds")),
            ["host", offset] => Ok(Self::Skew(parse_offset(offset)?)),
            ["alarm"] => Ok(Self::Alarm),
            ["pending"] => Ok(Self::Pending),
            ["connect", _] if S::HAS_SESSIONS => {
                Err(String::from("`connect` is not for what begins sessions by command"))
            }
            ["connect", peer] => S::parse_peer(peer).map(Self::Connect),
            ["disconnect", peer] => S::parse_peer(peer).map(Self::Disconnect),
            ["evict"] => Ok(Self::Evict),
            ["crash"] => Ok(Self::Crash),
            ["bookmark", name] => Ok(Self::Bookmark((*name).to_string())),
            ["restore", name] => Ok(Self::Restore((*name).to_string())),
            ["times", count, template @ ..] => repeated(count, template, epoch),
            command => S::parse_command(
                &expanded(command)?.iter().map(String::as_str).collect::<Vec<_>>(),
                epoch,
            )
            .map(Self::command),
        }
    }

    /// The line that [`Directive::parse`] reads so. Repeated commands become several lines.
    #[must_use]
    pub fn spell(&self, epoch: Epoch) -> String {
        match self {
            Self::Commands(commands) => {
                let lines: Vec<String> =
                    commands.iter().map(|command| S::spell_command(command, epoch)).collect();
                lines.join("\n")
            }
            Self::At(ms) => format!("at +{}", spell_duration(*ms)),
            Self::Skew(0) => String::from("host right"),
            Self::Skew(offset) => format!("host {}", spell_offset(*offset)),
            Self::Clock(host) => format!("host unix {}", host.0),
            Self::Alarm => String::from("alarm"),
            Self::Pending => String::from("pending"),
            Self::Connect(peer) => format!("connect {}", S::spell_peer(peer, epoch)),
            Self::Disconnect(peer) => format!("disconnect {}", S::spell_peer(peer, epoch)),
            Self::Evict => String::from("evict"),
            Self::Crash => String::from("crash"),
            Self::Bookmark(name) => format!("bookmark {name}"),
            Self::Restore(name) => format!("restore {name}"),
        }
    }

    pub(super) fn capability(&self) -> Option<Capability> {
        match self {
            Self::Commands(commands) if commands.len() > BULK => Some(Capability::Bulk),
            Self::Commands(_) | Self::At(_) => None,
            Self::Skew(_) | Self::Clock(_) => Some(Capability::ExactTime),
            Self::Alarm | Self::Pending => Some(Capability::Alarm),
            Self::Connect(_) | Self::Disconnect(_) => Some(Capability::Sockets),
            Self::Evict => Some(Capability::Evict),
            Self::Crash => Some(Capability::Crash),
            Self::Bookmark(_) | Self::Restore(_) => Some(Capability::Rollback),
        }
    }
}

/// Needs of a case: what it asks of a system.
#[must_use]
pub fn needs<S: Subject>(directives: &[Directive<S>]) -> Needs {
    let mut needs = Needs::default();
    for directive in directives {
        needs.capabilities.extend(directive.capability());
        if let Directive::At(ms) = directive {
            needs.elapsed_ms = needs.elapsed_ms.max(*ms);
        }
    }
    needs
}

/// `times 256 acquire alice/1 r{n} f{n} ttl=1m`: the command once for each `{n}` from 1 on.
fn repeated<S: Subject>(
    count: &str,
    template: &[&str],
    epoch: Epoch,
) -> Result<Directive<S>, String> {
    let count: u32 = count
        .parse()
        .ok()
        .filter(|count| (1..=TIMES_MAX).contains(count))
        .ok_or_else(|| format!("`times {count}` is not 1 to {TIMES_MAX} times"))?;
    let mut commands = Vec::new();
    for n in 1..=count {
        let number = n.to_string();
        let words: Vec<String> = template.iter().map(|word| word.replace("{n}", &number)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let words = expanded(&words)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        commands.push(S::parse_command(&words, epoch)?);
    }
    Ok(Directive::Commands(commands))
}

/// A word `f{1..3}` becomes `f1 f2 f3`.
fn expanded(words: &[&str]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for word in words {
        let Some((before, rest)) = word.split_once('{') else {
            all.push((*word).to_string());
            continue;
        };
        let wrong = || format!("`{word}` is not a range such as `f{{1..3}}`");
        let (range, after) = rest.split_once('}').ok_or_else(wrong)?;
        let (first, last) = range.split_once("..").ok_or_else(wrong)?;
        let first: u32 = first.parse().map_err(|_| wrong())?;
        let last: u32 = last.parse().map_err(|_| wrong())?;
        if last.saturating_sub(first) > 1_000 {
            return Err(wrong());
        }
        all.extend((first..=last).map(|n| format!("{before}{n}{after}")));
    }
    Ok(all)
}

/// Used by durations in commands.
pub(super) fn keyed_duration(words: &[&str], key: &str) -> Result<Option<u64>, String> {
    keyed(words, key).map(parse_duration).transpose()
}

/// The value of `key=value` among the words.
pub(super) fn keyed<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}
