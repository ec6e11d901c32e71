//! Common part of the benchmarks: the traffic they put on a machine, of leases here, of mail in
//! [`mail`] and [`native`].
//!
//! Timings differ between machines and hours; the benchmarks of one run are compared with each other,
//! and ratios are what is reported.

pub mod clock;
pub mod mail;
pub mod native;

use mailbus_spec::lease::{Acquire, Command, ReleaseTarget};
use mailbus_spec::{AgentId, Holder, LeasePath, Ordinal, PathSet, RequestId, SessionId, Ttl};

/// The n-th of many holders.
///
/// # Panics
/// Never: the names are valid by their form.
#[must_use]
pub fn holder(n: u64) -> Holder {
    Holder {
        agent: AgentId::new(format!("agent-{n}")).expect("a plain name"),
        session: SessionId::new("run-1").expect("a plain name"),
    }
}

/// A path that only holder `n` wants.
///
/// # Panics
/// Never: the name is valid by its form.
#[must_use]
pub fn path(n: u64) -> LeasePath {
    LeasePath::new(&format!("src/module_{n}/lib.rs")).expect("a plain path")
}

/// Holder `n` asks for its own path, as its `attempt`-th request.
///
/// # Panics
/// Never: every part is valid by its form.
#[must_use]
pub fn acquire(n: u64, attempt: u64) -> Command {
    let request = RequestId::new(format!("r{attempt}")).expect("a plain name");
    let ttl = Ttl::from_ms(30_000).expect("within the bounds");
    let acquire = Acquire::new(holder(n), Some(request), PathSet::one(path(n)), ttl, None);
    Command::Acquire(acquire.expect("it names its request"))
}

/// Holder `n` gives back what it holds under `token`.
#[must_use]
pub fn release(n: u64, token: Ordinal) -> Command {
    Command::Release { holder: holder(n), target: ReleaseTarget::Token(token) }
}
