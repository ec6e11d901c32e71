//! Turning points: the instants at which time alone makes a difference.

use mailbus_spec::limits;
use mailbus_spec::mailbox::MailboxMachine;
use mailbus_spec::mailbox::state::Agent;
use mailbus_spec::{HostTime, Timestamp};

use crate::mailbox::scenario::Turns;
use crate::mailbox::state::State;

/// The next instant of object time that the world lets time jump to.
pub fn next(turns: Turns, state: &State) -> Option<Timestamp> {
    let now = state.now();
    all(turns, &state.object).filter(|at| *at > now).min()
}

/// The host time at which the object's clock says `at`.
pub fn host_at(object: &MailboxMachine, at: Timestamp) -> HostTime {
    object.clock.host_at(at)
}

fn all(turns: Turns, object: &MailboxMachine) -> impl Iterator<Item = Timestamp> {
    fn when<T>(wanted: bool, at: T) -> Option<T> {
        wanted.then_some(at)
    }
    let rows = object.log.entries.values().flat_map(move |logged| {
        let dedup = when(turns.dedup, logged.at.plus_ms(limits::DEDUP_MS));
        dedup.into_iter().chain(when(turns.retention, logged.at.plus_ms(limits::RETENTION_MS)))
    });
    let dead = object.agents.values().flat_map(move |agent| {
        agent.failed.values().filter_map(move |failed| when(turns.retention, failed.ends_at()))
    });
    let due = object.agents.values().flat_map(move |agent| {
        agent.inbox.open.values().filter_map(move |open| open.due.filter(|_| turns.due))
    });
    let presumed = object.agents.values().flat_map(move |agent| presumed(turns, object, agent));
    let known = object.agents.values().filter_map(|agent| agent.registration.as_ref());
    let silent = known.flat_map(move |known| {
        let untold = known.losses.count > 0;
        let ends = [
            when(turns.sight, limits::SIGHT_MS),
            when(turns.silence, limits::KNOWN_MS),
            when(turns.silence && untold, limits::LOSSES_MS),
        ];
        ends.into_iter().flatten().map(|age_ms| known.written_at.plus_ms(age_ms))
    });
    let round = when(
        turns.round && object.round_at > Timestamp::ZERO,
        object.round_at.plus_ms(limits::COLLECTION_MS),
    );
    rows.chain(dead).chain(due).chain(presumed).chain(silent).chain(round)
}

fn presumed<'a>(
    turns: Turns,
    object: &'a MailboxMachine,
    agent: &'a Agent,
) -> impl Iterator<Item = Timestamp> + use<'a> {
    // Whether or not the session has negotiated: that time must make no difference to one that has.
    let live = agent.live.as_ref().filter(|_| turns.presumed);
    live.into_iter().flat_map(move |live| {
        live.flights.keys().filter_map(move |seq| {
            let at = object.log.entries.get(seq)?.at;
            Some(at.max(live.since).plus_ms(limits::PRESUMED_MS))
        })
    })
}
