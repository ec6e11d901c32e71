//! The table at the end of a run.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use crate::explore::Exploration;
use crate::judge;
use crate::judge::history::marks::Mark;

/// Table of a run over many seeds.
#[must_use]
pub fn exploration(exploration: &Exploration) -> String {
    let checks = judge::names().map(|name| {
        let checks = exploration.invariants.get(name).copied().unwrap_or(0);
        let broken =
            exploration.violations.iter().filter(|failure| failure.violation.invariant == name);
        (name, checks, broken.count())
    });
    let mut judged = table(&["invariant", "checks", "broken in"]);
    for (name, count, broken) in checks {
        let broken = if broken == 0 { "-".to_owned() } else { format!("{broken} plans") };
        judged.add_row([name.to_owned(), grouped(count), broken]);
    }
    let mut reached = table(&["mark", "met"]);
    for mark in Mark::ALL {
        reached.add_row([mark.name().to_owned(), grouped(exploration.marks.count(*mark))]);
    }
    let (outside, both) = exploration.outside;
    let seconds = exploration.wall_seconds.max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let speed = exploration.simulated_seconds as f64 / seconds;
    format!(
        "{judged}\n{}\n{reached}\n{} plans, {} operations, {} object events, {} s simulated in {seconds:.1} s ({speed:.0} times as fast)\nIn {outside} plans clocks are outside the bound, on purpose: there two holders may believe at once (in {both} plans they did), and fencing alone keeps their writes apart.",
        faults(&exploration.faults),
        exploration.seeds,
        grouped(exploration.operations),
        grouped(exploration.events),
        grouped(exploration.simulated_seconds),
    )
}

fn faults(happened: &BTreeMap<String, u64>) -> Table {
    let mut faults = table(&["fault", "happened"]);
    for (name, count) in happened {
        faults.add_row([name.clone(), grouped(*count)]);
    }
    faults
}

/// A table with its figures at the right.
pub(super) fn table(header: &[&str]) -> Table {
    let line = LineStyle::none().fill('─').junction('─');
    let style = TableStyle::new().header_separator(line).bottom_border(line);
    let mut table = Table::new();
    table.load_style(style).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}
