//! What a run tells: lines, tables and failures.

pub mod failure;
pub mod gallery;
pub mod line;
pub mod log;
pub mod mail_line;
pub mod table;
pub mod verdict;
