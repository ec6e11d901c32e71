//! The transport on this machine's network, clocks and randomness.

use std::io;

use mailbus_spec::{AgentId, Holder};

use super::connect;
use super::connector::TokioConnector;
use super::endpoint::Endpoint;
use crate::clocks::SystemClocks;
use crate::id::{new_session_id, seed};
use crate::lease::LeaseClient;
use crate::session::lease::{Config, LeaseSession};
use crate::transport::NativeDriver;

/// A client of `endpoint` for a new run of `agent`, and its loop, which runs on a thread of its own from
/// here on until it is dropped or nobody has a handle or a lease any more. It goes through the
/// [proxies of the environment](TokioConnector::from_environment).
///
/// # Errors
/// If the system has no randomness to name the run with, or gives no thread.
pub fn open(
    endpoint: Endpoint,
    agent: AgentId,
) -> io::Result<(LeaseClient<SystemClocks>, NativeDriver)> {
    let session = new_session_id()?;
    let session = LeaseSession::new(Holder { agent, session }, Config::default(), seed()?);
    let (connector, clocks) = (TokioConnector::from_environment(), SystemClocks::new());
    let (client, driver) = connect(session, endpoint, connector, clocks);
    Ok((client, NativeDriver::start(move || driver.run())?))
}
