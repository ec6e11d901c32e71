//! What a run tells: lines, tables and failures.

pub mod failure;
pub mod line;
pub mod table;
