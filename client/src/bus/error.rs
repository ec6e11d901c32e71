//! Errors that callers of the bus are told when something did not work.

use mailbus_spec::id::InvalidId;
use mailbus_spec::mailbox::InvalidType;
use mailbus_spec::path::InvalidPath;

use crate::error::{AcquireError, CallError};
use crate::mailbox::MailboxError;
use crate::session::mailbox::Unsendable;

/// Reason why something did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Of messages.
    #[error(transparent)]
    Mail(#[from] MailboxError),
    /// Of leases.
    #[error(transparent)]
    Lease(#[from] CallError),
    /// Of a lease that was to be acquired.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// It is no type of messages.
    #[error("the type {0}")]
    Type(InvalidType),
    /// It is no id of a message.
    #[error("the id {0}")]
    Id(InvalidId),
    /// It is no file.
    #[error("the path {0}; name one inside the workspace")]
    Path(InvalidPath),
    /// It is no time to live.
    #[error("a lease lasts from 1 ms to 24 h")]
    Ttl,
}

impl From<Unsendable> for BusError {
    fn from(unsendable: Unsendable) -> Self {
        Self::Mail(MailboxError::Unsendable(unsendable))
    }
}
