//! One short line for each transition.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, Outcome, Push, Rejection, ReleaseTarget};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, PathSet};

use crate::judge::observer::lease::LeaseEvent;

/// The line of an event of the object.
#[must_use]
pub fn event(event: &LeaseEvent) -> String {
    let asked = match &event.event {
        Event::Alarm => "alarm".to_owned(),
        Event::Command(asked) => command(asked),
    };
    let answered = event.step.reply.as_ref().map_or_else(String::new, |reply| {
        let answer = match &reply.answer {
            Ok(outcome) => outcome_text(outcome),
            Err(rejection) => rejection_text(rejection),
        };
        format!(" -> {answer} #{}@{}", reply.commit.sequence, reply.commit.now)
    });
    let wrote = if event.step.wrote { "" } else { " (read)" };
    let pushes: String = event.step.pushes.iter().map(push).collect();
    format!("object      {asked}{answered}{wrote}{pushes}")
}

fn command(command: &Command) -> String {
    let name = command.name();
    match command {
        Command::Acquire(acquire) => {
            let request = acquire.request().map_or("-", |request| request.as_str());
            let wait = acquire.wait().map_or(String::new(), |wait| format!(" wait {}", wait.ms()));
            let paths = set(acquire.paths());
            format!(
                "{name} {} {request} {paths} ttl {}{wait}",
                acquire.holder(),
                acquire.ttl().ms()
            )
        }
        Command::Renew { holder, token, ttl } => {
            format!("{name} {holder} {token} ttl {}", ttl.ms())
        }
        Command::Release { holder, target: ReleaseTarget::Token(token) } => {
            format!("{name} {holder} {token}")
        }
        Command::Release { holder, target: ReleaseTarget::Path(path) } => {
            format!("{name} {holder} {path}")
        }
        Command::Cancel { holder, request } => format!("{name} {holder} {request}"),
        Command::Status { path } => format!("{name} {path}"),
        Command::List { prefix, .. } => format!("{name} {prefix:?}"),
        Command::Verify { path, token } => format!("{name} {path} {token}"),
        Command::ForceRelease { token, drain, .. } => {
            format!("{name} {token}{}", if *drain { " drain" } else { "" })
        }
        Command::Recover { at_least } => format!("{name} at least {at_least}"),
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Granted { token, expires_at, ttl } => {
            format!("granted {token} to {expires_at} term {}", ttl.ms())
        }
        Outcome::Queued { position } => format!("queued {position}"),
        Outcome::Over { reason, token } => {
            format!("over {reason:?}{}", token.map_or(String::new(), |token| format!(" {token}")))
        }
        Outcome::Renewed { expires_at, waiting } => {
            format!("renewed to {expires_at} waiting {waiting}")
        }
        Outcome::Held { lease, .. } => format!("held by {} {}", lease.holder, lease.token),
        Outcome::Leases { leases, .. } => format!("{} leased paths", leases.len()),
        Outcome::Current { expires_at } => format!("current to {expires_at}"),
        Outcome::Free { queue } => format!("free queue {queue}"),
        Outcome::Released => "released".into(),
        Outcome::Cancelled => "cancelled".into(),
        Outcome::Stale => "stale".into(),
        Outcome::Recovered => "recovered".into(),
    }
}

fn rejection_text(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Held(blocker) => {
            format!("held by {:?} of {} until {}", blocker.by, blocker.holder, blocker.until)
        }
        Rejection::Deadlock { cycle, length } => {
            let cycle: Vec<String> = cycle.iter().map(Holder::to_string).collect();
            format!("deadlock of {length}: {}", cycle.join(" > "))
        }
        Rejection::Conflict => "conflict".into(),
        Rejection::Limit(kind) => format!("limit {kind:?}"),
        Rejection::Lost => "lost".into(),
        Rejection::Clock(host) => format!("clock {}", host.0),
    }
}

fn push(push: &Push) -> String {
    let what = match &push.notice {
        Notice::Granted { request, token, .. } => format!("granted {request} {token}"),
        Notice::Lapsed { token } => format!("lapsed {token}"),
        Notice::Forced { token, .. } => format!("forced {token}"),
    };
    format!(" ; push {}: {what}", push.to)
}

fn set(paths: &PathSet) -> String {
    let paths: Vec<&str> = paths.as_slice().iter().map(|path| path.as_str()).collect();
    format!("{{{}}}", paths.join(","))
}
