//! The production mailbox object.
//!
//! Two halves that meet at [`Mailboxes`], as with leases: the endpoint knows HTTP, sockets and the wire;
//! the machine behind it decides everything. What a session has in flight is kept by its socket, as a
//! [`Session`]: the machine is told what sockets keep when it wakes, and says what they shall keep after
//! each event. What it promises is said in [`rules::mailboxes`](mailbus_spec::rules::mailboxes).
//!
//! | file | what it does |
//! |---|---|
//! | `attachment` | [`Session`] as its socket keeps it while the object is not in memory |
//! | `endpoint` | [`MailboxObject`]: requests and frames in, answers and pushes out |
//! | `sql` | [`SqlMailboxes`]: the machine over SQLite, one row a message |

mod attachment;
mod endpoint;
pub mod sql;

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, MailboxStep};

use crate::object::Waking;
use crate::storage::{Storage, StorageError};

pub use attachment::Session;
pub use endpoint::MailboxObject;
pub use sql::SqlMailboxes;

/// The production mailbox object: the endpoint over the SQL machine.
pub type ProductionMailboxObject = MailboxObject<SqlMailboxes>;

/// What one event on a mailbox machine did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// Reply, pushes, and whether anything became durable.
    pub step: MailboxStep,
    /// Rows the platform charges for.
    pub rows: u64,
    /// The alarm to set. `None` leaves the pending one alone.
    pub alarm: Option<HostTime>,
    /// What sockets keep from now on: the sessions that this event began or changed and that are still
    /// there.
    pub sessions: Vec<Session>,
}

/// A mailbox machine as the endpoint needs it.
///
/// Invariant: for the same history it answers what
/// [`MailboxMachine`](mailbus_spec::mailbox::MailboxMachine) answers, word for word.
pub trait Mailboxes: Sized {
    /// A machine that has just woken. It reads nothing yet: the first event will.
    ///
    /// `pending_alarm` is the alarm the platform says is set; `sessions` is what the open sockets keep.
    /// Among them may be sessions that are over: the first event closes those.
    fn wake(pending_alarm: Option<HostTime>, sessions: Vec<Session>) -> Self;

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
