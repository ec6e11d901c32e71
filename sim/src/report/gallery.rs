//! Result of a hunt for planted bugs: which were caught, and which invariants are needed.

use std::collections::BTreeSet;

use crate::judge;
use crate::mutants::Catch;
use crate::report::table::{grouped, table};

/// One line on how a planted bug was caught.
#[must_use]
pub fn line(catch: &Catch) -> String {
    let Catch { name, invariant, seeds_tried, parts, shrinking, .. } = catch;
    let caught = if catch.caught { "caught" } else { "not caught" };
    format!(
        "{name}: {caught} by {invariant}, {seeds_tried} seeds, {parts} parts, {shrinking} tries"
    )
}

/// Planted bugs that were caught, and the invariants that found them.
#[must_use]
pub fn gallery(caught: &[Catch]) -> String {
    let mut mutants =
        table(&["planted bug", "source", "caught by", "seeds tried", "parts of its plan"]);
    for catch in caught {
        mutants.add_row([
            catch.name.to_owned(),
            catch.source.to_owned(),
            if catch.caught { catch.invariant.to_owned() } else { "nobody".to_owned() },
            grouped(catch.seeds_tried),
            catch.parts.to_string(),
        ]);
    }
    format!(
        "{mutants}\n\nIn how many of the first plans each invariant was broken:\n{}",
        matrix(caught)
    )
}

/// Bugs by invariants; and for each invariant, the bugs whose smallest plan it alone finds broken.
fn matrix(caught: &[Catch]) -> String {
    let broken: BTreeSet<&str> =
        caught.iter().flat_map(|catch| catch.broken.keys()).map(String::as_str).collect();
    let names: Vec<&str> = judge::names().filter(|name| broken.contains(name)).collect();
    let mut header = vec!["planted bug"];
    header.extend(&names);
    let mut matrix = table(&header);
    for catch in caught {
        let mut row = vec![catch.name.to_owned()];
        row.extend(names.iter().map(|name| {
            catch.broken.get(*name).map_or_else(String::new, |plans| plans.to_string())
        }));
        matrix.add_row(row);
    }
    let needed = judge::names().filter(|name| !judge::compares(name)).map(|name| {
        let only =
            caught.iter().filter(|catch| catch.invariant == name && catch.is_found_by_one_alone());
        let only: Vec<&str> = only.map(|catch| catch.name).collect();
        let text = if only.is_empty() { "-".to_owned() } else { only.join(", ") };
        format!("{name}: {text}")
    });
    let needed: Vec<String> = needed.collect();
    format!(
        "{matrix}\n\nWhose smallest plan no other invariant finds broken:\n{}",
        needed.join("\n")
    )
}
