//! A table of text whose columns stand below each other.

use std::fmt;

/// `-` where there is nothing.
pub(crate) fn or_dash(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

pub(crate) struct Table {
    /// The titles come first.
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(titles: [&str; N]) -> Self {
        let mut table = Self { rows: Vec::new() };
        table.row(titles.map(str::to_owned));
        table
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let length = |row: &Vec<String>, column: usize| -> Option<usize> {
            Some(row.get(column)?.chars().count())
        };
        let width = |column| {
            self.rows
                .iter()
                .filter_map(move |row| length(row, column))
                .max()
        };
        let widths: Vec<_> = (0..columns).map(|c| width(c).unwrap_or_default()).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let padded: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            writeln!(f, "{}", padded.join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["A", "LONGER", "C"]);
        table.row(["wide cell", "x", "1"].map(str::to_owned));
        table.row([
            or_dash(Some("\u{fc}")),
            or_dash(None::<i64>),
            or_dash(Some(2)),
        ]);
        let text = "A          LONGER  C\nwide cell  x       1\n\u{fc}          -       2\n";
        assert_eq!(table.to_string(), text);
        assert_eq!(Table::new(["A", "B"]).to_string(), "A  B\n");
    }
}
