//! Names and seeds of sessions, out of the system's randomness.

use std::io;

use mailbus_spec::SessionId;
use rand::TryRng;
use rand::rngs::SysRng;

/// A number that nobody else draws, to seed a session with.
///
/// # Errors
/// If the system has no randomness.
pub fn seed() -> io::Result<u64> {
    SysRng.try_next_u64().map_err(|error| io::Error::other(error.to_string()))
}

/// A session id that nobody else draws.
///
/// # Errors
/// If the system has no randomness.
pub fn new_session_id() -> io::Result<SessionId> {
    let name = format!("{:016x}{:016x}", seed()?, seed()?);
    SessionId::new(name)
        .map_err(|invalid| io::Error::new(io::ErrorKind::InvalidInput, invalid.to_string()))
}
