//! The bus against the production objects.
//!
//! Goal: each promise of the trait, over the production client, wire, server and objects together.
//! Method: everything in one process, over in-memory streams, in virtual time: nothing sleeps, and no
//! test depends on how fast the machine is.

mod bench;
mod faults;
mod leases;
mod mail;
mod strangers;
