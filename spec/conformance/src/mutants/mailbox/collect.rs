//! Mutants that delete what is needed, keep what is not, or push what is too old.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::{Agent, Log, Logged, Registration};
use mailbus_spec::mailbox::{Ask, MailboxMachine, MailboxStep, Outcome};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine, Timestamp, limits};

use super::{Mutant, ask_of, asking, now, outcome};

/// A message that everybody has settled is deleted at once: its id is free for the sender's retry.
pub const SETTLED_ROWS_ARE_DELETED_AT_ONCE: Mutant = Mutant::rule(
    "settled_rows_are_deleted_at_once",
    "spec/rules/refuted.md#a-repeatable-message-that-was-collected",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Ack { .. }) = ask_of(event) {
            delete_what_nobody_holds(state, |_| true);
        }
        step
    },
);

/// Forgetting an agent deletes its row and leaves its mail, which whoever takes the name then gets.
pub const FORGET_KEEPS_THE_MAIL: Mutant = Mutant::rule(
    "forget_keeps_the_mail",
    "spec/rules/mailboxes.md#unknown-names-and-forgotten-agents",
    |state, host, event| {
        let Some(Ask::Forget { agent: name, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let inbox = state.agents.get(name).map(|agent| agent.inbox.clone());
        let step = state.handle(host, event);
        // Whom a late copy spares keeps all it has.
        if let Some(Outcome::Forgotten { known: true }) = outcome(&step)
            && let Some(inbox) = inbox.filter(|inbox| !inbox.is_empty())
        {
            state.agents.insert(name.clone(), Agent { inbox, ..Agent::default() });
        }
        step
    },
);

/// A round of collection forgets whoever is away and is owed nothing, whenever it was seen.
pub const WHO_IS_AWAY_IS_FORGOTTEN: Mutant = Mutant::rule(
    "who_is_away_is_forgotten",
    "spec/rules/mailboxes.md#unknown-names-and-forgotten-agents",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Event::Alarm = event {
            state.agents.retain(|_, agent| {
                let is_there = agent.live.is_some() || !agent.superseded.is_empty();
                is_there || !agent.inbox.is_empty() || !agent.failed.is_empty()
            });
        }
        step
    },
);

/// A forgetting forgets whoever has the name by then.
pub const FORGETTING_NAMES_NO_EPOCH: Mutant = Mutant::rule(
    "forgetting_names_no_epoch",
    "spec/rules/refuted.md#a-forgetting-without-an-epoch",
    |state, host, event| match ask_of(event) {
        Some(Ask::Forget { agent, .. }) => {
            let agent = agent.clone();
            state.handle(host, &asking(event, Ask::Forget { agent, epoch: None }))
        }
        _ => state.handle(host, event),
    },
);

/// A round of collection deletes what may still be repeated.
pub const ROUND_DELETES_WHAT_MAY_BE_REPEATED: Mutant = Mutant::rule(
    "round_deletes_what_may_be_repeated",
    "spec/rules/refuted.md#a-repeatable-message-that-was-collected",
    |state, host, event| {
        let step = state.handle(host, event);
        if *event == Event::Alarm {
            delete_what_nobody_holds(state, |_| true);
        }
        step
    },
);

/// A round of collection lets go of mail for names that never connected.
pub const ROUND_DELETES_STRANGERS_MAIL: Mutant = Mutant::rule(
    "round_deletes_strangers_mail",
    "spec/rules/mailboxes.md#unknown-names-and-forgotten-agents",
    |state, host, event| {
        let step = state.handle(host, event);
        if *event == Event::Alarm {
            let now = now(state, host);
            state.agents.retain(|_, agent| agent.registration.is_some());
            delete_what_nobody_holds(state, |row| row.at.plus_ms(limits::DEDUP_MS) <= now);
        }
        step
    },
);

/// Only an event that changes something about an agent is a sign of its life.
pub const ONLY_CHANGES_ARE_SIGNS_OF_LIFE: Mutant = Mutant::rule(
    "only_changes_are_signs_of_life",
    "spec/rules/refuted.md#a-busy-agent-that-is-forgotten",
    |state, host, event| {
        if *event == Event::Alarm {
            return state.handle(host, event);
        }
        with_fresh_rows(state, host, |state| state.handle(host, event))
    },
);

/// An agent that has a session for a week, and says nothing, is forgotten as soon as the session ends.
pub const SESSIONS_ARE_NO_SIGNS_OF_LIFE: Mutant = Mutant::rule(
    "sessions_are_no_signs_of_life",
    "spec/rules/mailboxes.md#signs-of-life",
    |state, host, event| {
        let mut present: BTreeMap<AgentId, Timestamp> = BTreeMap::new();
        if *event == Event::Alarm {
            let sessions = state.agents.iter().filter(|(_, agent)| agent.has_session());
            present.extend(sessions.filter_map(|(name, agent)| {
                Some((name.clone(), agent.registration.as_ref()?.written_at))
            }));
        }
        let step = state.handle(host, event);
        for (name, at) in present {
            let agent = state.agents.get_mut(&name).and_then(|agent| agent.registration.as_mut());
            agent.into_iter().for_each(|known| known.written_at = at);
        }
        step
    },
);

/// Handles an event as if every agent's row had just been written.
fn with_fresh_rows(
    state: &mut MailboxMachine,
    host: HostTime,
    handle: impl FnOnce(&mut MailboxMachine) -> MailboxStep,
) -> MailboxStep {
    let now = now(state, host);
    let mut old: BTreeMap<AgentId, Registration> = BTreeMap::new();
    for (name, agent) in &mut state.agents {
        if let Some(known) = &mut agent.registration {
            old.insert(name.clone(), known.clone());
            known.written_at = now;
        }
    }
    let step = handle(state);
    for (name, old) in old {
        let known = state.agents.get_mut(&name).and_then(|agent| agent.registration.as_mut());
        if let Some(known) = known
            .filter(|known| **known == Registration { written_at: known.written_at, ..old.clone() })
        {
            known.written_at = old.written_at;
        }
    }
    step
}

/// A dead letter ends with its message's retention, however late it died.
pub const LETTERS_DIE_WITH_THEIR_MESSAGE: Mutant = Mutant::rule(
    "letters_die_with_their_message",
    "spec/rules/refuted.md#letters-that-die-with-their-message",
    |state, host, event| {
        let step = state.handle(host, event);
        if *event == Event::Alarm {
            let now = now(state, host);
            let is_old = |logged: &Logged| logged.expires_at() <= now;
            let MailboxMachine { agents, log, .. } = state;
            for agent in agents.values_mut() {
                agent.failed.retain(|seq, _| !log.entries.get(seq).is_none_or(is_old));
            }
        }
        step
    },
);

/// Messages that are too old are pushed until a round of collection takes them.
pub const TOO_OLD_IS_PUSHED: Mutant = Mutant::rule(
    "too_old_is_pushed",
    "spec/rules/mailboxes.md#retention-and-collection",
    |state, host, event| {
        if *event == Event::Alarm {
            return state.handle(host, event);
        }
        let now = now(state, host);
        let mut spared: Vec<(Ordinal, Timestamp)> = Vec::new();
        for (seq, logged) in &mut state.log.entries {
            let later = Timestamp::from_ms((now.ms() + 1).saturating_sub(limits::RETENTION_MS));
            if let Some(later) = later
                && logged.at < later
            {
                spared.push((*seq, std::mem::replace(&mut logged.at, later)));
            }
        }
        let step = state.handle(host, event);
        for (seq, at) in spared {
            state.log.entries.get_mut(&seq).into_iter().for_each(|logged| logged.at = at);
        }
        step
    },
);

/// Deletes the rows that fit and that nobody is owed or keeps among his dead letters.
fn delete_what_nobody_holds(state: &mut MailboxMachine, fits: impl Fn(&Logged) -> bool) {
    let agents = state.agents.values();
    let held: BTreeSet<Ordinal> = agents
        .flat_map(|agent| agent.inbox.open.keys().chain(agent.failed.keys()))
        .copied()
        .collect();
    let Log { entries, bytes, .. } = &mut state.log;
    entries.retain(|seq, row| {
        let stays = held.contains(seq) || !fits(row);
        if !stays {
            *bytes -= row.message.bytes();
        }
        stays
    });
}

#[cfg(test)]
mod tests {
    use mailbus_spec::mailbox::Command;

    use super::*;
    use crate::mutants::wake;
    use crate::subject::Text;
    use crate::{EXACT_START, Epoch};

    /// Otherwise it would break another rule than its own.
    #[test]
    fn who_keeps_the_mail_of_the_forgotten_leaves_alone_who_is_spared() {
        let mut sound = MailboxMachine::default();
        for line in [&["subscribe", "bob", "a"][..], &["send", "ann", "bob", "a"]] {
            let command = MailboxMachine::parse_command(line, Epoch(EXACT_START)).unwrap();
            sound.handle(EXACT_START, &Event::Command(command));
        }
        let mut broken = sound.clone();
        let agent = AgentId::new("bob").unwrap();
        let late = Command::alone(Ask::Forget { agent, epoch: Some(Ordinal::ZERO) });
        let late = Event::Command(late);
        let step = sound.handle(EXACT_START, &late);
        assert_eq!(outcome(&step), Some(&Outcome::Forgotten { known: false }));
        wake(Some(&FORGET_KEEPS_THE_MAIL)).handle(&mut broken, EXACT_START, &late);
        assert_eq!(broken, sound);
    }
}
