//! SQL machine of every service: mechanism alone, no decision about leases or mail is here.
//!
//! | file | what it does |
//! |---|---|
//! | `machine` | [`SqlMachine`]: wakes, observes the clock, runs events, sets the alarm; over a [`Memory`] |
//! | `turn` | [`Turn`]: one event: reads, gathered writes, pushes |
//! | `header` | [`Header`]: the object's numbers |
//! | `alarm` | [`Alarm`](alarm::Alarm): when the platform's one alarm has to be set anew |
//! | `columns` | values to columns, and [`Columns`]: values out of a row, checked |

mod alarm;
mod columns;
mod header;
mod machine;
#[cfg(test)]
pub(crate) mod tests;
mod turn;

pub(crate) use columns::{Columns, checked, instant, integer, ordinal, text};
pub(crate) use header::Header;
pub(crate) use machine::{Load, Memory, SqlMachine};
pub(crate) use turn::{Answer, Rows, Stop, Turn, statements};
