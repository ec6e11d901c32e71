//! Once everything has lapsed, the memory is over and the alarm rang, storage holds one row.

use crate::judge::history::History;
use crate::judge::invariants::Tally;

/// The name of the invariant.
pub const NAME: &str = "bounded_leases";

/// Check of the invariant.
pub(in crate::judge) fn check(history: &History, tally: &mut Tally) {
    if let Some(residue) = history.residue
        && residue.alarms_rang
    {
        tally.expect(residue.rows <= 1, history.ended, || {
            format!("storage still holds {} rows at the end", residue.rows)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::history::Residue;

    #[test]
    fn a_row_too_many_breaks_it_if_alarms_rang() {
        let left = |rows, alarms_rang| {
            let mut tally = Tally::default();
            let residue = Some(Residue { rows, logged: 0, alarms_rang });
            check(&History { residue, ..History::default() }, &mut tally);
            tally.broken
        };
        assert!(left(2, true).is_some());
        assert_eq!(left(2, false), None);
        assert_eq!(left(1, true), None);
    }
}
