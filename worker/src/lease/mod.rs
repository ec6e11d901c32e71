//! The production lease object.
//!
//! Two halves that meet at [`Machine`](machine::Machine): the endpoint knows HTTP, sockets and the wire
//! and decides nothing about leases; the machine behind it decides everything and knows no wire. So the
//! simulator can put the reference model, or a mutated one, in production's place behind the very same
//! endpoint. What it promises is said in [`rules::leases`](mailbus_spec::rules::leases).
//!
//! | file | what it does |
//! |---|---|
//! | `attachment` | subscriber of a socket, as the socket keeps it |
//! | `policy` | [`LeaseObject`]: whose a socket is, and what an event tells whom; over the endpoint of both services |
//! | `sql` | [`SqlLeases`]: the machine over SQLite, few rows written an event |

mod attachment;
mod policy;
pub mod sql;

use std::convert::Infallible;

use mailbus_spec::lease::LeaseMachine;

use crate::endpoint::Endpoint;
use crate::machine;

pub use sql::SqlLeases;

/// The lease object of one workspace over the machine `M`.
pub type LeaseObject<M> = Endpoint<policy::LeasePolicy, M>;

/// The production lease object: the endpoint over the SQL machine.
pub type ProductionLeaseObject = LeaseObject<SqlLeases>;

/// Effects of one event on a lease machine.
pub type Handled = machine::Handled<LeaseMachine, Infallible>;
