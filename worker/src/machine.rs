//! Machine of one service, as its endpoint needs it: commands in by value, steps out, over any storage.
//!
//! A service is named by its reference machine of the specification: whose commands, outcomes, rejections
//! and pushes these are. Nothing of that machine runs here.

use mailbus_spec::HostTime;
use mailbus_spec::machine::{Event, StateMachine, Step};
use mailbus_spec::service::Service;

use crate::object::Waking;
use crate::storage::{Storage, StorageError};

/// Command of a service.
pub type CommandOf<S> = <S as StateMachine>::Command;

/// Effects of one event on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled<S: Service, K> {
    /// Reply, pushes, and whether anything became durable.
    pub step: Step<S::Outcome, S::Rejection, S::Push>,
    /// Rows the platform charges for.
    pub rows: u64,
    /// The alarm to set. `None` leaves the pending one alone.
    pub alarm: Option<HostTime>,
    /// Sessions that sockets keep from now on: those that this event began or changed and that are
    /// still there.
    pub kept: Vec<K>,
}

/// A machine as the endpoint needs it.
///
/// Invariant: for the same history it answers what the reference machine of its service answers, word for
/// word.
pub trait Machine: Sized {
    /// The service, by its reference machine.
    type Service: Service;
    /// State of its session that a socket keeps while the object is not in memory.
    type Kept;

    /// Reads one piece of what it has to know before its first event, on the terms of
    /// [`Object::prepare`](crate::object::Object::prepare).
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed. The machine must not be used again.
    fn prepare<T: Storage>(&mut self, storage: &mut T) -> Result<Waking, StorageError> {
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
    fn handle<T: Storage>(
        &mut self,
        storage: &mut T,
        now: HostTime,
        event: &Event<CommandOf<Self::Service>>,
    ) -> Result<Handled<Self::Service, Self::Kept>, StorageError>;
}
