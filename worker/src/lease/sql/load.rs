//! Waking: the machine's memory out of its rows.

use mailbus_spec::{LeasePath, PathSet, RequestId, Timestamp, Ttl, Wait};

use super::ledger::Ledger;
use super::live::{Claim, Lease, Live, Ticket};
use super::remembered::Remembered;
use super::rows::{self, State};
use super::state::Machine;
use super::tokens::EndedTokens;
use crate::sql::{Columns, checked};
use crate::storage::{Row, Storage, StorageError, Value};

const META: &str = "\
    SELECT sequence, clock, last_token, clock_offset, generation FROM meta";
/// SQLite takes the other columns from the row that has the maximum.
const NEWEST: &str = "\
    SELECT max(sequence), clock, last_token FROM claim HAVING max(sequence) IS NOT NULL";
/// One page of live claims in the order of the key. Parameters: the clock, the key to begin after.
const LIVE: &str = "\
    SELECT agent, session, request, until, state, token, arrival, first_term, ttl, wait, paths \
    FROM claim \
    WHERE until > ?1 AND (agent, session, request) > (?2, ?3, ?4) \
    ORDER BY agent, session, request LIMIT 256";
/// What is over, counted by agent and by the minute that makes it collectable, for one page of
/// agents. Parameters: the clock, the agent to begin after. The numbers are the memory, the last
/// instant and what rounds up to a minute, in milliseconds.
///
/// Agents with live claims alone count too, so that an empty page is the last.
const OVER: &str = "\
    SELECT agent, (min(until + 120000, 8796093022207) + 59999) / 60000 AS minute, \
    count(*) FILTER (WHERE until <= ?1) \
    FROM claim \
    WHERE agent IN (SELECT DISTINCT agent FROM claim WHERE agent > ?2 ORDER BY agent LIMIT 256) \
    GROUP BY agent, minute ORDER BY agent, minute";

/// One page of what is over and had a token that somebody gave back or took, in the order of the key.
/// Parameters: the clock, the key to begin after.
const ENDED_TOKENS: &str = "\
    SELECT agent, session, request, token, until, state FROM claim \
    WHERE (agent, session, request) > (?2, ?3, ?4) AND until <= ?1 AND token IS NOT NULL \
    AND state IN ('released', 'cancelled', 'forced', 'draining') \
    ORDER BY agent, session, request LIMIT 1024";

impl Machine {
    /// The machine as its rows have it. Writes nothing: on an untouched database there are no tables.
    pub(super) fn load(storage: &mut dyn Storage) -> Result<Self, StorageError> {
        if storage.query(rows::FIND_TABLES, &[])?.is_empty() {
            return Ok(Self::default());
        }
        let ledger = load_ledger(storage)?;
        let live = load_live(storage, ledger.clock.floor)?;
        let remembered = load_remembered(storage, ledger.clock.floor)?;
        let ended_tokens = load_ended_tokens(storage, ledger.clock.floor)?;
        Ok(Self { has_tables: true, ledger, live, remembered, ended_tokens })
    }
}

fn load_ledger(storage: &mut dyn Storage) -> Result<Ledger, StorageError> {
    let mut ledger = Ledger::default();
    for row in storage.query(META, &[])? {
        let mut columns = Columns::of(row);
        read_stamp(&mut columns, &mut ledger)?;
        ledger.clock.offset = columns.signed()?;
        ledger.generation = columns.integer()?;
    }
    for row in storage.query(NEWEST, &[])? {
        let mut newest = ledger;
        read_stamp(&mut Columns::of(row), &mut newest)?;
        if newest.sequence > ledger.sequence {
            ledger = newest;
        }
    }
    Ok(ledger)
}

fn read_stamp(columns: &mut Columns, ledger: &mut Ledger) -> Result<(), StorageError> {
    ledger.sequence = columns.integer()?;
    ledger.clock.floor = columns.instant()?;
    ledger.last_token = columns.ordinal()?;
    Ok(())
}

fn load_live(storage: &mut dyn Storage, clock: Timestamp) -> Result<Live, StorageError> {
    let mut live = Live::default();
    by_pages(storage, LIVE, clock, |row| load_claim(&mut live, row))?;
    Ok(live)
}

/// Reads all that `sql` selects, a page in the order of the key at a time. Its parameters are the clock
/// and the key to begin after; its columns begin with the key.
fn by_pages(
    storage: &mut dyn Storage,
    sql: &'static str,
    clock: Timestamp,
    mut load: impl FnMut(Row) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let mut after = [const { Value::Text(String::new()) }; 3];
    loop {
        let [agent, session, request] = after;
        let page = storage.query(sql, &[rows::integer(clock.ms()), agent, session, request])?;
        let Some(last) = page.last() else { return Ok(()) };
        let [agent, session, request, ..] = last.as_slice() else {
            return Err(StorageError("a lease row is too short".to_owned()));
        };
        after = [agent.clone(), session.clone(), request.clone()];
        page.into_iter().try_for_each(&mut load)?;
    }
}

fn load_claim(live: &mut Live, row: Row) -> Result<(), StorageError> {
    let mut columns = Columns::of(row);
    let holder = columns.holder()?;
    let name = columns.text()?;
    let until = columns.instant()?;
    let state = checked("a state", State::parse(&columns.text()?))?;
    let (token, arrival) = (columns.optional_ordinal()?, columns.optional_integer()?);
    let first_term = columns.optional_integer()?.and_then(Ttl::from_ms);
    let ttl = checked("a TTL", Ttl::from_ms(columns.integer()?))?;
    let wait = match columns.optional_integer()? {
        Some(ms) => Some(checked("a wait", Wait::from_ms(ms))?),
        None => None,
    };
    let paths = read_paths(&columns.text()?)?;
    let request = match name.strip_prefix('\n') {
        Some(_) => None,
        None => Some(checked("a request", RequestId::new(name).ok())?),
    };
    let claim = Claim { holder, request, paths: live.share_paths(&paths), ttl, wait };
    match (state, token, arrival, first_term) {
        (State::Lease | State::Draining, Some(token), _, Some(first_term)) => {
            let draining = state == State::Draining;
            live.add_lease(token, Lease { claim, first_term, expires_at: until, draining });
        }
        (State::Ticket, _, Some(arrival), _) => {
            live.add_ticket(arrival, Ticket { claim, deadline: until });
        }
        _ => return Err(StorageError(format!("a lease row ends in the future and is {state:?}"))),
    }
    Ok(())
}

fn read_paths(lines: &str) -> Result<PathSet, StorageError> {
    let paths = lines.split('\n').map(LeasePath::new).collect::<Result<Vec<_>, _>>();
    checked("a set of paths", paths.ok().and_then(|paths| PathSet::new(paths).ok()))
}

fn load_remembered(
    storage: &mut dyn Storage,
    clock: Timestamp,
) -> Result<Remembered, StorageError> {
    let mut remembered = Remembered::default();
    let mut after = Value::Text(String::new());
    loop {
        let page = storage.query(OVER, &[rows::integer(clock.ms()), after])?;
        let Some(Some(last)) = page.last().map(|row| row.first().cloned()) else {
            return Ok(remembered);
        };
        after = last;
        for row in page {
            let mut columns = Columns::of(row);
            let agent = columns.agent()?;
            let (minute, count) = (columns.integer()?, columns.integer()?);
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            remembered.add_many(&agent, minute, count);
        }
    }
}

fn load_ended_tokens(
    storage: &mut dyn Storage,
    clock: Timestamp,
) -> Result<EndedTokens, StorageError> {
    let mut tokens = EndedTokens::default();
    by_pages(storage, ENDED_TOKENS, clock, |row| {
        let mut columns = Columns::of(row);
        let holder = columns.holder()?;
        columns.text()?;
        let (token, end) = (columns.ordinal()?, columns.instant()?);
        let state = checked("a state", State::parse(&columns.text()?))?;
        tokens.add(&holder, token, state.reason(), end);
        Ok(())
    })?;
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use mailbus_spec::limits;

    use super::*;

    #[test]
    fn the_numbers_in_the_statement_are_the_specifications() {
        assert!(OVER.contains(&format!("until + {}, {})", limits::MEMORY_MS, Timestamp::MAX.ms())));
    }
}
