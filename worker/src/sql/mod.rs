//! What the SQL machines of both objects need alike: no decision about leases or mail is here.
//!
//! | file | what it does |
//! |---|---|
//! | `alarm` | [`Alarm`]: when the platform's one alarm has to be set anew |
//! | `columns` | [`Columns`]: values out of a row, checked |
//! | `past` | [`is_past`]: whether an object may begin anew |

mod alarm;
mod columns;
mod past;

pub(crate) use alarm::Alarm;
pub(crate) use columns::{Columns, checked};
pub(crate) use past::is_past;
