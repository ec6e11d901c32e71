//! The SQL machine of a service beside its reference model, and the histories that both are told.

use mailbus_conformance::Subject;
use mailbus_conformance::differential::{self, Handled, Loads, Operation};
use mailbus_spec::invariant::Transition;
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};

use super::{Load, Memory, SqlMachine};
use crate::machine::{self, CommandOf, Machine};
use crate::native::sqlite::{Bookmark, Database};
use crate::storage::StorageError;

/// Time at which whatever is told by hand begins.
pub(crate) const NOON: u64 = 1_800_000_000_000;

/// As many cases, the same in every run: whoever wants others has the fuzzer.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() }
}

/// Histories of up to `most` operations; the shrinker deletes down to none.
pub(crate) fn histories(most: usize) -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(prop::array::uniform16(any::<u8>()).prop_map(Operation), 0..=most)
}

/// So many of them, always the same.
pub(crate) fn some_histories(count: usize, most: usize) -> Vec<Vec<Operation>> {
    let mut runner = TestRunner::deterministic();
    let strategy = histories(most);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// The machine of a memory, and the model that judges it.
pub(crate) type Pair<M> = differential::Pair<<M as super::Rows>::Service, Sql<M>>;

/// Machine with its database, and with what its sockets keep.
pub(crate) struct Sql<M: Tested> {
    pub machine: SqlMachine<M>,
    pub database: Database,
    pub sockets: Vec<M::Kept>,
    /// Rows that the last event found.
    pub found: M::Found,
    /// Most messages of a run, for a memory with runs.
    pub run: usize,
}

/// Memory with checks of its own.
pub(crate) trait Tested: Memory<Service: Subject, Kept: Clone> {
    /// Knowledge of the rows before an event, for the checks.
    type Found: Default;

    fn found(_database: &mut Database) -> Self::Found {
        Self::Found::default()
    }

    fn loader(_run: usize, kept: Vec<Self::Kept>) -> Self::Loader {
        Self::Loader::new(kept)
    }

    /// Does to the sockets what an event did.
    fn note(_sql: &mut Sql<Self>, _handled: &machine::Handled<Self::Service, Self::Kept>) {}

    /// Checks that an event wrote no more rows than it may.
    fn look(
        sql: &mut Sql<Self>,
        transition: &Transition<'_, Self::Service>,
        rows: u64,
        place: &str,
    );

    /// Checks that memory is what waking makes of the rows and of what sockets keep.
    fn check_memory(sql: &mut Sql<Self>, model: &Self::Service, place: &str);
}

/// A pair whose runs have at most so many messages, of whose histories these loads may come at once.
pub(crate) fn pair<M: Tested>(run: usize, loads: Loads) -> Pair<M> {
    let (machine, database) = (SqlMachine::wake(None, Vec::new()), Database::in_memory().unwrap());
    let found = M::Found::default();
    let mut pair = Pair::new(Sql { machine, database, sockets: Vec::new(), found, run }, loads);
    pair.looks_at_all = true;
    pair.evict();
    pair
}

impl<M: Tested> differential::Machine<M::Service> for Sql<M> {
    type Bookmark = Bookmark;
    type Error = StorageError;

    fn handle(
        &mut self,
        host: HostTime,
        event: &Event<CommandOf<M::Service>>,
    ) -> Result<Handled<M::Service>, StorageError> {
        let failing = self.database.faults().fail_at.take();
        self.found = M::found(&mut self.database);
        self.database.faults().fail_at = failing;
        self.database.take_rows();
        let Self { machine, database, .. } = self;
        let handled = database.transact(|storage| machine.handle(storage, host, event))?;
        assert_eq!(handled.rows, self.database.take_rows(), "the rows at the seam");
        M::note(self, &handled);
        Ok(Handled { step: handled.step, rows: handled.rows, alarm: handled.alarm })
    }

    fn fail_at(&mut self, statement: Option<u64>) {
        self.database.faults().fail_at = statement;
    }

    fn next_alarm(&mut self) -> Option<Timestamp> {
        self.machine.next_alarm()
    }

    fn wake(&mut self, pending_alarm: Option<HostTime>) {
        let loader = M::loader(self.run, self.sockets.clone());
        self.machine = SqlMachine::asleep(pending_alarm, loader);
    }

    fn break_sockets(&mut self) {
        self.sockets.clear();
    }

    fn bookmark(&mut self) -> Bookmark {
        self.database.bookmark().unwrap()
    }

    fn restore(&mut self, bookmark: Option<&Bookmark>) {
        match bookmark {
            Some(bookmark) => self.database.restore(bookmark).unwrap(),
            None => self.database = Database::in_memory().unwrap(),
        }
    }

    fn look(&mut self, transition: &Transition<'_, M::Service>, rows: u64, place: &str) {
        M::look(self, transition, rows, place);
    }

    fn check_memory(&mut self, model: &M::Service, place: &str) {
        M::check_memory(self, model, place);
    }
}
