//! Waking: the machine's memory out of its rows, piece by piece.
//!
//! The table is read twice: first for the numbers, which say what lives, then for the claims.

use std::convert::Infallible;

use mailbus_spec::{Holder, Ordinal, RequestId, Timestamp, Ttl, Wait};

use super::claims::{Claim, Claims, Lease, Ticket};
use super::rows::{self, State};
use super::state::LeaseMemory;
use crate::object::Waking;
use crate::sql::{Columns, Header, Load, checked, integer};
use crate::storage::{Row, Storage, StorageError, Value};

const META: &str = "\
    SELECT sequence, clock, last_token, clock_offset, generation FROM meta";
/// The newest row of a page of claims. SQLite takes the other columns from the row that has the maximum.
/// Parameters: the key to begin after.
const NEWEST: &str = "\
    SELECT max(sequence), clock, last_token FROM (\
    SELECT sequence, clock, last_token FROM claim \
    WHERE (agent, session, request) > (?1, ?2, ?3) \
    ORDER BY agent, session, request LIMIT 4096) HAVING max(sequence) IS NOT NULL";
/// The key that such a page ends with, if it is a full one. Parameters: the key to begin after.
const PAGE_END: &str = "\
    SELECT agent, session, request FROM claim WHERE (agent, session, request) > (?1, ?2, ?3) \
    ORDER BY agent, session, request LIMIT 1 OFFSET 4095";
/// A page of claims, live ones and others; these without their paths. Parameters: the clock, the key to
/// begin after.
const CLAIMS: &str = "\
    SELECT agent, session, request, until, state, token, arrival, first_term, ttl, wait, \
    CASE WHEN until > ?1 THEN paths END \
    FROM claim WHERE (agent, session, request) > (?2, ?3, ?4) \
    ORDER BY agent, session, request LIMIT 1024";

/// The key of a claim, as columns.
type Key = [Value; 3];

/// The key before all others.
const BEGIN: Key = [const { Value::Text(String::new()) }; 3];

/// Loader of the memory: what is read, and how far it has come.
#[derive(Debug)]
pub struct Loader {
    memory: LeaseMemory,
    step: Step,
}

/// Part that the next piece reads.
#[derive(Debug)]
enum Step {
    /// The numbers of `meta`.
    Meta,
    /// The newest of a page of claims after this one.
    Newest { after: Key },
    /// A page of claims after this one.
    Claims { after: Key },
    /// Nothing: it is awake.
    Over,
}

impl Load for Loader {
    type Memory = LeaseMemory;

    fn new(_: Vec<Infallible>) -> Self {
        Self { memory: LeaseMemory::default(), step: Step::Meta }
    }

    fn piece(&mut self, storage: &mut dyn Storage) -> Result<Waking, StorageError> {
        self.step = match std::mem::replace(&mut self.step, Step::Over) {
            Step::Meta => self.meta(storage)?,
            Step::Newest { after } => self.newest(storage, &after)?,
            Step::Claims { after } => self.claims(storage, after)?,
            Step::Over => Step::Over,
        };
        Ok(if matches!(self.step, Step::Over) { Waking::Ready } else { Waking::More })
    }

    fn memory(&self) -> &LeaseMemory {
        &self.memory
    }

    fn into_memory(self) -> LeaseMemory {
        self.memory
    }
}

impl Loader {
    fn meta(&mut self, storage: &mut dyn Storage) -> Result<Step, StorageError> {
        if storage.query(rows::FIND_TABLES, &[])?.is_empty() {
            return Ok(Step::Over);
        }
        self.memory.header.has_tables = true;
        let header = &mut self.memory.header;
        for row in storage.query(META, &[])? {
            let mut columns = Columns::of(row);
            read_stamp(&mut columns, header)?;
            header.clock.offset = columns.signed()?;
            header.generation = columns.integer()?;
        }
        Ok(Step::Newest { after: BEGIN })
    }

    fn newest(&mut self, storage: &mut dyn Storage, after: &Key) -> Result<Step, StorageError> {
        let header = &mut self.memory.header;
        for row in storage.query(NEWEST, after)? {
            let mut newest = *header;
            read_stamp(&mut Columns::of(row), &mut newest)?;
            if newest.sequence > header.sequence {
                *header = newest;
            }
        }
        Ok(match storage.query(PAGE_END, after)?.pop() {
            Some(end) => Step::Newest { after: key_of(&end)? },
            None => Step::Claims { after: BEGIN },
        })
    }

    fn claims(&mut self, storage: &mut dyn Storage, after: Key) -> Result<Step, StorageError> {
        let clock = self.memory.header.clock.floor;
        let [agent, session, request] = after;
        let page = storage.query(CLAIMS, &[integer(clock.ms()), agent, session, request])?;
        let Some(last) = page.last() else { return Ok(Step::Over) };
        let after = key_of(last)?;
        for row in page {
            self.memory.load_row(row, clock)?;
        }
        Ok(Step::Claims { after })
    }
}

fn key_of(row: &Row) -> Result<Key, StorageError> {
    match row.as_slice() {
        [agent, session, request, ..] => Ok([agent.clone(), session.clone(), request.clone()]),
        _ => Err(StorageError("a lease row is too short".to_owned())),
    }
}

fn read_stamp(columns: &mut Columns, header: &mut Header) -> Result<(), StorageError> {
    header.sequence = columns.integer()?;
    header.clock.floor = columns.instant()?;
    header.last_ordinal = columns.ordinal()?;
    Ok(())
}

impl LeaseMemory {
    /// Takes a claim up that lives at `clock`, or remembers that it was there.
    fn load_row(&mut self, row: Row, clock: Timestamp) -> Result<(), StorageError> {
        let mut columns = Columns::of(row);
        let holder = columns.holder()?;
        let name = columns.text()?;
        let until = columns.instant()?;
        let state = checked("a state", State::parse(&columns.text()?))?;
        let token = columns.optional_ordinal()?;
        if until > clock {
            let found = Found { holder, name, until, state, token };
            return load_claim(&mut self.claims, found, columns);
        }
        self.remembered.add(&holder.agent, until);
        if let Some(token) = token {
            self.finished_tokens.add(&holder, token, state.reason(), until);
        }
        Ok(())
    }
}

/// Columns read of a claim whether it lives or not.
struct Found {
    holder: Holder,
    name: String,
    until: Timestamp,
    state: State,
    token: Option<Ordinal>,
}

fn load_claim(claims: &mut Claims, found: Found, mut columns: Columns) -> Result<(), StorageError> {
    let Found { holder, name, until, state, token } = found;
    let arrival = columns.optional_integer()?;
    let first_term = columns.optional_integer()?.and_then(Ttl::from_ms);
    let ttl = checked("a TTL", Ttl::from_ms(columns.integer()?))?;
    let wait = match columns.optional_integer()? {
        Some(ms) => Some(checked("a wait", Wait::from_ms(ms))?),
        None => None,
    };
    let paths = rows::read_paths(&columns.text()?)?;
    let request = match name.strip_prefix('\n') {
        Some(_) => None,
        None => Some(checked("a request", RequestId::new(name).ok())?),
    };
    let claim = Claim { holder, request, paths: claims.share_paths(&paths), ttl, wait };
    match (state, token, arrival, first_term) {
        (State::Lease | State::Draining, Some(token), _, Some(first_term)) => {
            let draining = state == State::Draining;
            claims.add_lease(token, Lease { claim, first_term, expires_at: until, draining });
        }
        (State::Ticket, _, Some(arrival), _) => {
            claims.add_ticket(arrival, Ticket { claim, deadline: until });
        }
        _ => return Err(StorageError(format!("a lease row ends in the future and is {state:?}"))),
    }
    Ok(())
}
