//! The transport on this machine's network, clocks and randomness.

use std::io;

use mailbus_spec::{AgentId, Holder, SessionId};
use rand::TryRng;
use rand::rngs::SysRng;

use super::connector::TokioConnector;
use super::driver::{Driver, Options, connect};
use super::endpoint::Endpoint;
use crate::clocks::SystemClocks;
use crate::lease::LeaseClient;
use crate::machine::{Config, LeaseSession};

/// A client of `endpoint` for a new run of `agent`, and the loop to run on a tokio runtime with time
/// and I/O.
///
/// # Errors
/// If the system has no randomness to name the run with.
pub fn open(
    endpoint: Endpoint,
    agent: AgentId,
) -> io::Result<(LeaseClient<SystemClocks>, Driver<TokioConnector, SystemClocks>)> {
    let draw = || SysRng.try_next_u64().map_err(io::Error::other);
    let name = format!("{:016x}{:016x}", draw()?, draw()?);
    let session = SessionId::new(name)
        .map_err(|invalid| io::Error::new(io::ErrorKind::InvalidInput, invalid.to_string()))?;
    let session = LeaseSession::new(Holder { agent, session }, Config::default(), draw()?);
    let (connector, clocks) = (TokioConnector::new(), SystemClocks::new());
    Ok(connect(session, endpoint, connector, clocks, Options::default()))
}
