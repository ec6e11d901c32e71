//! Once everything has lapsed, the memory is over and the alarm rang, storage holds one row.

use crate::history::History;
use crate::invariants::Tally;

/// The name of the invariant.
pub const NAME: &str = "bounded_leases";

/// Check of the invariant.
#[must_use]
pub fn check(history: &History) -> Tally {
    let mut tally = Tally::default();
    if let Some(residue) = history.residue
        && residue.alarms_rang
    {
        tally.expect(residue.rows <= 1, history.ended, || {
            format!("storage still holds {} rows at the end", residue.rows)
        });
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Residue;

    #[test]
    fn a_row_too_many_breaks_it_if_alarms_rang() {
        let with = |rows, alarms_rang| History {
            residue: Some(Residue { rows, logged: 0, alarms_rang }),
            ..History::default()
        };
        assert!(check(&with(2, true)).broken.is_some());
        assert!(check(&with(2, false)).broken.is_none());
        assert!(check(&with(1, true)).broken.is_none());
    }
}
