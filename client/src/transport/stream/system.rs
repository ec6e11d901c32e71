//! The transport on this machine's network, clocks and randomness.

use std::io;

use mailbus_spec::{AgentId, Holder};

use super::connector::TokioConnector;
use super::endpoint::Endpoint;
use super::{Streams, connect};
use crate::clocks::SystemClocks;
use crate::lease::LeaseClient;
use crate::machine::{Config, LeaseSession};
use crate::transport::driver::{Driver, Options};
use crate::transport::random::{new_session_id, seed};

/// The loop of a lease session on this machine's network and clocks.
pub type NativeDriver = Driver<Streams<TokioConnector>, SystemClocks>;

/// A client of `endpoint` for a new run of `agent`, and the loop to run on a tokio runtime with time
/// and I/O. It goes through the [proxies of the environment](TokioConnector::from_environment).
///
/// # Errors
/// If the system has no randomness to name the run with.
pub fn open(
    endpoint: Endpoint,
    agent: AgentId,
) -> io::Result<(LeaseClient<SystemClocks>, NativeDriver)> {
    let session = new_session_id()?;
    let session = LeaseSession::new(Holder { agent, session }, Config::default(), seed()?);
    let (connector, clocks) = (TokioConnector::from_environment(), SystemClocks::new());
    Ok(connect(session, endpoint, connector, clocks, Options::default()))
}
