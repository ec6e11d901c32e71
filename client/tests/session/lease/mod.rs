//! The session of leases.

mod asking;
mod believing;
mod connecting;
mod ending;
mod farewells;
mod random;
mod restoring;
mod stage;
mod term;
mod world;
