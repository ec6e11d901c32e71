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
//! | `endpoint` | [`MailboxObject`]: requests and frames in, answers and pushes out |
//! | `sql` | [`SqlMailboxes`]: the machine over SQLite, one row a message |

mod attachment;
mod endpoint;
pub mod sql;

use mailbus_spec::mailbox::MailboxMachine;

use crate::machine;

pub use attachment::Session;
pub use endpoint::MailboxObject;
pub use sql::SqlMailboxes;

/// The production mailbox object: the endpoint over the SQL machine.
pub type ProductionMailboxObject = MailboxObject<SqlMailboxes>;

/// Effects of one event on a mailbox machine.
pub type Handled = machine::Handled<MailboxMachine, Session>;
