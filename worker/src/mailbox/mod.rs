//! The production mailbox object.
//!
//! Two halves that meet at [`Machine`](machine::Machine), as with leases: the endpoint knows HTTP, sockets
//! and the wire; the machine behind it decides everything. What a session has in flight is kept by its
//! socket, as a [`Session`]: the machine is told what sockets keep when it wakes, and says what they shall
//! keep after each event. What it promises is said in [`rules::mailboxes`](mailbus_spec::rules::mailboxes).
//!
//! | file | what it does |
//! |---|---|
//! | `attachment` | [`Session`] as its socket keeps it while the object is not in memory |
//! | `policy` | [`MailboxObject`]: whose a socket is, and what an event tells whom; over the endpoint of both services |
//! | `sql` | [`SqlMailboxes`]: the machine over SQLite, one row a message |

mod attachment;
mod policy;
pub mod sql;

use mailbus_spec::mailbox::MailboxMachine;

use crate::endpoint::Endpoint;
use crate::machine;

pub use attachment::Session;
pub use sql::SqlMailboxes;

/// The mailbox object of one workspace over the machine `M`.
pub type MailboxObject<M> = Endpoint<policy::MailboxPolicy, M>;

/// The production mailbox object: the endpoint over the SQL machine.
pub type ProductionMailboxObject = MailboxObject<SqlMailboxes>;

/// Effects of one event on a mailbox machine.
pub type Handled = machine::Handled<MailboxMachine, Session>;
