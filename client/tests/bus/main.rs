//! The bus against the production objects.
//!
//! Goal: each promise of the trait, over the production client, wire, server and objects together.
//! Method: everything in one process, over in-memory streams, in virtual time: nothing sleeps, and no
//! test depends on how fast the machine is. One trial alone is real in all, in `blocked`: threads,
//! sockets, seconds.

mod bench;
mod blocked;
mod choosing;
mod faults;
mod handlers;
mod leases;
mod mail;
mod strangers;
