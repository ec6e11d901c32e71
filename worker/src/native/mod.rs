//! The Workers runtime as far as the objects can tell: databases, memory, alarms and sockets.
//!
//! Everything that runs an object outside workerd runs it here: the tests, the simulator, the
//! benchmarks and `mailbusd`. Nothing in this module decides anything about leases or mail.
//!
//! ```text
//!   server      HTTP/1 and WebSocket over any byte stream, one task per connection
//!      │
//!   loops       the event loop of each workspace, where there are several
//!      │
//!   namespace   the objects of one class: one event at a time, held effects, alarms, open databases
//!      │  └── flush       when what an event wrote is durable, and so when its effects may leave
//!   instance    one object: a transaction around each event; evict, crash, bookmark, restore
//!      │
//!   sqlite      the database of one object, as strict as workerd
//! ```
//!
//! # Who decides what
//!
//! * [`instance`] is synchronous and knows no clock. Losing, delaying and repeating alarms, eviction,
//!   crashes and storage faults are decisions of its caller.
//! * [`loops`] decides which thread a workspace lives on, and nobody else knows that there are several.
//! * [`namespace`] and [`server`] are asynchronous on one thread (`spawn_local`, `Rc`), and take time
//!   from a [`HostClock`] and durability from a [`Flush`], so that the same code runs on the system's
//!   clock and disk, and inside a simulated host that has neither.
//!
//! # Invariants
//!
//! * An effect leaves only after its event's transaction has ended *and* all that the event can have
//!   read is durable.
//! * No `RefCell` is borrowed across an `.await`, and no task is spawned that could outlive the
//!   [`LocalSet`](tokio::task::LocalSet) it was spawned in.

pub mod arrival;
#[cfg(feature = "programs")]
pub mod cli;
pub mod clock;
pub mod databases;
pub mod descriptors;
pub mod flush;
pub(crate) mod fsync;
pub mod instance;
pub mod loops;
pub mod namespace;
pub mod server;
pub mod sockets;
pub mod sqlite;

pub use arrival::{Arrival, OwnedArrival};
pub use clock::{HostClock, Moment, SystemClock};
pub use databases::{Databases, FileDatabases, MemoryDatabases, Opened};
pub use flush::{Flush, WalFlush};
pub use instance::{Delivered, Instance};
pub use loops::{EventLoop, OwnDatabases};
pub use namespace::{
    Budget, Completion, Namespace, NamespaceSettings, Objects, Outbox, Outgoing, Stopped, Submitted,
};
pub use server::{Classes, Places, Server, ServerSettings};
pub use sqlite::{Bookmark, Database};
