//! Answers to senders: what they say of a message is true of it, the second time too.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Transition, asked_to_send, ensure};
use crate::id::AgentId;
use crate::limits;
use crate::mailbox::answer::{Outcome, Rejection};
use crate::mailbox::command::Ask;

pub(super) fn sender_told(transition: &Transition<'_>) -> Result<(), String> {
    recipients_are_counted(transition)?;
    let Some((to, _)) = asked_to_send(transition) else { return Ok(()) };
    let known = to.map(|to| transition.before.is_known(to));
    let must_know = matches!(transition.ask(), Some(Ask::Send { must_know: true, .. }));
    match transition.answer() {
        Some(Ok(Outcome::Accepted { seq, recipients, known: told, near, .. })) => {
            let logged = transition.after.log.entries.get(seq);
            let kept = logged.map(|logged| logged.recipients);
            ensure(kept == Some(*recipients), || {
                format!("{seq} was given to {kept:?}, and the sender told {recipients}")
            })?;
            ensure(*told == known, || format!("a sender was told {told:?}, and it is {known:?}"))?;
            ensure(!must_know || known == Some(true), || {
                format!("{seq} was accepted for {to:?}, who is not known")
            })?;
            ensure(near.is_empty() || known == Some(false), || {
                format!("{near:?} were told beside a name that is known")
            })?;
            are_near(transition, near)
        }
        Some(Ok(Outcome::Duplicate { seq, recipients, refused })) => {
            let Some(logged) = transition.before.log.entries.get(seq) else {
                return Err(format!("{seq} was said to be a message's place, and is none"));
            };
            let told: BTreeSet<AgentId> = refused.iter().cloned().collect();
            let same = *recipients == Some(logged.recipients) && told == logged.refused;
            ensure(same, || {
                format!("{seq} was said to have come to {recipients:?} and {refused:?}")
            })
        }
        Some(Err(Rejection::UnknownAgent { near })) => {
            ensure(must_know && known == Some(false), || format!("{to:?} is known, or need not"))?;
            are_near(transition, near)
        }
        _ => Ok(()),
    }
}

fn are_near(transition: &Transition<'_>, near: &[AgentId]) -> Result<(), String> {
    let known = near.iter().all(|name| transition.before.is_known(name));
    ensure(known && near.len() <= limits::NEAR_NAMES, || format!("{near:?} were told as near"))
}

/// Recipients of a message count one more for each that refused it and gets it by a redrive.
fn recipients_are_counted(transition: &Transition<'_>) -> Result<(), String> {
    for (seq, logged) in &transition.after.log.entries {
        let Some(before) = transition.before.log.entries.get(seq) else { continue };
        let redriven: Vec<&AgentId> = match transition.ask() {
            Some(Ask::Redrive { agent, .. }) => {
                before.refused.difference(&logged.refused).filter(|name| *name == agent).collect()
            }
            _ => Vec::new(),
        };
        let due = before.recipients.saturating_add(redriven.len() as u64);
        ensure(logged.recipients == due, || {
            format!("{seq} was given to {due}, and {} are on record", logged.recipients)
        })?;
    }
    Ok(())
}
