//! The production lease object.
//!
//! Two halves that meet at [`Leases`]: the endpoint knows HTTP, sockets and the wire and decides
//! nothing about leases; the machine behind it decides everything and knows no wire. So the
//! simulator can put the reference model, or a mutated one, in production's place behind the very
//! same endpoint. What it promises is said in [`rules::leases`](mailbus_spec::rules::leases).
//!
//! | file | what it does |
//! |---|---|
//! | `attachment` | subscriber of a socket, as the socket keeps it |
//! | `endpoint` | [`LeaseObject`]: requests and frames in, answers and pushes out |
//! | `sql` | [`SqlLeases`]: the machine over SQLite, few rows written an event |

mod attachment;
mod endpoint;
pub mod sql;

use mailbus_spec::HostTime;
use mailbus_spec::lease::{Command, LeaseStep};
use mailbus_spec::machine::Event;

use crate::object::Waking;
use crate::storage::{Storage, StorageError};

pub use endpoint::LeaseObject;
pub use sql::SqlLeases;

/// The production lease object: the endpoint over the SQL machine.
pub type ProductionLeaseObject = LeaseObject<SqlLeases>;

/// What one event on a lease machine did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// Reply, pushes, and whether anything became durable.
    pub step: LeaseStep,
    /// Rows the platform charges for.
    pub rows: u64,
    /// The alarm to set. `None` leaves the pending one alone.
    pub alarm: Option<HostTime>,
}

/// A lease machine as the endpoint needs it.
///
/// Invariant: for the same history it answers what
/// [`LeaseMachine`](mailbus_spec::lease::LeaseMachine) answers, word for word.
pub trait Leases: Sized {
    /// A machine that has just woken. It reads nothing yet: the first event will.
    ///
    /// `pending_alarm` is the alarm the platform says is set.
    fn wake(pending_alarm: Option<HostTime>) -> Self;

    /// Reads one piece of what it has to know before its first event, on the terms of
    /// [`Object::prepare`](crate::object::Object::prepare).
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed. The machine must not be used again.
    fn prepare<S: Storage>(&mut self, storage: &mut S) -> Result<Waking, StorageError> {
        let _ = storage;
        Ok(Waking::Ready)
    }

    /// About how many bytes of memory it holds. Asking costs next to nothing.
    fn footprint(&self) -> u64 {
        0
    }

    /// True if it is as good as one that never was, on the terms of
    /// [`Object::is_blank`](crate::object::Object::is_blank).
    fn is_blank(&self, now: HostTime) -> bool {
        let _ = now;
        false
    }

    /// Handles one event at the host time read for it. Commands that came in one frame are events of
    /// their own at the same host time.
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed. The transaction must be rolled back, and the machine
    /// must not be used again.
    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        now: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError>;
}
