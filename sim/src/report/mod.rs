//! Reports of a run: lines, tables and failures.

pub mod failure;
pub mod gallery;
pub mod log;
pub mod table;
pub mod verdict;
