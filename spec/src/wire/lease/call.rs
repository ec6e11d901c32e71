//! Commands as a client writes them.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::members::By;
use crate::id::RequestId;
use crate::lease::{Command, ReleaseTarget};
use crate::ordinal::Ordinal;
use crate::path::{LeasePath, PathSet};
use crate::time::{Ttl, Wait};
use crate::wire::text_of;

/// The action of a command and the body to send to it, as attempt number `call`.
#[must_use]
pub fn encode_call(call: u64, command: &Command) -> (&'static str, String) {
    let object = Object { action: None, call, said: Said::of(command) };
    (command.name(), text_of(&object))
}

/// The frame of these attempts: an object if it is one, else an array.
#[must_use]
pub fn encode_frame(calls: &[(u64, &Command)]) -> String {
    let object = |&(call, command): &(u64, &Command)| {
        text_of(&Object { action: Some(command.name()), call, said: Said::of(command) })
    };
    let objects: Vec<String> = calls.iter().map(object).collect();
    crate::wire::frame::share(&objects)
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    call: u64,
    #[serde(flatten)]
    said: Said<'a>,
}

/// The members of each command. Everything is said, also what has a default: a socket has defaults
/// of its own.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Said<'a> {
    Acquire {
        #[serde(flatten)]
        holder: By<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<&'a RequestId>,
        paths: &'a PathSet,
        ttl_ms: Ttl,
        #[serde(skip_serializing_if = "Option::is_none")]
        wait_ms: Option<Wait>,
    },
    Renew {
        #[serde(flatten)]
        holder: By<'a>,
        token: Ordinal,
        ttl_ms: Ttl,
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        drain: bool,
    },
    Release {
        #[serde(flatten)]
        holder: By<'a>,
        #[serde(flatten)]
        target: Target<'a>,
    },
    Cancel {
        #[serde(flatten)]
        holder: By<'a>,
        request: &'a RequestId,
    },
    Status {
        path: &'a LeasePath,
    },
    List {
        prefix: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<&'a LeasePath>,
        limit: usize,
    },
    Tickets {
        tickets: bool,
        prefix: &'a str,
        after_arrival: u64,
        limit: usize,
    },
    Verify {
        path: &'a LeasePath,
        token: Ordinal,
    },
    ForceRelease {
        token: Ordinal,
        reason: &'a str,
        drain: bool,
    },
    ForceTicket {
        arrival: u64,
        generation: u64,
    },
    Recover {
        at_least: Ordinal,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Target<'a> {
    Token(Ordinal),
    Path(&'a LeasePath),
}

impl<'a> Said<'a> {
    fn of(command: &'a Command) -> Self {
        match command {
            Command::Acquire(acquire) => Self::Acquire {
                holder: acquire.holder().into(),
                request: acquire.request(),
                paths: acquire.paths(),
                ttl_ms: acquire.ttl(),
                wait_ms: acquire.wait(),
            },
            Command::Renew { holder, token, ttl, drain } => {
                let (holder, drain) = (holder.into(), *drain);
                Self::Renew { holder, token: *token, ttl_ms: *ttl, drain }
            }
            Command::Release { holder, target } => {
                let target = match target {
                    ReleaseTarget::Token(token) => Target::Token(*token),
                    ReleaseTarget::Path(path) => Target::Path(path),
                };
                Self::Release { holder: holder.into(), target }
            }
            Command::Cancel { holder, request } => Self::Cancel { holder: holder.into(), request },
            Command::Status { path } => Self::Status { path },
            Command::List { prefix, after, limit } => {
                Self::List { prefix, after: after.as_ref(), limit: *limit }
            }
            Command::Tickets { prefix, after, limit } => {
                Self::Tickets { tickets: true, prefix, after_arrival: *after, limit: *limit }
            }
            Command::Verify { path, token } => Self::Verify { path, token: *token },
            Command::ForceRelease { token, reason, drain } => {
                Self::ForceRelease { token: *token, reason, drain: *drain }
            }
            Command::ForceTicket { arrival, generation } => {
                Self::ForceTicket { arrival: *arrival, generation: *generation }
            }
            Command::Recover { at_least } => Self::Recover { at_least: *at_least },
        }
    }
}
